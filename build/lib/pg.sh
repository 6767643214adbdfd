#!/usr/bin/env bash
# build/lib/pg.sh start|stop|remove DIR - a private PostgreSQL cluster in DIR, as an unprivileged user, on a
# free port of 127.0.0.1. Never touches another cluster. PG_FAST=1 trades durability for speed (tests).
#
# start makes what is missing: the cluster, the database pay, its owner (pay_owner) and the service's login
# (pay_service); it prints the settings that DIR/pg.env (mode 0600) holds. The schema is `migrate`'s work, and
# `GRANT pay_app TO pay_service` comes after it.
set -euo pipefail
# shellcheck source=build/lib/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { die "usage: build/lib/pg.sh start|stop|remove DIR"; }
[ $# = 2 ] || usage
case $1 in
    start) pg_start "$2" && cat "$2/pg.env" ;;
    stop) pg_stop "$2" ;;
    remove) pg_remove "$2" ;;
    *) usage ;;
esac
