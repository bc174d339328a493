# Asks what a target serves, has and lacks. Changes nothing. What an earlier run has proven by what it
# left is not tried again. Its arguments are tools that it needs besides.
if [ -d "$repo/objects" ]; then
  command -v git >/dev/null 2>&1 && say git present
else
  command -v git >/dev/null 2>&1 && say git "$(git --version 2>&1 | head -n 1)"
fi
for _t in mv ln rm cp tr head cat find readlink chmod id stat sync "$@"; do
  command -v "$_t" >/dev/null 2>&1 || say missing "$_t"
done
command -v gzip >/dev/null 2>&1 && say gzip yes
if [ ! -L "$cache/live" ]; then
  mv --help 2>&1 | grep -q -e '-[a-zA-Z]*T' || say missing 'mv -T'
fi
# Whether a file system is mounted read-only, whoever owns what is on it; _disk says where.
is_readonly() {
  find_disk "$1"
  _o= _m=$(printf %s "${_disk#* }" | sed 's/\\/\\134/g; s/ /\\040/g')
  while read -r _x _at _x _opt _x; do
    [ "$_at" != "$_m" ] || _o=$_opt
  done </proc/mounts
  case ,$_o, in *,ro,*) return 0 ;; esac
  return 1
}
# To root, and in some shells, everything looks writable, even what is mounted read-only.
look_writable() {
  if [ -w "$1" ]; then
    if [ -f "$cache/state.json" ] && { :; } 2>/dev/null >>"$cache/state.json"; then return; fi
    ! is_readonly "$1" || say readonly "${_disk#* }"
  elif is_readonly "$1"; then say readonly "${_disk#* }"
  else say unwritable "$1"; fi
}

# What the login says of the user is believed when that user's home is ours.
_u=
case ${LOGNAME-} in
  '' | -* | *[!A-Za-z0-9_.-]*) ;;
  *) eval "_h=~$LOGNAME" && [ -O "$_h" ] && _u=$LOGNAME ;;
esac
[ -n "$_u" ] || _u=$(id -un)
if is_root; then say user "$_u 0"; else say user "$_u -"; fi
[ ! -e "$cache/.adopting" ] || say unfinished "$cache/.adopting"
find_live
if leads_to "$live"; then say path ours
elif [ -L "$path" ]; then say path "link $(readlink "$path")"
elif [ -d "$path" ]; then say path directory
elif [ -e "$path" ]; then say path file
else say path none; fi
# What must be writable: the nearest directory that exists.
_w=$cache
while [ ! -e "$_w" ]; do _w=${_w%/*}; [ -n "$_w" ] || _w=/; done
[ -d "$_w" ] || say odd "$_w is not a directory"
_p=${path%/*}
look_writable "$_w"
if [ ! -L "$path" ] && [ -d "$_p" ] && [ ! -w "$_p" ]; then look_writable "$_p"; fi
_f=$(stat -f -c '%a %S %T' "$_w" 2>/dev/null)
_free=0
set -f
set -- $_f
set +f
if [ $# -ge 3 ]; then
  _free=$(($1 * ($2 / 512) / 2))
  say filesystem "$3"
fi
if [ "$_free" -le 10240 ]; then
  find_disk "$_w"
  say disk "$_disk"
fi
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
# The links of a live release that was adopted into a directory `shared`, which it owes to what
# deployed it. No other release is searched. In a mark only our own words have bare quotes.
tell_linked() {
  _d=$releases/$live _n=0
  find "$_d" -maxdepth 4 -name .git -prune -o -type l -exec ls -ld {} + 2>/dev/null |
    while [ "$_n" -lt 100 ] && IFS= read -r _l; do
      case $_l in *" $_d/"*' -> /'*/shared/*) ;; *) continue ;; esac
      _l=${_l#*" $_d/"} _n=$((_n + 1))
      _l=${_l%%' -> '*}
      if [ -d "$_d/$_l" ]; then say linked-directory "$_l"; else say linked-else "$_l"; fi
    done
}
if complete "$live"; then
  case $_mark in *',"kept":"'*) tell_linked ;; esac
fi
find_state
report
