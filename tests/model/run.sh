#!/usr/bin/env bash
# Checks the models: every state of the right ones, and that every broken variant is caught by an assertion.
set -euo pipefail
cd "$(dirname "$0")"

models=$PWD
title="models of the doorbell, the replay and the backplane"
for tool in spin gcc; do
    command -v "$tool" >/dev/null || exec ../../scripts/skip.sh "$title" "$tool is missing"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A search needs up to 600 MB; two at a time, since a machine may have two processors.
jobs_max=2
# More is a failure, and not a machine without memory.
memory_max_mb=2048
depth_max=1000000

fail() {
    printf 'failed: %s\n' "$1" >&2
    # What the search said, without what it says about memory.
    sed -n '1,12p' "$2" >&2
    return 1
}

# search MODEL OPTIMISATION [-DOPTION...]: in a directory of its own. What it says is in `out` there.
search() {
    local model=$1 optimisation=$2 dir
    shift 2
    dir=$(mktemp -d "$work/XXXXXX")
    cd "$dir"
    # Nothing is left out: no partial order reduction, no hashing that could take two states for one.
    {
        spin -a "$@" "$models/$model.pml" &&
            gcc -w "$optimisation" -DSAFETY -DNOREDUCE -DMEMLIM="$memory_max_mb" -o pan pan.c &&
            ./pan -m"$depth_max"
    } >out 2>&1 || true
}

# right LABEL MODEL [-DOPTION...]
right() {
    local label=$1 model=$2 states
    shift 2
    search "$model" -O2 "$@"
    # Deadlocks are errors too.
    grep -q 'errors: 0$' out || fail "model $label has errors" out
    if grep -qE 'max search depth too small|Search not completed|out of memory|MEMLIM' out; then
        fail "model $label was not searched to the end" out
    fi
    # The last assertion stands at the end of `init`, and counts only if it was reached.
    grep -A1 'unreached in init' out | grep -q '(0 of ' || fail "model $label never comes to its end" out
    states=$(sed -nE 's/^ *([0-9]+) states, stored.*/\1/p' out)
    printf 'ok: model %s: %s states\n' "$label" "$states"
}

# broken LABEL MODEL -DOPTION...
broken() {
    local label=$1 model=$2
    shift 2
    # An error is found soon, so the compiler need not try hard.
    search "$model" -O0 "$@"
    grep -qE 'errors: [1-9]' out || fail "model $label is not caught" out
    grep -q '^pan:1: assertion violated' out || fail "model $label is caught by something else" out
    printf 'ok: model %s is caught\n' "$label"
}

failed=0
running=0
# check right|broken ...: in the background, as soon as there is room.
check() {
    if [ "$running" -ge "$jobs_max" ]; then
        wait -n || failed=1
        running=$((running - 1))
    fi
    case $1 in
        right) right "${@:2}" & ;;
        broken) broken "${@:2}" & ;;
    esac
    running=$((running + 1))
}

# The longest come first.
check right "doorbell" doorbell
check right "replay" replay -DENDS
check right "replay with a lost past" replay -DGHOSTS
check right "replay with a longer window" replay -DWINDOW=3
check right "backplane" backplane -DENDS
check right "backplane with a stream that is made anew" backplane -DENDS -DWIPES -DKEPT=1
check right "doorbell that comes to rest" doorbell -DIDS=3 -DCRASHING=2 -DENDS

check broken "doorbell without a fence" doorbell -DIDS=3 -DNO_FENCE
check broken "doorbell with the running of the flip as the fence" doorbell -DIDS=3 -DFLIP_SNAPSHOT
check broken "doorbell with a fence drawn by the flip" doorbell -DIDS=3 -DFENCE_OF_THE_FLIP
check broken "doorbell with the xmin of another snapshot" doorbell -DIDS=3 -DXMIN_OF_ANOTHER_SNAPSHOT
check broken "doorbell disarmed without the lock" doorbell -DIDS=3 -DDISARM_WITHOUT_LOCK
check broken "doorbell with a sleeper without the lock" doorbell -DIDS=3 -DSLEEP_WITHOUT_LOCK
check broken "doorbell looked at before the id" doorbell -DIDS=3 -DBELL_BEFORE_XID
check broken "doorbell heard after the read" doorbell -DIDS=3 -DRING_TAKEN_AFTER_READ
check broken "doorbell with a cursor without the running" doorbell -DIDS=3 -DCURSOR_WITHOUT_RUNNING

check broken "replay joined past the mailbox" replay -DJOINED_STRAIGHT
check broken "replay counted after it is joined" replay -DCOUNTED_LATER
check broken "replay joined while the client is ahead" replay -DAHEAD_JOINED
check broken "replay reset before a new read" replay -DRESET_TOO_EARLY
check broken "replay joined within a batch" replay -DJOINED_IN_BATCH
check broken "replay up to an end that does not cover the cursor" replay -DEND_NOT_COVERING
check broken "replay up to a mark that does not cover the cursor" replay -DMARK_NOT_COVERING
check broken "replay with a step that brings nothing" replay -DSTEP_OF_NOTHING
check broken "replay with a batch begun anew in the middle" replay -DREST_FROM_ANEW
check broken "replay answered to another connection" replay -DSERIAL_IGNORED
check broken "replay with a heartbeat before it is joined" replay -DHEARTBEAT_EARLY
check broken "replay in the order of ids" replay -DROWS_BY_ID

check broken "backplane without a condition" backplane -DNO_CONDITION
check broken "backplane with a reader that begins at the newest" backplane -DBEGINS_AT_NEWEST
check broken "backplane with half a batch taken for a whole one" backplane -DHALF_BATCH_IS_WHOLE
check broken "backplane with an answer taken for granted" backplane -DACK_TAKEN_FOR_GRANTED
check broken "backplane with an answer known by its end" backplane -DACK_BY_NEXT
check broken "backplane with a batch from elsewhere taken" backplane -DPREV_IGNORED
check broken "backplane with a gap that is not read" backplane -DGAP_IGNORED
check broken "backplane with half a batch left alone" backplane -DHALF_BATCH_IS_ENOUGH
check broken "backplane with half a batch known by its end" backplane -DWIPES -DPART_BY_END
check broken "backplane with rows taken as they come" backplane -DROWS_AS_THEY_COME

while [ "$running" -gt 0 ]; do
    wait -n || failed=1
    running=$((running - 1))
done
exit "$failed"
