#!/usr/bin/env bash
# What a release consists of. `make dist`: the archive, its checksum, its binary on Debian 11, its manual pages and completions. The
# crate: `cargo install` of what `cargo package` has packed. PROFILE is that of both builds (release).
set -euo pipefail
cd "$(dirname "$0")/../.."

profile=${PROFILE:-release}
tmp=$(mktemp -d /tmp/plank-dist.XXXXXX)
trap 'rm -rf --one-file-system "$tmp"' EXIT
trap 'exit 130' INT TERM

# The check of the check: this machine's own libraries are newer than those of Debian 11.
if scripts/glibc.sh /bin/ls 2.4 >/dev/null 2>&1; then
    echo "scripts/glibc.sh lets a binary pass that needs more" >&2
    exit 1
fi

archive=$(scripts/dist.sh "$profile" | tail -n 1)
(cd "$(dirname "$archive")" && sha256sum --check --quiet --strict SHA256SUMS)
tar --extract --file "$archive" --directory "$tmp" --strip-components 1
scripts/glibc.sh "$tmp/bin/plank" 2.31
[ "$("$tmp/bin/plank" --version)" = "plank $(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)" ]
for file in lib/systemd/system/plank.service lib/systemd/system/plank.socket lib/sysusers.d/plank.conf share/doc/plank/plank.env \
    share/doc/plank/LICENSE-MIT share/doc/plank/LICENSE-APACHE share/doc/plank/nginx/plank.conf share/doc/plank/README.md; do
    [ -s "$tmp/$file" ] || { echo "$archive has no $file" >&2; exit 1; }
done
echo "ok: $(basename "$archive"), $(stat --format %s "$archive" | awk '{ printf "%.1f MB", $1 / 1e6 }'), with its checksum"

# Each subcommand that the help names has a page, and each page its parts.
for command in $("$tmp/bin/plank" --help | sed -n 's/^  \([a-z-]*\)  *[A-Z].*/\1/p'); do
    page=$tmp/share/man/man1/plank-$command.1
    grep -q '^\.SH SYNOPSIS' "$page" || { echo "there is no manual page of plank $command" >&2; exit 1; }
done
grep -q '^\.SH SYNOPSIS' "$tmp/share/man/man1/plank.1"
if command -v groff >/dev/null; then
    warnings=$(groff -man -Tascii -ww -z "$tmp"/share/man/man1/*.1 2>&1 | grep -v 'cannot adjust line\|cannot break line' || true)
    [ -z "$warnings" ] || { echo "$warnings" >&2; exit 1; }
fi
echo "ok: $(find "$tmp/share/man" -name '*.1' | wc -l) manual pages"
bash -c "source '$tmp/share/bash-completion/completions/plank' && complete -p plank && COMP_WORDS=(plank wat) COMP_CWORD=1 && _plank plank wat plank && echo \"\${COMPREPLY[@]}\"" |
    grep -q 'watch watch-query'
echo "ok: bash completes plank wat"

# Debian 11 itself, where it can be had.
if [ "$(id -u)" = 0 ] && scripts/need.sh debootstrap >/dev/null && debootstrap --variant=minbase bullseye "$tmp/bullseye" >"$tmp/bullseye.log" 2>&1; then
    cp "$tmp/bin/plank" "$tmp/bullseye/plank"
    chroot "$tmp/bullseye" /plank --version >/dev/null
    chroot "$tmp/bullseye" /plank gen completions fish >/dev/null
    echo "ok: it runs on Debian $(cat "$tmp/bullseye/etc/debian_version")"
else
    echo "Debian 11 is not to be had here: the symbols have to do"
fi

# The crate, as a registry would have it: built of what is packed, and of nothing else.
cargo package --locked --no-verify --allow-dirty --quiet
crate=$(ls target/package/plank-*.crate)
size=$(stat --format %s "$crate")
[ "$size" -lt 10000000 ] || { echo "$crate has $size bytes, more than a registry takes" >&2; exit 1; }
mkdir "$tmp/crate"
tar --extract --file "$crate" --directory "$tmp/crate" --strip-components 1
CARGO_TARGET_DIR=$PWD/target cargo install --locked --quiet --profile "$profile" --path "$tmp/crate" --root "$tmp/root"
[ "$("$tmp/root/bin/plank" --version)" = "$("$tmp/bin/plank" --version)" ]
echo "ok: cargo install of the packed crate, $(awk "BEGIN { printf \"%.1f\", $size / 1e6 }") MB"
