#!/usr/bin/env bash
# nginx/plank.conf in a real nginx in front of a real plank with a private PostgreSQL: HTTP, a WebSocket, a stream, a
# long poll, the log.
# PLANK_BIN is the program to test. Nothing outside a temporary directory is touched.
set -euo pipefail
cd "$(dirname "$0")/../.."

# On other systems the tools differ, and nobody runs a server there.
[ "$(uname)" = Linux ] || { scripts/skip.sh "nginx in front of plank" "this is no Linux"; exit; }
plank_bin=${PLANK_BIN:-target/debug/plank}
nginx_bin=$(PATH="$PATH:/usr/sbin:/sbin" command -v nginx) || { scripts/skip.sh "nginx in front of plank" "nginx is missing"; exit; }
for tool in curl python3; do
    command -v $tool >/dev/null || { scripts/skip.sh "nginx in front of plank" "$tool is missing"; exit; }
done

# As root plank drops to the user postgres for its PostgreSQL, and nginx to one for its workers: both must get in.
tmp=$(mktemp -d /tmp/plank-deploy.XXXXXX)
chmod 755 "$tmp"
# shellcheck source=scripts/test-plank.sh
. scripts/test-plank.sh

cleanup() {
    local status=$?
    trap - EXIT
    [ ! -s "$tmp/nginx.pid" ] || kill "$(cat "$tmp/nginx.pid")" || true
    stop_plank
    if [ $status -ne 0 ]; then
        echo "nginx.sh failed; the last lines of each log:" >&2
        tail -n 20 "$tmp"/*.log >&2 || true
    fi
    rm -rf "$tmp"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# make_config UPSTREAM: the site file as it is, but for the addresses and the place of its log.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
port=$(free_port)
port_of_path=$(free_port)
port_of_careless=$(free_port)
make_config() {
    sed -e "s|listen 80;|listen 127.0.0.1:$port;|" -e '/listen \[::\]:80;/d' -e "s|server 127.0.0.1:8080;|server $1;|" \
        -e "s|/var/log/nginx/|$tmp/|" nginx/plank.conf >"$tmp/site.conf"
    # The variant below a path, as a person would uncomment it.
    {
        echo "server { listen 127.0.0.1:$port_of_path; access_log off;"
        sed -n -e '/^# Below a path/,$ s|^#    |    |p' nginx/plank.conf | sed -e "s|/var/log/nginx/|$tmp/|"
        echo "}"
        # As nginx is by itself, but that it compresses: no upgrade, HTTP/1.0, weak tags.
        echo "server { listen 127.0.0.1:$port_of_careless; access_log off; gzip on; gzip_proxied any; gzip_min_length 1;"
        echo "gzip_types application/json; location / { proxy_pass http://$1; } }"
    } >>"$tmp/site.conf"
    cat >"$tmp/nginx.conf" <<CONF
pid $tmp/nginx.pid;
error_log $tmp/error.log;
events { worker_connections 256; }
http {
    client_body_temp_path $tmp/body;
    proxy_temp_path $tmp/proxy;
    fastcgi_temp_path $tmp/fastcgi;
    uwsgi_temp_path $tmp/uwsgi;
    scgi_temp_path $tmp/scgi;
    include $tmp/site.conf;
}
CONF
}

run_nginx() {
    "$nginx_bin" -p "$tmp" -e "$tmp/error.log" -c "$tmp/nginx.conf" "$@"
}

make_config 127.0.0.1:8080
run_nginx -t -q
echo "ok: nginx accepts nginx/plank.conf"

[ -x "$plank_bin" ] || { scripts/skip.sh "nginx in front of plank" "$plank_bin is missing (make build, or cargo build)"; exit; }

start_plank "$plank_bin" "$tmp" --trusted-proxy 127.0.0.1
echo "ok: plank is live"

# nginx goes to the background by itself, once it listens.
make_config "$address"
run_nginx
base=http://127.0.0.1:$port
fetch=(curl --silent --show-error --noproxy '*' --max-time 10)

"${fetch[@]}" --fail --output /dev/null "$base/livez"
echo "ok: GET /livez through nginx"

status=$("${fetch[@]}" --output "$tmp/item.log" --write-out '%{http_code}' --header 'Content-Type: application/json' \
    --data '{"name": "posted through nginx"}' "$base/api/items")
[ "$status" = 201 ] || { echo "POST /api/items: status $status, not 201" >&2; exit 1; }
echo "ok: POST /api/items through nginx is a 201"

python3 tests/deploy/ws.py "$base"
echo "ok: a WebSocket through nginx: welcome, subscribed, changes"

below=http://127.0.0.1:$port_of_path/live
location=$("${fetch[@]}" --output /dev/null --write-out '%header{location}' --header 'Content-Type: application/json' \
    --data '{"name": "posted below a path"}' "$below/api/items")
"${fetch[@]}" --fail --output /dev/null "http://127.0.0.1:$port_of_path$location"
echo "ok: the Location of a 201 below a path leads there"
python3 tests/deploy/ws.py "$below"
"${fetch[@]}" --fail --location "$below" | grep -q '<title>'
[ "$("${fetch[@]}" --output /dev/null --write-out '%{http_code}' "$below/metrics")" = 403 ]
# A plank may find the machine's own limits too low, which is not what is asked here.
"$plank_bin" doctor --json --max-connections 1 --data-dir "$tmp/data" --url "$below" >"$tmp/doctor.log"
grep -q '"healthy": true' "$tmp/doctor.log"
echo "ok: the same below a path, and plank doctor finds nothing wrong there"

careless=http://127.0.0.1:$port_of_careless
handshake=(--header 'Connection: Upgrade' --header 'Upgrade: websocket' --header 'Sec-WebSocket-Version: 13'
    --header 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==')
status=$("${fetch[@]}" --output "$tmp/answer.log" --write-out '%{http_code}' "${handshake[@]}" "$careless/ws")
[ "$status" = 426 ] || { echo "a handshake that nginx has stripped: $status" >&2; exit 1; }
grep -F 'does not pass the upgrade on' "$tmp/answer.log" >/dev/null
echo "ok: a handshake whose upgrade nginx has taken out is told so"
tag=$("${fetch[@]}" --compressed --output /dev/null --write-out '%header{etag}' "$careless/api/items/1")
[ "$tag" = 'W/"1"' ] || { echo "nginx has not made the tag weak: $tag" >&2; exit 1; }
status=$("${fetch[@]}" --output "$tmp/answer.log" --write-out '%{http_code}' --request PATCH --header 'Content-Type: application/json' \
    --header "If-Match: $tag" --data '{"status": "done"}' "$careless/api/items/1")
[ "$status" = 412 ] || { echo "a weak tag: $status" >&2; exit 1; }
grep -F 'a proxy' "$tmp/answer.log" >/dev/null
"$plank_bin" doctor --json --max-connections 1 --data-dir "$tmp/data" --url "$careless" >"$tmp/doctor.log" || true
for part in 'made weak on its way' 'does not pass the upgrade on'; do grep -F "$part" "$tmp/doctor.log" >/dev/null; done
echo "ok: a tag that nginx has made weak is refused with the reason, and plank doctor finds both"

# expect_line TEXT: the next line of the stream that has it. A proxy that buffers gives none in time.
expect_line() {
    while IFS= read -r -t 10 line <&4; do
        case $line in *"$1"*) return ;; esac
    done
    echo "the stream had no line with: $1" >&2
    exit 1
}
post() {
    "${fetch[@]}" --fail --output /dev/null --header 'Content-Type: application/json' --data "{\"name\": \"$1\"}" "$base/api/items"
}
exec 4< <(exec curl --silent --no-buffer --compressed --noproxy '*' --dump-header "$tmp/stream.head" "$base/api/stream?table=items")
stream_pid=$!
expect_line 'event: subscribed'
expect_line 'id: '
post "through the stream"
expect_line 'event: changes'
expect_line '"through the stream"'
expect_line 'id: '
kill "$stream_pid"
exec 4<&-
grep -qi '^content-type: text/event-stream' "$tmp/stream.head"
if grep -i '^content-encoding:' "$tmp/stream.head"; then
    echo "the stream is compressed, and late" >&2
    exit 1
fi
echo "ok: Server-Sent Events through nginx, as they happen"

cursor=$("${fetch[@]}" --fail "$base/api/changes?table=items" | python3 -c 'import json, sys; print(json.load(sys.stdin)["cursor"])')
"${fetch[@]}" --fail "$base/api/changes?table=items&since=$cursor&wait=30" >"$tmp/poll.log" &
poll_pid=$!
post "to the long poll"
wait "$poll_pid"
grep -q '"to the long poll"' "$tmp/poll.log"
echo "ok: a long poll through nginx"

# The WebSocket is logged when it has ended, so wait for nginx to end as well: SIGQUIT lets it finish first.
nginx_pid=$(cat "$tmp/nginx.pid")
run_nginx -s quit
timeout 20 tail --pid="$nginx_pid" --follow /dev/null || { echo "nginx did not stop" >&2; exit 1; }
grep -q '"GET /ws" 101' "$tmp/plank.access.log"
if grep -F 'table=items' "$tmp/plank.access.log"; then
    echo "the access log shows a query string" >&2
    exit 1
fi
echo "ok: the access log has the WebSocket, without its query string"

kill -TERM "$plank_pid"
code=0
wait "$plank_pid" || code=$?
plank_pid=
[ $code -eq 0 ] || { echo "plank ended with $code on SIGTERM, not with 0" >&2; exit 1; }
echo "ok: plank stops on SIGTERM"
