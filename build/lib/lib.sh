# Shared helpers of the scripts in build/ and build/lib/; sourced, never run.
# shellcheck shell=bash disable=SC2034

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
OUT=$ROOT/out
BINARY_NAME=payment-latency-api

say() { printf '== %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
# die MESSAGE [WHAT TO DO]
die() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    [ $# -lt 2 ] || printf '    %s\n' "$2" >&2
    exit 1
}

# quietly LOG COMMAND..: the command's output goes to LOG, and is shown only when it fails.
quietly() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 || { local rc=$?; tail -n 60 "$log" >&2; return "$rc"; }
}

# wait_until SECONDS COMMAND..: polls until the command succeeds.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A free port below 32768, where the kernel does not pick client ports.
free_port() {
    local port
    for _ in {1..50}; do
        port=$((20000 + RANDOM % 12000))
        port_is_taken "$port" || { echo "$port"; return; }
    done
    die "found no free port between 20000 and 32000"
}

# random_text COUNT: letters and digits.
random_text() {
    local text=''
    while [ "${#text}" -lt "$1" ]; do
        text+=$(head -c 256 /dev/urandom | LC_ALL=C tr -dc 'A-Za-z0-9')
    done
    printf '%s' "${text:0:$1}"
}

# build_preset NAME [TARGET..]: configures once, then builds; ninja configures again when a CMake file changes.
build_preset() {
    local preset=$1
    shift
    mkdir -p "$OUT"
    cd "$ROOT" || exit
    if [ ! -f "$OUT/$preset/build.ninja" ]; then
        quietly "$OUT/$preset-configure.log" cmake --preset "$preset" ||
            die "CMake could not configure the $preset preset" "see $OUT/$preset-configure.log; build/deps installs what is needed"
    fi
    quietly "$OUT/$preset-build.log" cmake --build --preset "$preset" --target "${@:-all}" ||
        die "the $preset preset does not compile" "see $OUT/$preset-build.log"
}

# archive_of LABEL: where this machine gets LABEL's packages from, in either format of apt's sources.
# shellcheck disable=SC2016  # apt's own variables
archive_of() {
    apt-get indextargets --format '$(LABEL)|$(ORIGIN)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' -v label="$1" '$1 == label && $2 == "Debian" && !found { print $3; found = 1 }'
}

# --- a private PostgreSQL -------------------------------------------------------------------------
# Files of a cluster kept in DIR: pgdata (directory or link), postgres.log, pg.env (mode 0600).

# The newest installed server, or the one that made the data directory $1; elsewhere than on Debian, that of PATH.
pg_bin_dir() {
    local version='*' found
    if [ -n "${1:-}" ]; then version=$(pg_as cat "$1/PG_VERSION"); fi
    # shellcheck disable=SC2086  # the pattern must expand
    found=$(find /usr/lib/postgresql/$version/bin -maxdepth 0 2>/dev/null | sort -V | tail -n 1)
    if [ -z "$found" ] && [ ! -d /usr/lib/postgresql ]; then
        found=$(command -v pg_ctl) && found=$(dirname "$found")
    fi
    printf '%s' "$found"
}

# PostgreSQL refuses to run as root; then it runs as this user.
pg_user() {
    if [ "$(id -u)" != 0 ]; then id -un
    elif getent passwd postgres >/dev/null; then echo postgres
    else echo nobody; fi
}

# pg_as COMMAND..: as that user, with nothing of our environment, in a directory it can enter.
pg_as() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && exec runuser -u "$(pg_user)" -- env -i PATH="$PATH" LC_ALL=C.UTF-8 TZ=UTC "$@")
    else
        (cd / && exec env -i PATH="$PATH" LC_ALL=C.UTF-8 TZ=UTC "$@")
    fi
}

pg_is_running() {
    local pid cwd
    pid=$(pg_as head -n 1 "$1/postmaster.pid" 2>/dev/null) || return 1
    kill -0 "$pid" 2>/dev/null || pg_as kill -0 "$pid" 2>/dev/null || return 1
    cwd=$(pg_as readlink "/proc/$pid/cwd" 2>/dev/null) || cwd=$(readlink "/proc/$pid/cwd") ||
        die "cannot tell whether process $pid is the PostgreSQL of $1" "look at it, and at $1/postmaster.pid"
    [ "$cwd" = "$(readlink -f "$1")" ]
}

# An empty directory for the data: in DIR, or elsewhere when the PostgreSQL user cannot get there.
pg_make_data_dir() {
    local dir=$1 data
    if pg_as test -x "$dir"; then
        data=$dir/pgdata
        mkdir "$data"
    else
        data=$(mktemp -d "${TMPDIR:-/tmp}/$BINARY_NAME.XXXXXX")
        chmod 755 "$data"
        mkdir "$data/pgdata"
        ln -sfn "$data/pgdata" "$dir/pgdata"
        data=$data/pgdata
        pg_as test -x "$data/.." || die "user $(pg_user) can enter neither $dir nor ${TMPDIR:-/tmp}" \
            "set TMPDIR to a directory that everybody can enter"
        warn "user $(pg_user) cannot enter $dir: the data is in $data"
    fi
    chmod 700 "$data"
    [ "$(id -u)" != 0 ] || chown "$(pg_user)" "$data"
}

# psql as the cluster's superuser. Its settings are never exported: the service must not inherit them.
pg_psql() {
    PGHOST=$PGHOST PGPORT=$PGPORT PGUSER=$PGUSER PGPASSWORD=$PGPASSWORD psql -X -q -v ON_ERROR_STOP=1 "$@"
}

# psql as the schema's owner, in the database pay. No password is ever an argument: ps shows those.
owner_psql() { PGUSER=pay_owner PGPASSWORD=$OWNER_PASSWORD pg_psql -d pay "$@"; }

