# What a deploy would meet on a target, beyond what the probe asks. Changes nothing. $1: the user that
# the service runs as, or nothing.
_user=$1
say clock "$(date +%s)"
_w=$cache
while [ ! -e "$_w" ]; do _w=${_w%/*}; [ -n "$_w" ] || _w=/; done
find_disk "$_w"
say space "$_disk"
say blocks "$(stat -f -c '%b %a %c %d' "$_w" 2>/dev/null)"
[ -z "$_user" ] || id -u "$_user" >/dev/null 2>&1 || say nobody "$_user"
find_live
for _r in "$releases"/*; do
  [ -d "$_r" ] && ! is_spare "${_r##*/}" || continue
  complete "${_r##*/}" || say leftover "${_r##*/}"
done
say done
