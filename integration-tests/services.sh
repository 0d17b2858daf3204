#!/usr/bin/env bash
# Starts a private PostgreSQL (15 or newer) and a private Redis (6.2 or newer) on free ports of 127.0.0.1 in a temporary
# folder, as a user other than root, and runs a command with their URLs in its environment; without a command, prints
# the URLs and waits for Ctrl-C. Everything is stopped and removed on every way out.
#
#   services.sh [--production] [command …]
#
# The command finds UNIFIED_TEST_DATABASE_URL and UNIFIED_TEST_REDIS_URL. Where DATABASE_URL or REDIS_URL are set, those
# servers are used instead: their user must be allowed to create databases. With --production PostgreSQL syncs to disk.
set -euo pipefail

fsync=off
if [ "${1-}" = --production ]; then
    fsync=on
    shift
fi

has() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# The newest folder of PostgreSQL's server programs.
postgres_programs() {
    local folder
    for folder in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin 2>/dev/null | sort -Vr); do
        if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then
            echo "$folder"
            return
        fi
    done
    if has initdb && has postgres; then dirname "$(command -v initdb)"; fi
}

install_missing() {
    local packages=()
    [ -n "${DATABASE_URL-}" ] || [ -n "$(postgres_programs)" ] || packages+=(postgresql)
    [ -n "${REDIS_URL-}" ] || has redis-server || has valkey-server || packages+=(redis-server)
    if [ ${#packages[@]} -eq 0 ]; then return; fi
    if ! is_root || ! has apt-get; then
        echo "missing: ${packages[*]} (installed here only as root and with apt; or set DATABASE_URL and REDIS_URL)" >&2
        exit 1
    fi
    echo "installing ${packages[*]}" >&2
    apt-get update -qq
    # Debian's own cluster is neither needed nor wanted.
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}" >&2
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

user=$(id -un)
group=$(id -gn)
if is_root; then
    user=nobody
    for candidate in postgres redis; do
        if id "$candidate" >/dev/null 2>&1; then
            user=$candidate
            break
        fi
    done
    group=$(id -gn "$user")
fi
install_missing

home=$(mktemp -d "${TMPDIR:-/tmp}/unified-services.XXXXXX")
chmod 755 "$home"
if is_root; then chown "$user:$group" "$home"; fi
# What runs a command as that user. A process of its own, so that its number is the server's.
runner=(env)
if is_root; then runner=(setpriv --reuid="$user" --regid="$group" --clear-groups env HOME="$home"); fi
postgres_pid=
redis_pid=

stop() {
    local status=$?
    trap - EXIT INT TERM
    # By its folder: a test may have restarted it. Fast shutdown: what is open is rolled back.
    if [ -n "$postgres_pid" ]; then
        "${runner[@]}" "$UNIFIED_TEST_POSTGRES_PROGRAMS/pg_ctl" -s -D "$home/postgres" -m fast stop 2>/dev/null || true
    fi
    [ -z "$redis_pid" ] || kill -TERM "$redis_pid" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$home"
    exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_postgres() {
    local programs port
    programs=$(postgres_programs)
    port=$(free_port)
    "${runner[@]}" "$programs/initdb" -D "$home/postgres" -U gateway -A trust -E UTF8 --no-sync >"$home/initdb.log" 2>&1 || {
        cat "$home/initdb.log" >&2
        return 1
    }
    "${runner[@]}" "$programs/postgres" -D "$home/postgres" -p "$port" -h 127.0.0.1 -k "$home" \
        -c fsync="$fsync" -c full_page_writes="$fsync" -c max_connections=300 >"$home/postgres.log" 2>&1 &
    postgres_pid=$!
    local tries=0
    until "${runner[@]}" "$programs/pg_isready" -q -h 127.0.0.1 -p "$port"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ] || ! kill -0 "$postgres_pid" 2>/dev/null; then
            cat "$home/postgres.log" >&2
            return 1
        fi
        sleep 0.1
    done
    postgres_version=$("$programs/postgres" --version | awk '{ print $3 }')
    export UNIFIED_TEST_DATABASE_URL="postgres://gateway@127.0.0.1:$port/postgres"
    export UNIFIED_TEST_POSTGRES_PROGRAMS="$programs"
    # What restarts the server, for those who want to see what happens then.
    export UNIFIED_TEST_POSTGRES_RESTART="${runner[*]} $programs/pg_ctl -s -w -D $home/postgres -l $home/postgres/restart.log -m fast restart"
}

start_redis() {
    local server port
    server=$(command -v redis-server || command -v valkey-server)
    port=$(free_port)
    "${runner[@]}" "$server" --port "$port" --bind 127.0.0.1 --dir "$home" --save "" --appendonly no \
        --maxmemory-policy noeviction >"$home/redis.log" 2>&1 &
    redis_pid=$!
    local tries=0
    until (echo PING >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ] || ! kill -0 "$redis_pid" 2>/dev/null; then
            cat "$home/redis.log" >&2
            return 1
        fi
        sleep 0.1
    done
    redis_version=$("$server" --version | sed -n 's/.*v=\([0-9.]*\).*/\1/p')
    export UNIFIED_TEST_REDIS_URL="redis://127.0.0.1:$port/0"
}

if [ -n "${DATABASE_URL-}" ]; then
    export UNIFIED_TEST_DATABASE_URL="$DATABASE_URL"
    postgres_version="of DATABASE_URL"
else
    start_postgres
fi
if [ -n "${REDIS_URL-}" ]; then
    export UNIFIED_TEST_REDIS_URL="$REDIS_URL"
    redis_version="of REDIS_URL"
else
    start_redis
fi
# What the command starts shall not take these for its settings.
unset DATABASE_URL REDIS_URL

if [ $# -eq 0 ]; then
    echo "PostgreSQL $postgres_version and Redis $redis_version, until Ctrl-C:"
    echo "export DATABASE_URL=$UNIFIED_TEST_DATABASE_URL"
    echo "export REDIS_URL=$UNIFIED_TEST_REDIS_URL"
    wait
else
    echo "backends: SQLite, PostgreSQL $postgres_version, Redis $redis_version" >&2
    "$@"
fi
