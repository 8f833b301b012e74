#!/bin/sh
# gateway [options of crosstick config] · feed [options of crosstick feed] · exchange [options of crosstick exchange]
set -eu
kind=$1
shift
case $kind in
gateway)
    echo http://127.0.0.1:8080/healthz >/run/crosstick/health
    crosstick config --role gateway --interface 0.0.0.0 --force --out /run/crosstick/node "$@"
    exec crosstick node --cbdir /run/crosstick/node
    ;;
feed)
    echo http://127.0.0.1:8081/healthz >/run/crosstick/health
    exec crosstick feed --interface 0.0.0.0 "$@"
    ;;
exchange)
    echo tcp://127.0.0.1:9443 >/run/crosstick/health
    exec crosstick exchange --host 0.0.0.0 "$@"
    ;;
*)
    echo "the first argument must be gateway, feed or exchange, was $kind" >&2
    exit 2
    ;;
esac
