#!/usr/bin/env bash
# glibc.sh BIN [VERSION]: the newest glibc that a binary asks for. With VERSION it fails if that is newer, and names the symbols.
set -euo pipefail

symbols=$(objdump -T "$1")
versions=$(grep -oE 'GLIBC_[0-9.]+' <<<"$symbols" | sed 's/GLIBC_//' | sort --version-sort --unique)
newest=$(tail -n 1 <<<"$versions")
echo "$1 needs glibc ${newest:-of no version}"
if [ $# -gt 1 ] && [ "$(printf '%s\n' "$2" "$newest" | sort --version-sort | tail -n 1)" != "$2" ]; then
    echo "that is newer than $2:" >&2
    while read -r version; do
        [ "$(printf '%s\n' "$2" "$version" | sort --version-sort | tail -n 1)" = "$2" ] || grep -F "(GLIBC_$version)" <<<"$symbols" >&2
    done <<<"$versions"
    exit 1
fi
