#!/usr/bin/env bash
# A real HAProxy that compresses all that it may, in front of a real plank with a private PostgreSQL: what plank must not have
# compressed comes as it is, because it says so (no-transform), and the rest works.
# PLANK_BIN is the program to test. Nothing outside a temporary directory is touched.
set -euo pipefail
cd "$(dirname "$0")/../.."
what="HAProxy in front of plank"

[ "$(uname)" = Linux ] || { scripts/skip.sh "$what" "this is no Linux"; exit; }
plank_bin=${PLANK_BIN:-target/debug/plank}
haproxy_bin=$(PATH="$PATH:/usr/sbin:/sbin" command -v haproxy) || { scripts/skip.sh "$what" "haproxy is missing"; exit; }
for tool in curl python3; do
    command -v $tool >/dev/null || { scripts/skip.sh "$what" "$tool is missing"; exit; }
done
[ -x "$plank_bin" ] || { scripts/skip.sh "$what" "$plank_bin is missing (make build, or cargo build)"; exit; }

tmp=$(mktemp -d /tmp/plank-haproxy.XXXXXX)
chmod 755 "$tmp"
# shellcheck source=scripts/test-plank.sh
. scripts/test-plank.sh
haproxy_pid=
cleanup() {
    local status=$?
    trap - EXIT
    [ -z "$haproxy_pid" ] || { kill "$haproxy_pid" 2>/dev/null || true; wait "$haproxy_pid" 2>/dev/null || true; }
    stop_plank
    if [ $status -ne 0 ]; then
        echo "haproxy.sh failed; the last lines of each log:" >&2
        tail -n 20 "$tmp"/*.log >&2 || true
    fi
    rm -rf "$tmp"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

start_plank "$plank_bin" "$tmp" --trusted-proxy 127.0.0.1
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$tmp/haproxy.cfg" <<CONF
defaults
    mode http
    timeout connect 5s
    timeout client 100s
    timeout server 100s
    timeout tunnel 1h
frontend site
    bind 127.0.0.1:$port
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    filter compression
    compression algo gzip
    compression type application/json text/event-stream text/html
    default_backend plank
backend plank
    server one $address
CONF
"$haproxy_bin" -c -f "$tmp/haproxy.cfg" >/dev/null
"$haproxy_bin" -db -f "$tmp/haproxy.cfg" >"$tmp/haproxy.log" 2>&1 &
haproxy_pid=$!
base=http://127.0.0.1:$port
fetch=(curl --silent --show-error --noproxy '*' --max-time 10)
"${fetch[@]}" --fail --retry 50 --retry-delay 0 --retry-connrefused --output /dev/null "$base/livez"
echo "ok: GET /livez through HAProxy"

json=(--header 'Content-Type: application/json')
"${fetch[@]}" --fail --output /dev/null "${json[@]}" --data '{"name": "posted through HAProxy"}' "$base/api/items"
python3 tests/deploy/ws.py "$base"
echo "ok: a WebSocket through HAProxy"

# head_of PATH: what a client that takes compressed answers gets.
head_of() {
    "${fetch[@]}" --output /dev/null --dump-header - --header 'Accept-Encoding: gzip' "$base$1" | tr -d '\r' | tr '[:upper:]' '[:lower:]'
}
head_of "/api/items" | grep '^content-encoding: gzip' >/dev/null || { echo "HAProxy compresses nothing: this test shows nothing" >&2; exit 1; }
head=$(head_of "/api/items/1")
if grep '^content-encoding:' <<<"$head"; then echo "an item is compressed, and its tag means nothing" >&2; exit 1; fi
tag=$(sed -n 's/^etag: //p' <<<"$head")
[ "$tag" = '"1"' ] || { echo "the tag of an item is $tag" >&2; exit 1; }
status=$("${fetch[@]}" --output "$tmp/answer.log" --write-out '%{http_code}' --request PATCH "${json[@]}" --header "If-Match: $tag" \
    --data '{"status": "done"}' "$base/api/items/1")
[ "$status" = 200 ] || { echo "PATCH with the tag: $status" >&2; exit 1; }
echo "ok: entity tags come as they are through a proxy that compresses"

exec 4< <(exec curl --silent --no-buffer --compressed --noproxy '*' --dump-header "$tmp/stream.head" "$base/api/stream?table=items")
stream_pid=$!
found=
while [ -z "$found" ] && IFS= read -r -t 10 line <&4; do case $line in *'event: subscribed'*) found=yes ;; esac; done
kill "$stream_pid"
exec 4<&-
[ -n "$found" ] || { echo "the first event did not come in time" >&2; exit 1; }
if grep -i '^content-encoding:' "$tmp/stream.head"; then echo "the stream is compressed, and late" >&2; exit 1; fi
echo "ok: Server-Sent Events through HAProxy, as they happen"

"$plank_bin" doctor --json --max-connections 1 --data-dir "$tmp/data" --url "$base" >"$tmp/doctor.log"
grep '"healthy": true' "$tmp/doctor.log" >/dev/null
echo "ok: plank doctor finds nothing wrong"
