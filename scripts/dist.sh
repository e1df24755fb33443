#!/usr/bin/env bash
# dist.sh [PROFILE]: target/dist/plank-VERSION-ARCH-linux-gnu.tar.gz and SHA256SUMS. The archive has the binary, its manual pages and
# completions, the units, examples of settings and documents, in a tree for /usr or /usr/local. Its path is the last line.
#
# The binary is linked for the glibc of Debian 11, with the libraries of Zig (ziglang and cargo-zigbuild of PyPI); docs/decisions/0116
# says why. The dependencies are those of an ordinary build: only the last step differs.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:-release}
glibc=2.31
zig=0.15.2 zigbuild=0.24.1
tools=$PWD/target/tools/zig-$zig-$zigbuild
arch=$(uname -m)
[ "$(uname)" = Linux ] || { echo "dist.sh: the archive is for Linux, and made there" >&2; exit 1; }

if [ ! -x "$tools/bin/cargo-zigbuild" ]; then
    rm -rf "$tools"
    python3 -m venv "$tools" >&2
    "$tools/bin/pip" --quiet --disable-pip-version-check install "ziglang==$zig" "cargo-zigbuild==$zigbuild" >&2
fi
# It takes what a linker of rustc gets, and leaves out what Zig does not know.
cat >"$tools/linker" <<END
#!/bin/sh
export PATH="$tools/bin:\$PATH"
exec cargo-zigbuild zig cc -- -target $arch-linux-gnu.$glibc "\$@"
END
chmod 755 "$tools/linker"

binary_dir=$([ "$profile" = dev ] && echo debug || echo "$profile")
stage=target/dist
rm -rf "$stage"
mkdir -p "$stage"
PATH="$tools/bin:$PATH" cargo rustc --locked --profile "$profile" --bin plank -- -C "linker=$tools/linker" >&2
cp "target/$binary_dir/plank" "$stage/plank"
scripts/glibc.sh "$stage/plank" $glibc >&2

version=$("$stage/plank" --version | cut -d ' ' -f 2)
name=plank-$version-$arch-linux-gnu
tree=$stage/$name
install -D -m 755 "$stage/plank" "$tree/bin/plank"
scripts/manual.sh "$stage/plank" "$tree"
install -D -m 644 -t "$tree/lib/systemd/system" systemd/plank.service systemd/plank.socket
install -D -m 644 -t "$tree/lib/sysusers.d" systemd/sysusers.d/plank.conf
install -D -m 644 -t "$tree/share/doc/plank" README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE systemd/plank.env
install -D -m 644 -t "$tree/share/doc/plank/nginx" nginx/plank.conf
install -D -m 644 -t "$tree/share/doc/plank/docs" docs/*.md
# The same files make the same archive, at any time and on any machine.
date=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
tar --create --directory "$stage" --sort=name --mtime="@$date" --owner=0 --group=0 --numeric-owner --mode=u+rw,go=rX "$name" |
    gzip --no-name --best >"$stage/$name.tar.gz"
(cd "$stage" && sha256sum "$name.tar.gz" >SHA256SUMS)
rm -r "$tree" "$stage/plank"
echo "$PWD/$stage/$name.tar.gz"
