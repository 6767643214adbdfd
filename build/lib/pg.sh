#!/usr/bin/env bash
# build/lib/pg.sh start|launch|stop|remove DIR [MODE] - a private PostgreSQL cluster in DIR, as an unprivileged
# user, on a port of 127.0.0.1. Never touches another cluster. The tests start theirs with it.
#
# start makes what is missing: the cluster, the database pay, its owner (pay_owner) and the service's login
# (pay_service); it prints the settings that DIR/pg.env (mode 0600) holds. The schema is `migrate`'s work, and
# `GRANT pay_app TO pay_service` comes after it. launch is the same without database and logins. stop takes a mode
# of pg_ctl: fast, smart or immediate. Environment of start and launch: PG_PORT (a free one), PG_SETTINGS
# (`-c name=value ..`).
set -euo pipefail
# shellcheck source=build/lib/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { die "usage: build/lib/pg.sh start|launch|stop|remove DIR [MODE]"; }
[ $# = 2 ] || { [ $# = 3 ] && [ "$1" = stop ]; } || usage
case $1 in
    start) pg_start "$2" && cat "$2/pg.env" ;;
    launch) pg_launch "$2" && cat "$2/pg.env" ;;
    stop) pg_stop "$2" "${3:-fast}" ;;
    remove) pg_remove "$2" ;;
    *) usage ;;
esac
