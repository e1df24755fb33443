#!/usr/bin/env bash
# The Autobahn test suite against examples/ws_echo.rs, which is plank's WebSocket codec and nothing else: RFC 6455 and
# permessage-deflate. CASES names some of its cases, as in CASES="1.* 12.1.*"; without it all are run.
#
# It needs Python 2.7: one that is in PATH, or one that pyenv has or can build. The suite comes from PyPI into target/,
# once per checkout and version.
set -euo pipefail
cd "$(dirname "$0")/../.."

what="Autobahn"
echo_bin=$PWD/${ECHO_BIN:-target/release/examples/ws_echo}
[ -x "$echo_bin" ] || { scripts/skip.sh "$what" "$echo_bin is missing (cargo build --release --example ws_echo)"; exit; }
scripts/need.sh --check python3-venv || { scripts/skip.sh "$what" "python3-venv is missing"; exit; }

python27() {
    local version=2.7.18
    if command -v pyenv >/dev/null && pyenv install --skip-existing $version >&2; then
        echo "$(pyenv prefix $version)/bin/python2.7"
    else
        command -v python2.7
    fi
}

venv=$PWD/target/tools/autobahn
if ! cmp --silent tests/autobahn/requirements.txt "$venv/installed.txt"; then
    python=$(python27) || { scripts/skip.sh "$what" "there is no Python 2.7, and no pyenv that can install one"; exit; }
    rm -rf "$venv" "$venv-maker"
    # The last virtualenv that makes environments for Python 2.7.
    { python3 -m venv "$venv-maker" &&
        "$venv-maker/bin/pip" install --quiet --disable-pip-version-check 'virtualenv<20.22' &&
        "$venv-maker/bin/virtualenv" --quiet --python "$python" "$venv" &&
        "$venv/bin/pip" install --quiet --disable-pip-version-check --no-python-version-warning --no-deps \
            --requirement tests/autobahn/requirements.txt; } || {
        scripts/skip.sh "$what" "pip can't install tests/autobahn/requirements.txt"
        exit
    }
    cp tests/autobahn/requirements.txt "$venv/installed.txt"
fi

tmp=$(mktemp -d /tmp/plank-autobahn.XXXXXX)
reports=$PWD/target/autobahn
echo_pid=

cleanup() {
    local status=$?
    trap - EXIT
    if [ -n "$echo_pid" ]; then
        kill "$echo_pid" 2>/dev/null || true
        wait "$echo_pid" 2>/dev/null || true
    fi
    if [ $status -ne 0 ] && [ -e "$tmp/wstest.log" ]; then
        echo "run.sh failed; the last lines of wstest:" >&2
        tail -n 5 "$tmp/wstest.log" >&2
    fi
    rm -rf "$tmp"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

exec 3< <(exec "$echo_bin" 127.0.0.1:0 2>"$tmp/echo.log")
echo_pid=$!
IFS= read -r -t 10 line <&3 || { echo "ws_echo did not start" >&2; exit 1; }
address=${line#ws_echo is live at }

rm -rf "$reports"
read -ra cases <<<"${CASES:-*}"
printf -v list '"%s",' "${cases[@]}"
cat >"$tmp/spec.json" <<SPEC
{
    "outdir": "$reports", "servers": [{"agent": "plank", "url": "$address"}],
    "cases": [${list%,}], "exclude-cases": [], "exclude-agent-cases": {}
}
SPEC
started=$SECONDS
timeout --kill-after=10 3600 "$venv/bin/wstest" -m fuzzingclient -s "$tmp/spec.json" >"$tmp/wstest.log" 2>&1
echo "Autobahn: $((SECONDS - started)) s, reports in target/autobahn/index.html"
python3 tests/autobahn/verdict.py "$reports/index.json"
echo "ok: Autobahn, ${cases[*]}"
