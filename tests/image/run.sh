#!/usr/bin/env bash
# docker/Dockerfile and compose.yaml, built and run for real: with buildah, podman and runc of Debian, as root. The image is
# built, then the services of compose.yaml run with all that the file says of them, a table is made live and written through nginx,
# all is stopped in order, and the size and the start times are printed.
#
# No registry is reached. The images that the files begin with are made here, with debootstrap, under the names that the files use.
# What stands in for rust has a `cargo` that checks that it has all files of the build, and takes the binary that PLANK_BIN names.
# With TEST_IMAGE_BUILD=1 it has this machine's Rust instead, and compiles; that takes as long as a release build.
#
# The network is a namespace of its own: ports of this machine do not matter. Nothing outside of a temporary directory is changed.
set -euo pipefail
cd "$(dirname "$0")/../.."
what="docker/Dockerfile and compose.yaml"

plank_bin=$(realpath "${PLANK_BIN:-target/release/plank}")
[ "$(uname)" = Linux ] || { scripts/skip.sh "$what" "this is no Linux"; exit; }
[ "$(id -u)" = 0 ] || { scripts/skip.sh "$what" "containers are run as root only"; exit; }
tools=(buildah podman runc debootstrap curl python3 python3-yaml)
[ "$(command -v apt-get)" ] || { scripts/skip.sh "$what" "the base images are made of Debian's packages"; exit; }
scripts/need.sh "${tools[@]}" || { scripts/skip.sh "$what" "one of ${tools[*]} is missing"; exit; }
[ -x "$plank_bin" ] || { scripts/skip.sh "$what" "$plank_bin is missing (make build)"; exit; }

tmp=$(mktemp -d /tmp/plank-image.XXXXXX)
chmod 755 "$tmp"
storage=(--root "$tmp/storage" --runroot "$tmp/run" --storage-driver vfs)
network_pid=
cleanup() {
    local status=$?
    trap - EXIT
    if [ $status -ne 0 ]; then
        echo "tests/image/run.sh failed; what there is to see:" >&2
        tail -n 30 "$tmp"/*.log >&2 || true
        local name
        for name in postgres plank nginx; do
            podman_ logs --tail 15 $name >&2 2>&1 || true
        done
    fi
    podman_ rm --all --force --time 0 >/dev/null 2>&1 || true
    [ -z "$network_pid" ] || kill "$network_pid" 2>/dev/null || true
    buildah "${storage[@]}" rm --all >/dev/null 2>&1 || true
    # What a failed build may have left mounted below the directory.
    awk -v dir="$tmp/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | sort --reverse | xargs --no-run-if-empty umount --lazy || true
    rm -rf --one-file-system "$tmp"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Containers that run share the namespace of the network: inside of it, `host` is that namespace.
podman_() {
    local enter=()
    [ -z "$network_pid" ] || enter=(nsenter "--net=/proc/$network_pid/ns/net")
    "${enter[@]}" podman "${storage[@]}" --cgroup-manager cgroupfs --events-backend none --runtime runc "$@"
}
build() {
    buildah "${storage[@]}" bud --isolation chroot --format docker --pull-never --quiet "$@"
}
# In milliseconds.
now() { date +%s%3N; }

# The base of all: as Debian's slim images, without documentation and lists of packages.
begin=$SECONDS
mirror=$(sed -nE 's/^URIs: +(.*debian\.org\/debian)\/?$/\1/p; s/^deb +(\[[^]]*\] +)?(https?:[^ ]*\/debian)\/? .*/\2/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1 || true)
debootstrap --variant=minbase bookworm "$tmp/root" "${mirror:-http://deb.debian.org/debian}" >"$tmp/debootstrap.log" 2>&1
cp -a /etc/apt/apt.conf.d/*proxy* /etc/apt/apt.conf "$tmp/root/etc/apt/apt.conf.d/" 2>/dev/null || true
# As in the official image: apt keeps nothing that a layer would carry along.
cat >"$tmp/root/etc/apt/apt.conf.d/docker-clean" <<'END'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
END
rm -rf "$tmp/root"/usr/share/{doc,man,info,locale}/* "$tmp/root"/var/cache/apt/*.bin "$tmp/root"/var/cache/apt/archives/*.deb "$tmp/root"/var/lib/apt/lists/*_*
mkdir "$tmp/base"
tar --create --directory "$tmp/root" --file "$tmp/base/root.tar" .
printf 'FROM scratch\nADD root.tar /\nCMD ["bash"]\n' >"$tmp/base/Dockerfile"
build --tag docker.io/library/debian:bookworm-slim "$tmp/base" >/dev/null
rm -r "$tmp/root" "$tmp/base"
echo "ok: debian:bookworm-slim, made with debootstrap in $((SECONDS - begin)) s"

# rust: the name is that of the Dockerfile.
rust=$(sed -n 's/^FROM \(rust:[^ ]*\) AS build$/\1/p' docker/Dockerfile)
[ -n "$rust" ] || { echo "docker/Dockerfile has no stage named build from rust" >&2; exit 1; }
mkdir "$tmp/rust"
volumes=()
if [ "${TEST_IMAGE_BUILD:-}" = 1 ]; then
    cat >"$tmp/rust/Dockerfile" <<'END'
FROM debian:bookworm-slim
RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends gcc libc6-dev ca-certificates >/dev/null
ENV PATH=/rust/bin:/usr/bin:/bin CARGO_HOME=/cargo
END
    mkdir -p "$tmp/cargo"
    volumes=(--volume "$(rustc --print sysroot):/rust:ro" --volume "${CARGO_HOME:-$HOME/.cargo}/registry:/cargo/registry")
else
    # Each file of the sources that the binary depends on, as the compiler noted it.
    made_in=$(sed -n "1s|/target/.*||p" "$plank_bin.d")
    sed -e "s/^[^:]*: *//" -e "s/ /\n/g" "$plank_bin.d" | sed -n "s|^$made_in/||p" | sort --unique >"$tmp/rust/files"
    [ "$(wc -l <"$tmp/rust/files")" -gt 100 ] || { echo "$plank_bin.d does not say of what it is made" >&2; exit 1; }
    cp "$plank_bin" "$tmp/rust/plank"
    cat >"$tmp/rust/cargo" <<'END'
