#!/usr/bin/env bash
# need.sh TOOL...: makes sure that programs are there, with the system's package manager where that may be used
# (root, sudo without a password, or Homebrew). One clear line and exit 1 for what stays missing.
# `need.sh --check TOOL...` installs nothing; PLANK_INSTALL=no makes that the rule.
#
# Only programs are wanted, so no service is started or enabled for their sake.
set -euo pipefail

install=${PLANK_INSTALL:-yes}
if [ "${1:-}" = --check ]; then
    install=no
    shift
fi

have() {
    case $1 in
    cc) command -v cc || command -v gcc || command -v clang ;;
    chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
    node) command -v node && command -v npm ;;
    # Debian packs the two modules apart from Python.
    python3-venv) python3 -c 'import ensurepip, venv' ;;
    python3-yaml) python3 -c 'import yaml' ;;
    # Server binaries are rarely in PATH. The distributions keep them here; compgen fails when nothing matches.
    postgresql)
        command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' || compgen -G '/usr/pgsql-*/bin/initdb' ||
            compgen -G '/usr/libexec/postgresql*/initdb' || compgen -G '/opt/homebrew/opt/postgresql@*/bin/initdb' ||
            compgen -G '/usr/local/opt/postgresql@*/bin/initdb'
        ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

manager() {
    local candidate
    for candidate in apt-get dnf pacman apk brew; do
        if command -v "$candidate" >/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

# What TOOL is called in package manager MANAGER.
package() {
    case $1:$2 in
    dnf:postgresql) echo postgresql-server ;;
    brew:postgresql) echo postgresql@17 ;;
    dnf:shellcheck) echo ShellCheck ;;
    brew:node) echo node ;;
    *:node) echo nodejs npm ;;
    pacman:python3 | pacman:python3-venv) echo python ;;
    apt-get:python3-venv) echo python3 python3-venv ;;
    *:python3-venv) echo python3 ;;
    dnf:python3-yaml) echo python3-pyyaml ;;
    pacman:python3-yaml) echo python-yaml ;;
    apk:python3-yaml) echo py3-yaml ;;
    *:systemd-analyze) echo systemd ;;
    # Of the version that is there: a newer one would bring a newer systemd along, which nothing here needs.
    apt-get:systemd-nspawn)
        local version
        version=$(dpkg-query --show --showformat '${Version}' systemd 2>/dev/null) || version=none
        if apt-cache madison systemd-container | grep -qF "| $version |"; then
            echo "systemd-container=$version"
        else
            echo systemd-container
        fi
        ;;
    *:systemd-nspawn) echo systemd-container ;;
    *:promtool) echo prometheus ;;
    *:objdump) echo binutils ;;
    *) echo "$2" ;;
    esac
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
    [ "$install" = yes ] || return 1
    [ "$(manager)" = brew ] && return 0
    [ -n "$(manager)" ] && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

apt_install() {
    # Debian starts what it installs unless policy-rc.d says no. One that is there already belongs to another program.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
        trap 'exit 130' INT TERM
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
    fi
    # The lock: another apt may be at work. needrestart would restart services, and ask.
    local apt=(env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
        apt-get -o DPkg::Lock::Timeout=600 -qq --yes --no-install-recommends)
    as_root "${apt[@]}" update || return
    # Debian makes (and starts at boot) a database cluster with the server. It asks this file first.
    local cluster=/etc/postgresql-common/createcluster.conf
    if [[ " $* " == *" postgresql "* ]] && [ ! -e $cluster ]; then
        as_root "${apt[@]}" install postgresql-common || return
        echo "need: no PostgreSQL cluster is wanted: create_main_cluster = false in $cluster"
        echo 'create_main_cluster = false' | as_root tee -a $cluster >/dev/null
    fi
    as_root "${apt[@]}" install "$@" || return
    # Not started, but Debian has enabled it for the next boot.
    local name
    for name in nginx haproxy prometheus; do
        if [[ " $* " == *" $name "* ]] && command -v systemctl >/dev/null; then
            as_root systemctl --quiet disable $name.service || true
        fi
    done
    if [[ " $* " == *" podman "* ]] && command -v systemctl >/dev/null; then
        as_root systemctl --quiet disable podman.service podman.socket podman-restart.service podman-auto-update.service podman-auto-update.timer || true
    fi
}

missing=()
packages=()
for tool; do
    have "$tool" && continue
    case $tool in
    cargo) echo "need: cargo is missing: install Rust with rustup (https://rustup.rs), then try again" >&2 ;;
    cc) echo "need: a C compiler is missing: install gcc or clang (Debian: build-essential), then try again" >&2 ;;
    *) read -ra names <<<"$(package "$(manager)" "$tool")" && packages+=("${names[@]}") ;;
    esac
    missing+=("$tool")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ ${#packages[@]} -gt 0 ] && may_install; then
    echo "need: installing ${packages[*]} with $(manager)"
    case $(manager) in
    apt-get) apt_install "${packages[@]}" ;;
    dnf) as_root dnf --assumeyes --quiet install "${packages[@]}" ;;
    pacman) as_root pacman --sync --needed --noconfirm "${packages[@]}" ;;
    apk) as_root apk add --quiet "${packages[@]}" ;;
    brew) brew install --quiet "${packages[@]}" ;;
    esac || echo "need: $(manager) could not install everything" >&2
fi

status=0
for tool in "${missing[@]}"; do
    have "$tool" && continue
    status=1
    case $tool in
    cargo | cc) ;;
    *) echo "need: $tool is missing: install it with your package manager (package: $(package "$(manager)" "$tool"))" >&2 ;;
    esac
done
exit $status
