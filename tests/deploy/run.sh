#!/usr/bin/env bash
# `make run` as the README says, on this machine as it is: plank is live, shows its page, and ends with Ctrl-C. It leaves what it leaves
# for a person (as root /var/lib/plank), so that `make test` behind it shows that no test minds. .ci/run runs both, in that order.
# Another plank on this machine keeps its port and its data.
set -euo pipefail
cd "$(dirname "$0")/../.."

tmp=$(mktemp -d /tmp/plank-run.XXXXXX)
chmod 755 "$tmp"
group=
cleanup() {
    local status=$?
    trap - EXIT
    [ -z "$group" ] || kill -KILL -- "-$group" 2>/dev/null || true
    [ $status -eq 0 ] || tail -n 30 "$tmp/out.log" "$tmp/err.log" >&2 || true
    rm -rf "$tmp"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

touch "$tmp/out.log" "$tmp/err.log"
args=
if ! python3 -c 'import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 8080))' 2>/dev/null; then
    echo "port 8080 is taken: another one, and other data"
    args="--listen 127.0.0.1:0 --data-dir $tmp/data"
fi
for variable in DATABASE_URL ${!PLANK_*}; do
    case $variable in PLANK_PG_BIN | PLANK_INSTALL) ;; *) unset "$variable" ;; esac
done
# A process group of its own: a Ctrl-C goes to all of a terminal's. Job control gives it one, and with it the signal is not ignored.
set -m
make run ARGS="$args" </dev/null >"$tmp/out.log" 2>"$tmp/err.log" &
group=$!
set +m
# Most of this is the build.
deadline=$((SECONDS + ${RUN_MAX_S:-1500}))
until url=$(sed -n 's/^plank is live at //p' "$tmp/out.log" | grep .); do
    [ $SECONDS -lt $deadline ] || { echo "plank was not live in time" >&2; exit 1; }
    kill -0 "$group" 2>/dev/null || { echo "make run ended" >&2; exit 1; }
    sleep 0.2
done
curl --silent --show-error --fail --noproxy '*' --max-time 10 "$url" | grep '<title>' >/dev/null
kill -INT -- "-$group"
# make says itself that it was interrupted.
wait "$group" || true
group=
grep -q 'private postgresql stopped' "$tmp/err.log" || { echo "the private PostgreSQL was not stopped" >&2; exit 1; }
echo "ok: make run as the README says: live at $url, a page, and Ctrl-C ends it"
