#!/usr/bin/env bash
# cargo-deny with deny.toml: licences, banned crates, sources, and known vulnerabilities when their database is reached.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
if ! command -v cargo-deny >/dev/null; then
    # Built once per checkout and version, and without optimisation: two minutes instead of six on two cores, and
    # fast enough. Nothing is put into the developer's own ~/.cargo/bin.
    root=$PWD/target/tools/cargo-deny-$version
    [ -x "$root/bin/cargo-deny" ] || cargo install cargo-deny --version $version --locked --debug --root "$root"
    PATH="$root/bin:$PATH"
fi

cargo deny --locked check --hide-inclusion-graph bans licenses sources

# The advisories are a git repository of their own, and some networks do not reach it. That is no finding, so it fails
# nobody, not even CI; it is said aloud. With the database every finding counts.
if why=$(cargo deny --locked fetch db 2>&1); then
    cargo deny --locked check --hide-inclusion-graph advisories
else
    echo "skipped: cargo deny check advisories: the advisory database cannot be reached ($(tail -n 1 <<<"$why"))"
fi
