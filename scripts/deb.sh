#!/usr/bin/env bash
# deb.sh [PROFILE]: the Debian package of what has been built with this profile (release), with cargo-deb; its path is the
# last line of standard output.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:-release}
version=3.8.0
if ! command -v cargo-deb >/dev/null; then
    # As in deny.sh: once per checkout and version, without optimisation, and not into the developer's own ~/.cargo/bin.
    root=$PWD/target/tools/cargo-deb-$version
    [ -x "$root/bin/cargo-deb" ] || cargo install cargo-deb --version $version --locked --debug --root "$root" >&2
    PATH="$root/bin:$PATH"
fi
mkdir -p target/debian
binary_dir=$([ "$profile" = dev ] && echo debug || echo "$profile")
scripts/manual.sh "target/$binary_dir/plank" target/debian/manual
# What is only tested need not be small.
fast=()
[ "$profile" = release ] || fast=(--fast)
cargo deb --locked --no-build --no-strip "${fast[@]}" --profile "$profile" --output target/debian/ | tail -n 1
