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
had=$tmp/had
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
    if mountpoint --quiet "$had" && ! umount "$had" 2>/dev/null; then umount --lazy "$had" || true; fi
    [ $status -eq 0 ] || tail -n 20 "$tmp/console.log" >&2 || true
    rm -rf --one-file-system "$tmp"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# A machine on which all this was tried before. None of it may count here.
mkdir "$had"
# A file system of its own: the layers of an overlay may not be within each other.
mount -t tmpfs -o mode=755 tmpfs "$had" || { scripts/skip.sh "$what" "nothing can be mounted here"; exit; }
mkdir -p "$had"/var/lib/plank/pgdata "$had"/etc/plank "$had"/etc/nginx/modules-enabled "$had"/etc/systemd/system "$had"/etc/postgresql-common
chmod 700 "$had/var/lib/plank/pgdata"
touch "$had/var/lib/plank/pgdata/is-no-cluster"
echo 'PLANK_LISTEN=is-no-address' >"$had/etc/plank/plank.env"
echo 'load_module /is/not/there.so;' >"$had/etc/nginx/modules-enabled/10-gone.conf"
echo 'is no configuration' >"$had/etc/nginx/nginx.conf"
ln -s /dev/null "$had/etc/systemd/system/plank.service"
ln -s /dev/null "$had/etc/systemd/system/nginx.service"
echo 'port = is-no-port' >"$had/etc/postgresql-common/createcluster.conf"

# The layer takes all that is written; what is mounted elsewhere (/proc, /tmp) is not part of it.
mkdir -p "$tmp/upper" "$tmp/work" "$root"
if ! mount -t overlay overlay -o "lowerdir=$had:/,upperdir=$tmp/upper,workdir=$tmp/work" "$root"; then
    scripts/skip.sh "$what" "no overlay can be mounted here"
    exit
fi

# What belongs to this machine, and would be started there or hold up the boot.
rm -f "$root"/usr/sbin/policy-rc.d "$root"/etc/systemd/system/*.wants/*
# And what is of the programs under test, by whatever name it was changed there.
if chroot "$root" dpkg --status plank >/dev/null 2>&1; then chroot "$root" dpkg --purge plank >/dev/null 2>&1 || true; fi
rm -rf "$root"/var/lib/plank "$root"/var/lib/private/plank "$root"/etc/plank "$root"/etc/nginx/modules-enabled/* \
    "$root"/etc/systemd/system/plank* "$root"/etc/systemd/system/nginx* "$root"/etc/systemd/system/postgresql* \
    "$root"/usr/lib/systemd/system/plank* "$root"/etc/postgresql-common/createcluster.conf
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
    systemd-sysusers --root="$root" plank.conf
fi

# TLS, as plank.conf shows it, and a reload that does not wait longer for old sockets than this test does.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -keyout "$tmp/key.pem" -out "$tmp/cert.pem" 2>/dev/null
install -D -m 600 "$tmp/key.pem" "$root/etc/ssl/plank/privkey.pem"
install -D -m 644 "$tmp/cert.pem" "$root/etc/ssl/plank/fullchain.pem"
sed -e 's|server_name plank.example.com;|server_name localhost;|' -e 's|#\(listen.*ssl.*;\)|\1|' -e 's|#\(ssl_certificate.*;\)|\1|' \
    nginx/plank.conf >"$root/etc/nginx/conf.d/plank.conf"
cat >"$root/etc/nginx/nginx.conf" <<'CONF'
user www-data;
pid /run/nginx.pid;
worker_shutdown_timeout 2s;
events { worker_connections 4096; }
http {
    access_log off;
    include /etc/nginx/conf.d/*.conf;
}
CONF

# As plank.env says: the service's user is a role of the same name.
mkdir -p "$root/etc/plank"
cat >"$root/etc/plank/plank.env" <<'ENV'
PLANK_DATABASE_URL=postgresql://plank@/plank?host=/var/run/postgresql
PLANK_DEMO=1
PLANK_TRUSTED_PROXIES=127.0.0.1,::1
ENV
chmod 600 "$root/etc/plank/plank.env"
# 30 s and 10 s are meant for years; the test has less. And a debug build reads its pages from where they are in the sources,
# which may be in a home directory or in /tmp: neither is there in the container.
pages=/usr/share/plank-pages
mkdir -p "$root$pages"
cp -a static/. "$root$pages/"
cat >"$root/etc/systemd/system/plank.service.d/test.conf" <<CONF
[Service]
WatchdogSec=4s
TimeoutAbortSec=1s
ProtectHome=tmpfs
BindReadOnlyPaths=$pages:$PWD/static
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
inside systemd-run --quiet --pipe --wait -p EnvironmentFile=/etc/plank/plank.env -p User=plank \
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
    inside systemd-run --quiet --unit=plank-$i -p Type=notify -p Restart=always -p RestartSec=1 -p User=plank \
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

# A private PostgreSQL that root's plank has made by hand, where the service keeps its own. The service takes it over, also
# back and forth; while root's plank is still there, the service says so, and takes it over when that one has ended.
inside systemctl stop 'plank-*.service'
rm -rf "$root/var/lib/plank"
echo "PLANK_DEMO=1" >"$root/etc/plank/plank.env"
service=http://127.0.0.1:8080
hands=http://127.0.0.1:8090
hands_pid=
by_hand() {
    inside plank serve --listen "${hands#http://}" >"$tmp/hands.out" 2>"$tmp/hands.log" &
    hands_pid=$!
    until_live "$hands" "$tmp/hands.log"
}
until_live() {
    local deadline=$((SECONDS + 60))
    until fetch --fail --output /dev/null "$1/readyz" 2>/dev/null; do
        [ $SECONDS -lt $deadline ] || { echo "there is no plank at $1" >&2; tail -n 20 "${2:-/dev/null}" >&2; exit 1; }
        sleep 0.1
    done
}
end_by_hand() {
    # By its name within the container; that of the service is /usr/bin/plank.
    inside kill -TERM "$(inside pgrep --newest --full "^plank serve --listen ${hands#http://}\$")"
    wait "$hands_pid" || { echo "plank by hand failed" >&2; tail -n 20 "$tmp/hands.log" >&2; exit 1; }
}
expect_items() {
    local count
    count=$(fetch "$2/api/items" | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["items"]))')
    [ "$count" = "$1" ] || { echo "$2, $3: $count items, not $1" >&2; exit 1; }
}
by_hand
expect 201 "${json[@]}" --data '{"name": "by hand"}' "$hands/api/items"
inside systemctl start --no-block plank.service
deadline=$((SECONDS + 30))
until inside journalctl --quiet --unit plank --grep 'is in use by another plank \(pid [0-9]+\); stop that one first' >/dev/null; do
    [ $SECONDS -lt $deadline ] || { echo "the service does not say that a plank by hand is in the way" >&2; exit 1; }
    sleep 0.2
done
end_by_hand
until_live "$service"
expect_items 1 "$service" "the service, on what root's plank has made"
expect 201 "${json[@]}" --data '{"name": "of the service"}' "$service/api/items"
inside systemctl stop plank.service
by_hand
expect_items 2 "$hands" "root's plank, on what the service has taken over"
end_by_hand
inside systemctl start plank.service
until_live "$service"
expect_items 2 "$service" "the service, after root's plank"
inside systemctl stop plank.service
echo "ok: the service takes over a private PostgreSQL that root's plank has made, and says when that one is in the way"
