#!/usr/bin/env bash
# cargo-deny with deny.toml: licences, banned crates, sources, and known vulnerabilities when their database is reached.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
if ! command -v cargo-deny >/dev/null; then
    # Built once per checkout, some minutes on a small machine. Nothing is put into the developer's own ~/.cargo/bin.
    PATH="$PWD/target/tools/bin:$PATH"
    command -v cargo-deny >/dev/null || cargo install cargo-deny --version $version --locked --root target/tools
fi

cargo deny --locked check --hide-inclusion-graph bans licenses sources

# The advisories are a git repository of their own, and some networks do not reach it. That is no finding, so it fails
# nobody, not even CI; it is said aloud. With the database every finding counts.
if why=$(cargo deny --locked fetch db 2>&1); then
    cargo deny --locked check --hide-inclusion-graph advisories
else
    echo "skipped: cargo deny check advisories: the advisory database cannot be reached ($(tail -n 1 <<<"$why"))"
fi
