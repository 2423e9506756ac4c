#!/bin/bash
# Whether the daemon of this container answers. bash, because it can open a connection by itself.
set -eu

address=${RECONCILE_OPERATOR_LISTEN:-127.0.0.1:9090}
if [ "$address" = off ]; then
    # Without that listener, what a person would ask.
    exec reconcile status > /dev/null
fi
host=${address%:*}
host=${host#[}
exec 3<> "/dev/tcp/${host%]}/${address##*:}"
printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3
read -r _ status _ <&3
[ "$status" = 200 ]
