# How the service is. $1: service, $2: sudo, $3: pid file.
look
[ "$load" = not-found ] && end missing "$unit"
# `Sat 2015-06-10 14:15:03 UTC` becomes one word.
set -- $since
[ $# = 4 ] && since=$2T$3Z || since=-
if [ "$since" = - ] && [ "$proc" != - ] && read -r uptime _ </proc/uptime; then
  ticks=$(getconf CLK_TCK 2>/dev/null) || ticks=100
  since=@$(($(date +%s) - ${uptime%%.*} + ${proc#*:} / ticks))
fi
end state "$manager" "$load" "$active" "$sub" "$id" "$proc" "$since"
