#!/usr/bin/env bash
# soak.sh: tests/soak/soak.py against PLANK_BIN (target/release/plank) with a private PostgreSQL in a temporary directory, for
# SECONDS (600). The retention is short, so that the ring of the log turns many times.
set -euo pipefail
cd "$(dirname "$0")/.."

tmp=$(mktemp -d /tmp/plank-soak.XXXXXX)
chmod 755 "$tmp"
# shellcheck source=scripts/test-plank.sh
. scripts/test-plank.sh
cleanup() {
    local status=$?
    trap - EXIT
    stop_plank
    [ $status -eq 0 ] || tail -n 20 "$tmp/plank.log" >&2 || true
    rm -rf "$tmp"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

start_plank "${PLANK_BIN:-target/release/plank}" "$tmp" --retention 30s --canary 2s
python3 tests/soak/soak.py "${address:?}" "$plank_pid" "${SECONDS_OF_SOAK:-600}"
