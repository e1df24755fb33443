#!/usr/bin/env bash
# The conformance suite: each rule of docs/PROTOCOL.md is kept by the clients of JavaScript and Python, and each script notices a client
# that breaks its rule. It needs no plank.
set -euo pipefail
cd "$(dirname "$0")/../.."

what="the conformance suite"
scripts/need.sh --check node || { scripts/skip.sh "$what" "node is missing"; exit; }
node clients/conformance/documented.mjs docs/PROTOCOL.md
echo "ok: docs/PROTOCOL.md names each rule by its script"

python=$PWD/target/tools/python-client/bin/python
[ -x "$python" ] || { scripts/skip.sh "$what" "$python is missing: tests/clients/python.sh installs it"; exit; }

play() {
    local name=$1 sources=$2
    shift 2
    node clients/conformance/play.mjs -- "$@" || return
    echo "ok: the client of $name keeps each rule"
    node clients/conformance/play.mjs --broken "clients/conformance/breaks/$name.json" "$sources" -- "$@" || return
    echo "ok: each rule is missed when the client of $name breaks it"
}

# 22 and newer have a WebSocket by themselves, and may not know the option any more.
flags=(--no-warnings)
node -e 'process.exit(globalThis.WebSocket ? 0 : 1)' || flags+=(--experimental-websocket)
# Scripts mostly wait, so both languages are played at a time.
PLANK_CLIENT=$PWD/static play javascript static node "${flags[@]}" clients/conformance/players/javascript.mjs &
PYTHONPATH=$PWD/clients/python/src play python clients/python/src "$python" clients/conformance/players/python.py
wait $!
