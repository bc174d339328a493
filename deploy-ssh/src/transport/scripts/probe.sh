# Asks what a target serves, has and lacks. Changes nothing.
command -v git >/dev/null 2>&1 && say git "$(git --version 2>&1 | head -n 1)"
for _t in mv ln rm cp tr head cat find readlink chmod df id sync; do
  command -v "$_t" >/dev/null 2>&1 || say missing "$_t"
done
mv --help 2>&1 | grep -q -e '-[a-zA-Z]*T' || say missing 'mv -T'
say user "$(id -un) $(id -u)"
if [ -L "$path" ]; then say path "link $(readlink "$path")"
elif [ -d "$path" ]; then say path directory
elif [ -e "$path" ]; then say path file
else say path none; fi
# What must be writable: the nearest directory that exists.
_w=$cache
while [ ! -e "$_w" ]; do _w=${_w%/*}; [ -n "$_w" ] || _w=/; done
[ -d "$_w" ] || say odd "$_w is not a directory"
_p=${path%/*}
_disk=$(df -Pk "$_w" 2>/dev/null | tail -n 1 | sed 's/.* \([0-9][0-9]*\)  *[0-9][0-9]*%  */\1 /')
# To root everything looks writable in some shells, even what is mounted read-only.
_o= _m=$(printf %s "${_disk#* }" | sed 's/\\/\\134/g; s/ /\\040/g')
while read -r _x _at _x _opt _x; do
  [ "$_at" != "$_m" ] || _o=$_opt
done </proc/mounts
case ,$_o, in
  *,ro,*) say unwritable "$_w" ;;
  *) [ -w "$_w" ] || say unwritable "$_w" ;;
esac
if [ ! -L "$path" ] && [ -d "$_p" ] && [ ! -w "$_p" ]; then say unwritable "$_p"; fi
say disk "$_disk"
# What a switch that is still at work will have come to cannot be told before its end.
_n=0
while earlier && [ "$_work" = switch ]; do
  _n=$((_n + 1))
  if [ "$_n" -gt 10 ]; then
    say busy switch
    break
  fi
  sleep 0.5 2>/dev/null || sleep 1
done
say filesystem "$(stat -f -c %T "$_w" 2>/dev/null)"
report
