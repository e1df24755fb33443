# shellcheck shell=bash
# Sourced by tests that need a running plank: start_plank PROGRAM DIRECTORY [FLAG...] starts one with a private PostgreSQL in
# DIRECTORY, on a port that the system chooses, and sets $plank_pid and $address; stop_plank ends it.

plank_pid=

start_plank() {
    local program=$1 dir=$2 variable line
    local ready='plank is live at http://'
    # A database that the developer's environment names must never be the one under test. Where PostgreSQL is stays.
    unset DATABASE_URL
    for variable in ${!PLANK_*}; do [ "$variable" = PLANK_PG_BIN ] || unset "$variable"; done
    exec 3< <(exec "$program" serve --listen 127.0.0.1:0 --data-dir "$dir/data" "${@:3}" 2>"$dir/plank.log")
    plank_pid=$!
    address=
    while [ -z "$address" ]; do
        IFS= read -r -t 60 line <&3 || { echo "plank did not say that it is live" >&2; exit 1; }
        case $line in "$ready"*) address=${line#"$ready"} ;; esac
    done
    address=${address%/}
}

stop_plank() {
    [ -n "$plank_pid" ] || return 0
    kill "$plank_pid" 2>/dev/null || true
    # plank stops its PostgreSQL before it ends; without this the directory would go away under it.
    wait "$plank_pid" 2>/dev/null || true
}
