# Stops the service. $1: service, $2: sudo, $3: pid file.
look
[ -n "$unit" ] || end done nothing
[ "$load" = not-found ] && end done nothing
halt
