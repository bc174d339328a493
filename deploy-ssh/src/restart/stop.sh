# Stops the service. $1: service, $2: sudo, $3: pid file.
look
[ -n "$unit" ] || end done nothing
[ "$load" = not-found ] && end done nothing
case $active in
inactive | failed) end done nothing ;;
esac
act stop || fail "$(why_not stop)"
look
case $active in
inactive | failed) end done stop ;;
esac
fail "is still $active, although stop was accepted"
