#!/usr/bin/env bash
# plank as a system service: a real systemd boots in a container whose disk is this machine's with a layer on top, with the
# distribution's PostgreSQL and nginx as their own units, and plank installed as a package. Then a page, CRUD, a WebSocket
# and a stream through nginx with TLS; and everything that can be stopped, killed or frozen is, while clients follow.
# PLANK_BIN is the program to test, PLANK_DEB the package that it comes in, if any. Nothing outside a temporary directory is changed.
set -euo pipefail
cd "$(dirname "$0")/../.."
what="plank as a system service"

plank_bin=${PLANK_BIN:-target/debug/plank}
[ "$(uname)" = Linux ] || { scripts/skip.sh "$what" "this is no Linux"; exit; }
[ "$(id -u)" = 0 ] || { scripts/skip.sh "$what" "a container is booted as root only"; exit; }
for tool in systemd-nspawn nginx openssl curl python3 pg_createcluster nsenter; do
    PATH="$PATH:/usr/sbin:/sbin" command -v $tool >/dev/null || { scripts/skip.sh "$what" "$tool is missing"; exit; }
done
[ -x "$plank_bin" ] || { scripts/skip.sh "$what" "$plank_bin is missing (make build, or cargo build)"; exit; }

tmp=$(mktemp -d /tmp/plank-systemd.XXXXXX)
root=$tmp/root
nspawn_pid=
leader=
cleanup() {
    local status=$?
    trap - EXIT
    if [ $status -ne 0 ] && [ -n "$leader" ]; then
        echo "systemd.sh failed; what the container says:" >&2
        inside systemctl --no-pager list-jobs >&2 || true
        inside journalctl --no-pager --lines 40 --unit plank --unit nginx --unit 'postgresql*' >&2 || true
    fi
    [ -z "$leader" ] || kill -KILL "$leader" 2>/dev/null || true
    [ -z "$nspawn_pid" ] || { kill "$nspawn_pid" 2>/dev/null || true; wait "$nspawn_pid" 2>/dev/null || true; }
    if mountpoint --quiet "$root" && ! umount "$root" 2>/dev/null; then umount --lazy "$root" || true; fi
    [ $status -eq 0 ] || tail -n 20 "$tmp/console.log" >&2 || true
    rm -rf --one-file-system "$tmp"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# The layer takes all that is written; what is mounted elsewhere (/proc, /tmp) is not part of it.
mkdir -p "$tmp/upper" "$tmp/work" "$root"
if ! mount -t overlay overlay -o "lowerdir=/,upperdir=$tmp/upper,workdir=$tmp/work" "$root"; then
    scripts/skip.sh "$what" "no overlay can be mounted here"
    exit
fi

# What belongs to this machine, and would be started there or hold up the boot.
rm -f "$root"/usr/sbin/policy-rc.d "$root"/etc/systemd/system/*.wants/*
# An identity of its own; with none it would be a first boot, which enables all that is installed.
systemd-id128 new >"$root/etc/machine-id"
mkdir -p "$root/etc/systemd/system/plank.service.d"
ln -sf /dev/null "$root/etc/systemd/system/systemd-tmpfiles-setup.service"
rm -rf "$root"/etc/postgresql/* "$root"/var/lib/postgresql/* "$root"/etc/nginx/sites-enabled/* "$root"/etc/nginx/conf.d/*
systemctl --root="$root" set-default multi-user.target >/dev/null 2>&1
mkdir -p "$root/var/log/nginx" "$root/var/log/postgresql"
chown postgres: "$root/var/log/postgresql"

# The package, or the same files without one.
package=${PLANK_DEB:-}
if [ -n "$package" ]; then
    cp "$package" "$root/root/plank.deb"
else
    make --silent install DESTDIR="$root" BIN="$plank_bin"
fi

# TLS, as plank.conf shows it, and a reload that does not wait longer for old sockets than this test does.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -keyout "$tmp/key.pem" -out "$tmp/cert.pem" 2>/dev/null
install -D -m 600 "$tmp/key.pem" "$root/etc/ssl/plank/privkey.pem"
install -D -m 644 "$tmp/cert.pem" "$root/etc/ssl/plank/fullchain.pem"
sed -e 's|server_name plank.example.com;|server_name localhost;|' -e 's|#\(listen.*ssl.*;\)|\1|' -e 's|#\(ssl_certificate.*;\)|\1|' \
    nginx/plank.conf >"$root/etc/nginx/conf.d/plank.conf"
sed -i -e 's|worker_connections [0-9]*|worker_connections 4096|' -e '1i worker_shutdown_timeout 2s;' "$root/etc/nginx/nginx.conf"

# As plank.env says: the service's user is a role of the same name.
mkdir -p "$root/etc/plank"
cat >"$root/etc/plank/plank.env" <<'ENV'
PLANK_DATABASE_URL=postgresql://plank@/plank?host=/var/run/postgresql
PLANK_TRUSTED_PROXIES=127.0.0.1,::1
ENV
chmod 600 "$root/etc/plank/plank.env"
# 30 s and 10 s are meant for years; the test has less. And a debug build reads its pages from where they are in the sources,
# which may be a home directory.
mkdir -p "$root$PWD"
cp -a static "$root$PWD/"
cat >"$root/etc/systemd/system/plank.service.d/test.conf" <<CONF
[Service]
WatchdogSec=4s
TimeoutAbortSec=1s
ProtectHome=tmpfs
BindReadOnlyPaths=$PWD/static
CONF

systemd-nspawn --quiet --directory "$root" --boot --register=no --keep-unit --private-network --resolv-conf=off \
    --timezone=off --link-journal=no --console=pipe </dev/null >"$tmp/console.log" 2>&1 &
nspawn_pid=$!

inside() {
    nsenter --target "$leader" --mount --uts --ipc --net --pid --root --wd -- "$@"
}
# Its first process has systemd-nspawn for its parent.
deadline=$((SECONDS + 25))
until [ -n "$leader" ] && state=$(inside systemctl is-system-running 2>/dev/null) || [[ "${state:-}" == degraded ]]; do
    [ $SECONDS -lt $deadline ] || { echo "systemd did not come up within 60 s: ${state:-nothing}" >&2; exit 1; }
    kill -0 "$nspawn_pid" 2>/dev/null || { echo "systemd-nspawn ended" >&2; exit 1; }
    leader=$(pgrep --parent "$nspawn_pid" | head -n 1) || leader=
    sleep 0.1
done
echo "ok: systemd $(inside systemctl --version | head -n 1 | cut -d ' ' -f 2) is up after $SECONDS s"

[ -z "$package" ] || inside dpkg --force-confold --install /root/plank.deb >"$tmp/dpkg.log" 2>&1 || { cat "$tmp/dpkg.log" >&2; exit 1; }
version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' | sort --version-sort | tail -n 1)
inside pg_createcluster "$version" main >/dev/null
inside systemctl start postgresql.service
inside runuser -u postgres -- sh -c 'createuser plank && createdb --owner plank --encoding UTF8 --template template0 plank'
inside systemctl enable --quiet --now plank.socket
inside systemctl start plank.service nginx.service
# It says so once a second.
deadline=$((SECONDS + 10))
until [[ $(inside systemctl show --property=StatusText --value plank.service) == live,* ]]; do
    [ $SECONDS -lt $deadline ] || { echo "plank has no status" >&2; exit 1; }
    sleep 0.1
done
echo "ok: plank is active$([ -z "$package" ] || echo ', from its package'): $(inside systemctl show --property=StatusText --value plank.service)"

# From this machine's files, in the container's network.
fetch() {
    nsenter --target "$leader" --net -- curl --silent --show-error --noproxy '*' --max-time 10 --cacert "$tmp/cert.pem" "$@"
}
base=https://localhost
expect() {
    local status
    status=$(fetch --output "$tmp/answer" --write-out '%{http_code}' "${@:2}")
    [ "$status" = "$1" ] || { echo "${*:2}: status $status, not $1: $(cat "$tmp/answer")" >&2; exit 1; }
}
json=(--header 'Content-Type: application/json')
expect 200 "$base/"
grep -q '<title>' "$tmp/answer"
fetch --http2 --output /dev/null --write-out '%{http_version}\n' "$base/" | grep -qx 2
echo "ok: the page, over HTTP/2"
expect 201 "${json[@]}" --data '{"name": "of a real systemd"}' "$base/api/items"
expect 200 "$base/api/items/1"
expect 200 --request PATCH "${json[@]}" --data '{"status": "done"}' "$base/api/items/1"
grep -q '"status":"done"' "$tmp/answer"
expect 204 --request DELETE "$base/api/items/1"
expect 404 "$base/api/items/1"
echo "ok: CRUD by curl"
nsenter --target "$leader" --net -- python3 tests/deploy/ws.py "$base" "$tmp/cert.pem"
echo "ok: a WebSocket through nginx with TLS"

# As docs/OPERATIONS.md says: as the user of the service, with its settings.
install -m 644 "$tmp/cert.pem" "$root/etc/ssl/plank/root.pem"
inside systemd-run --quiet --pipe --wait -p EnvironmentFile=/etc/plank/plank.env -p DynamicUser=yes -p User=plank \
    -E SSL_CERT_FILE=/etc/ssl/plank/root.pem plank doctor --url "$base" >"$tmp/doctor.txt" || { cat "$tmp/doctor.txt" >&2; exit 1; }
grep -q '^ok     upgrade' "$tmp/doctor.txt" && grep -q '^ok     stream ' "$tmp/doctor.txt"
echo "ok: plank doctor finds nothing wrong"

# restarts: what restarts.py makes happen, on an empty table.
restarts() {
    inside runuser -u postgres -- psql -Xq -d plank -c 'delete from items'
    env PACKAGE="${package:+/root/plank.deb}" "$@" nsenter --target "$leader" --net -- \
        python3 tests/deploy/restarts.py "$base" "$tmp/cert.pem" 127.0.0.1:8080 \
        nsenter --target "$leader" --mount --uts --ipc --net --pid --root --wd --
}
restarts NODES=

for i in 2 3; do
    inside systemd-run --quiet --unit=plank-$i -p Type=notify -p Restart=always -p RestartSec=1 -p DynamicUser=yes -p User=plank \
        -p EnvironmentFile=/etc/plank/plank.env plank serve --listen 127.0.0.1:$((8079 + i))
done
sed -i 's|^\( *\)#server 127.0.0.1:8081;|\1server 127.0.0.1:8081;\n\1server 127.0.0.1:8082;|' "$root/etc/nginx/conf.d/plank.conf"
inside nginx -s reload
restarts NODES=3

score=$(inside systemd-analyze security --no-pager --threshold=15 plank.service) || { grep -v ✓ <<<"$score" >&2; exit 1; }
echo "ok:$(grep -o ' Overall exposure level.*: [0-9.]*' <<<"$score"), at most 1.5"

inside systemctl stop plank.socket plank.service
result=$(inside systemctl show --property=Result,ExecMainStatus plank.service | tr '\n' ' ')
[ "$result" = "Result=success ExecMainStatus=0 " ] || { echo "the end of plank: $result" >&2; exit 1; }
echo "ok: systemctl stop ends plank with 0"