# pg_init DIR: makes the cluster, the database pay, its owner, and the login of the service.
pg_init() {
    local dir=$1 bin pw_file
    bin=$(pg_bin_dir)
    [ -n "$bin" ] || die "no PostgreSQL server is installed" "run build/deps"
    pg_make_data_dir "$dir"
    PGPASSWORD=$(random_text 32) OWNER_PASSWORD=$(random_text 32) SERVICE_PASSWORD=$(random_text 32)
    pw_file=$(mktemp "${TMPDIR:-/tmp}/$BINARY_NAME.XXXXXX")
    printf '%s' "$PGPASSWORD" >"$pw_file"
    [ "$(id -u)" != 0 ] || chown "$(pg_user)" "$pw_file"
    quietly "$dir/initdb.log" pg_as "$bin/initdb" -D "$(readlink -f "$dir/pgdata")" -U postgres --pwfile="$pw_file" \
        --auth=scram-sha-256 -E UTF8 --locale=C.UTF-8 --no-sync || { rm -f "$pw_file"; die "initdb failed" "see $dir/initdb.log"; }
    rm -f "$pw_file"
    (umask 077 && {
        printf 'PGPASSWORD=%s\nOWNER_PASSWORD=%s\nSERVICE_PASSWORD=%s\n' \
            "$PGPASSWORD" "$OWNER_PASSWORD" "$SERVICE_PASSWORD"
    } >"$dir/secrets.env")
}

# The roles and the database; passwords go through stdin, where ps cannot see them.
pg_make_database() {
    pg_psql -d postgres <<SQL
SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = 'pay') AS missing \\gset
\\if :missing
CREATE ROLE pay_owner LOGIN CREATEROLE PASSWORD '$OWNER_PASSWORD';
CREATE ROLE pay_service LOGIN PASSWORD '$SERVICE_PASSWORD';
ALTER ROLE pay_service SET default_transaction_isolation = 'read committed';
CREATE DATABASE pay OWNER pay_owner;
\\endif
SQL
}

# pg_start DIR: makes what is missing, starts it, writes DIR/pg.env.
pg_start() {
    pg_launch "$1"
    pg_make_database
    pg_write_urls "$1"
}

# pg_launch DIR: the server alone, without the database pay; DIR/pg.env then says how to be its superuser.
# PG_SETTINGS: further `-c name=value`; PG_PORT: this port, not a free one.
pg_launch() {
    local dir=$1 data bin port settings
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    [ -f "$dir/secrets.env" ] || { pg_remove "$dir"; pg_init "$dir"; }
    # shellcheck disable=SC1091  # written by pg_init
    . "$dir/secrets.env"
    data=$(readlink -f "$dir/pgdata") bin=$(pg_bin_dir "$data")
    [ -n "$bin" ] || die "the data in $data is of PostgreSQL $(pg_as cat "$data/PG_VERSION"), which is not installed" \
        "install that version, or remove $dir"
    ! pg_is_running "$data" || die "PostgreSQL is running already on $data" "stop it with build/lib/pg.sh stop $dir"
    settings="-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c shared_buffers=256MB -c max_connections=100"
    settings+=" ${PG_SETTINGS:-}"
    for _ in 1 2 3 4 5; do # another process may take the port meanwhile
        port=${PG_PORT:-$(free_port)}
        if pg_as "$bin/pg_ctl" -D "$data" -l "$data/postgres.log" -s -w -t 60 -o "-p $port $settings" start >/dev/null 2>&1; then
            export -n PGHOST PGPORT PGUSER PGPASSWORD PGDATA
            PGHOST=127.0.0.1 PGPORT=$port PGUSER=postgres PGDATA=$data PGBIN=$bin
            pg_write_env "$dir"
            return
        fi
    done
    pg_as tail -n 20 "$data/postgres.log" >&2
    die "PostgreSQL does not start" "see $data/postgres.log"
}

pg_write_env() {
    (umask 077 && cat >"$1/pg.env" <<EOF_ENV
PGHOST='$PGHOST'
PGPORT='$PGPORT'
PGUSER='$PGUSER'
PGPASSWORD='$PGPASSWORD'
PGDATA='$PGDATA'
PGBIN='$PGBIN'
EOF_ENV
    )
}

pg_write_urls() {
    local address="127.0.0.1:$PGPORT/pay?sslmode=disable"
    cat >>"$1/pg.env" <<EOF_ENV
DATABASE_URL='postgresql://pay_service:$SERVICE_PASSWORD@$address'
DATABASE_OWNER_URL='postgresql://pay_owner:$OWNER_PASSWORD@$address'
EOF_ENV
    # shellcheck disable=SC1091  # just written
    . "$1/pg.env"
}

# pg_stop DIR [MODE]: in order (fast), and only when it is ours.
pg_stop() {
    local data
    data=$(readlink -f "$1/pgdata") || return 0
    pg_is_running "$data" || return 0
    pg_as "$(pg_bin_dir "$data")/pg_ctl" -D "$data" -s -w -t 60 -m "${2:-fast}" stop
}

# pg_remove DIR: stops it and deletes its data, wherever that is.
pg_remove() {
    local data parent
    pg_stop "$1" immediate
    data=$(readlink -f "$1/pgdata" 2>/dev/null) || data=''
    if [ -L "$1/pgdata" ] && [ -n "$data" ]; then
        parent=$(dirname "$data")
        case $(basename "$parent") in "$BINARY_NAME".*) rm -rf "$parent" ;; esac
    fi
    rm -rf "${1:?}/pgdata" "$1/secrets.env" "$1/pg.env"
}