#!/bin/sh
# Stands for cargo: the command has to be the one that makes target/release/plank, and all files have to be there.
set -eu
[ "$*" = "build --release --locked --bin plank" ] || { echo "cargo $*?" >&2; exit 1; }
missing=0
for file in Cargo.toml Cargo.lock $(cat /stand-in/files); do
    [ -e "$file" ] || { echo "the build needs $file, which the Dockerfile does not copy" >&2; missing=1; }
done
[ $missing = 0 ]
mkdir -p target/release
cp /stand-in/plank target/release/plank
END
    chmod 755 "$tmp/rust/cargo"
    cat >"$tmp/rust/Dockerfile" <<'END'
FROM debian:bookworm-slim
COPY plank files /stand-in/
COPY cargo /usr/local/bin/cargo
END
fi
build --tag "docker.io/library/$rust" "$tmp/rust" >/dev/null

begin=$SECONDS
build "${volumes[@]}" --file docker/Dockerfile --tag localhost/plank . >"$tmp/build.log" 2>&1
echo "ok: the image of docker/Dockerfile is built in $((SECONDS - begin)) s"
size() { podman_ image inspect --format '{{.Size}}' "$1" | awk '{ printf "%.1f", $1 / 1e6 }'; }
echo "image size: $(size localhost/plank) MB, of which debian:bookworm-slim $(size docker.io/library/debian:bookworm-slim) MB and the binary $(stat --format %s "$plank_bin" | awk '{ printf "%.1f", $1 / 1e6 }') MB"

# The databases and proxies that compose.yaml names: Debian's, with as much of the official images as the file relies on.
begin=$SECONDS
mkdir "$tmp/services"
cp tests/image/postgres.sh "$tmp/services/"
cat >"$tmp/services/Dockerfile" <<'END'
FROM debian:bookworm-slim
RUN mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf \
    && printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \
    && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postgresql nginx-light >/dev/null \
    && rm -f /etc/nginx/sites-enabled/default
COPY postgres.sh /usr/local/bin/postgres.sh
END
build --tag localhost/services "$tmp/services" >"$tmp/services.log" 2>&1
python3 tests/image/compose.py images compose.yaml >"$tmp/images"
while read -r service image; do
    case $service in
    postgres) printf 'FROM localhost/services\nVOLUME /var/lib/postgresql/data\nENTRYPOINT ["/usr/local/bin/postgres.sh"]\n' ;;
    nginx) printf 'FROM localhost/services\nENTRYPOINT ["/usr/sbin/nginx", "-g", "daemon off; error_log /dev/stderr;"]\n' ;;
    *) echo "compose.yaml has an image for $service, which this test does not know" >&2; exit 1 ;;
    esac >"$tmp/services/Dockerfile.$service"
    build --file "$tmp/services/Dockerfile.$service" --tag "docker.io/library/$image" "$tmp/services" >/dev/null
done <"$tmp/images"
echo "ok: stand-ins for $(paste -sd ' ' "$tmp/images" | sed 's/[a-z]* \([a-z]*:\)/\1/g') in $((SECONDS - begin)) s"

