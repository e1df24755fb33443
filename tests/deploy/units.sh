#!/usr/bin/env bash
# systemd/plank.service and plank.socket as systemd reads them, its sandbox by systemd's own score, plank.env against `plank --help`, and
# what plank says to systemd.
set -euo pipefail
cd "$(dirname "$0")/../.."

plank_bin=${PLANK_BIN:-target/debug/plank}
exposure_max=15 # tenths: 1.5

# The environment file first: it needs no systemd. Each line is a comment or NAME=VALUE, as systemd wants it.
if grep -nvE '^(#.*|[A-Z_]+=.*|)$' systemd/plank.env; then
    echo "plank.env: these lines are neither a comment nor NAME=VALUE" >&2
    exit 1
fi
if [ -x "$plank_bin" ]; then
    help=$("$plank_bin" serve --help)
    for name in $(grep -oE '^#?PLANK_[A-Z_]+' systemd/plank.env | tr -d '#' | sort -u); do
        grep -qw "$name" <<<"$help" || { echo "plank.env: \`plank serve --help\` knows no $name" >&2; exit 1; }
    done
    echo "ok: plank.env has only settings that plank knows"
else
    scripts/skip.sh "plank.env against plank --help" "$plank_bin is missing"
fi
if [ -x "$plank_bin" ] && [ "$(uname)" = Linux ] && command -v python3 >/dev/null; then
    python3 tests/deploy/notify.py "$plank_bin"
else
    scripts/skip.sh "what plank says to systemd" "$plank_bin, Linux or python3 is missing"
fi

command -v systemd-analyze >/dev/null || { scripts/skip.sh "systemd unit" "systemd-analyze is missing"; exit; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# `verify` wants the program to exist, and plank is not installed here: another program stands in for it.
sed "s|^ExecStart=/usr/bin/plank|ExecStart=$(command -v true)|" systemd/plank.service >"$tmp/plank.service"
cp systemd/plank.socket "$tmp/"
# It exits 0 on an unknown setting, so anything that it says about this unit is a failure.
said=$(systemd-analyze verify --man=no "$tmp/plank.service" "$tmp/plank.socket" 2>&1) || { echo "$said" >&2; exit 1; }
if grep -E 'plank\.(service|socket)' <<<"$said" >&2; then exit 1; fi
echo "ok: systemd-analyze verify"

# Older systemds have no --offline: then there is no score without installing the unit.
if ! systemd-analyze --help | grep -q -e --threshold; then
    scripts/skip.sh "sandbox score" "this systemd-analyze is too old"
    exit
fi
score=$(systemd-analyze security --no-pager --offline=true --threshold=$exposure_max "$tmp/plank.service") ||
    { grep -v ✓ <<<"$score" >&2; echo "the sandbox is weaker than $exposure_max tenths" >&2; exit 1; }
echo "ok:$(grep -o ' Overall exposure level.*: [0-9.]*' <<<"$score"), at most $((exposure_max / 10)).$((exposure_max % 10))"
