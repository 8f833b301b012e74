#!/bin/sh
# Prints haproxy.cfg for other addresses: haproxy-for.sh BIND HOST:PORT…
# BIND is what stands behind "bind", such as ":8080" where something before HAProxy terminates TLS, or where there is none.
# For one machine: FILES open files (11000, two for each connection) instead of as many as a server of its own has.
set -eu
bind=$1
shift
awk -v bind="$bind" -v nodes="$*" -v files="${FILES:-11000}" '
    /^ *fd-hard-limit / { print "    fd-hard-limit " files; next }
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