# A network of its own.
unshare --net sleep infinity &
network_pid=$!
until [ "$(readlink /proc/$network_pid/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
nsenter "--net=/proc/$network_pid/ns/net" python3 tests/image/compose.py loopback

limits=(--ulimit nofile=20000:20000 --ulimit nproc=1000:1000)
run() { podman_ run --network host --pull never "${limits[@]}" "$@"; }
fetch() { nsenter "--net=/proc/$network_pid/ns/net" curl --silent --show-error --noproxy '*' --max-time 10 "$@"; }

# By itself it says what is missing.
[ "$(run --rm localhost/plank --version)" = "$("$plank_bin" --version)" ]
if run --rm localhost/plank >"$tmp/alone.log" 2>&1; then
    echo "an image without a database should say so" >&2
    exit 1
fi
grep -q 'PLANK_DATABASE_URL' "$tmp/alone.log" || { echo "without a database it does not name PLANK_DATABASE_URL" >&2; exit 1; }
echo "ok: without a database it names PLANK_DATABASE_URL"

# compose.yaml: each service with all that the file says of it. It is given in lines of NUL-separated arguments.
up() {
    local service=$1 args
    mapfile -d '' args < <(python3 tests/image/compose.py run compose.yaml "$service" localhost/plank "$tmp/volumes")
    run --detach --name "$service" --add-host postgres:127.0.0.1 "${args[@]}" >/dev/null
}
until_answers() { # URL, milliseconds
    local deadline=$(($(now) + $2))
    until fetch --fail --output /dev/null "$1" 2>/dev/null; do
        [ "$(now)" -lt $deadline ] || { echo "$1 does not answer within $2 ms" >&2; exit 1; }
        sleep 0.02
    done
}
mkdir "$tmp/volumes"
# plank first: a database that is not there yet is waited for, and the health check says so.
start=$(now)
up plank
until_answers http://127.0.0.1:8080/livez 30000
echo "start time: $(($(now) - start)) ms until the container answers /livez, without a database"
if podman_ healthcheck run plank >/dev/null 2>&1; then
    echo "without a database the container is healthy" >&2
    exit 1
fi
start=$(now)
up postgres
until_answers http://127.0.0.1:8080/readyz 60000
echo "start time: $(($(now) - start)) ms for PostgreSQL, from an empty volume, and plank to be ready"
podman_ healthcheck run plank >/dev/null
echo "ok: unhealthy without its database, and healthy with it"
up nginx
until_answers http://127.0.0.1/ 10000
fetch http://127.0.0.1/ | grep -q '<title>'
echo "ok: the page, through nginx"

# Rights, as the file and the image say.
[ "$(podman_ exec plank id --user)" != 0 ]
if podman_ exec plank touch /usr/bin/other /tmp/other 2>/dev/null; then
    echo "the file system of plank can be written" >&2
    exit 1
fi
podman_ exec plank grep -E '^(CapEff|CapBnd):\s*0+$|^NoNewPrivs:\s*1$' /proc/1/status | wc -l | grep -qx 3
echo "ok: no root, nothing to write, no capabilities, no new privileges"

# A table, and a change of it through nginx to a client.
psql_() { podman_ exec --env PGPASSWORD=plank postgres psql --host 127.0.0.1 --username plank --no-psqlrc --quiet --no-align --tuples-only "$@" plank; }
psql_ --command 'create table orders (id int primary key, total numeric)'
podman_ exec plank plank watch orders --writable >/dev/null
cursor=$(psql_ --command 'select plank.cursor()')
[ "$(fetch --output /dev/null --write-out '%{http_code}' --header 'Content-Type: application/json' \
    --data '{"id": 1, "total": 4.5}' http://127.0.0.1/rest/orders)" = 201 ]
changed=$(fetch "http://127.0.0.1/api/changes?table=orders&since=$cursor&wait=5s")
grep -q '"op":"insert","key":{"id":1}' <<<"$changed" || { echo "no change of the order: $changed" >&2; exit 1; }
echo "ok: a row that is written through nginx arrives"

# The end: orderly, and a restart has all of it.
start=$(now)
podman_ stop --time 15 plank >/dev/null 2>&1
code=$(podman_ inspect --format '{{.State.ExitCode}}' plank)
[ "$code" = 0 ] || { echo "plank ended with $code" >&2; exit 1; }
echo "ok: SIGTERM ends it with 0, in $(($(now) - start)) ms"
podman_ stop --time 15 postgres >/dev/null 2>&1
start=$(now)
podman_ start postgres plank >/dev/null
until_answers http://127.0.0.1:8080/readyz 60000
echo "start time: $(($(now) - start)) ms for both again, until ready"
fetch "http://127.0.0.1/rest/orders" | grep -q '"id":1'
echo "ok: the volume keeps the row, $what"
