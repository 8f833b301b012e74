#!/bin/sh
# Prints haproxy.cfg for other addresses: haproxy-for.sh BIND HOST:PORT…
# BIND is what stands behind "bind", such as ":8080" where something before HAProxy terminates TLS, or where there is none.
# For one machine: MAXCONN connections (5000) instead of as many as a server of its own has files for.
set -eu
bind=$1
shift
awk -v bind="$bind" -v nodes="$*" -v maxconn="${MAXCONN:-5000}" '
    /^[a-z]/ { section = $1 }
    section == "global" && $1 == "maxconn" { print "    maxconn " maxconn; next }
    /^backend / { listed = 0 }
    /^ *bind / { print "    bind " bind; next }
    /^ *server node/ {
        if (listed++) next
        rest = $0
        sub(/^ *server node[0-9]+ +[^ ]+/, "", rest)
        count = split(nodes, node, " ")
        for (number = 1; number <= count; number++) {
            gsub(/node[0-9]+/, "node" number, rest)
            print "    server node" number " " node[number] rest
        }
        next
    }
    { print }
' "$(dirname "$0")/haproxy.cfg"
