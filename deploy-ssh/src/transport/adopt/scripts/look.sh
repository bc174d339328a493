# Asks what lies at the live path. Changes nothing, but for an exchange that is tried in a directory
# of its own.
recognise
say found "$found"
say link "$link"
say origin "$origin"
first_line "$cache/.adopting"
say adopting "$_line"
first_line "$cache/adopted.json"
say adopted "$_line"
_u=$(id -un)
say user "$_u"

# The revision that was deployed here, as the layout tells it.
tell_revision() {
  _r=
  first_line "$origin/REVISION"
  _r=$_line
  if ! is_oid "$_r" && [ "$found" = scap ]; then _r=${origin##*/}; fi
  if ! is_oid "$_r" && [ -e "$origin/.git" ]; then
    _r=$(cd "$origin" && git -c safe.directory='*' rev-parse --verify -q HEAD 2>/dev/null)
  fi
  if is_oid "$_r"; then say revision "$_r"; fi
}

# What the deploy user must be able to do: to make names beside the live path and in the cache, and
# to move what is served, of which the directory itself must be writable.
tell_rights() {
  _w=$cache
  [ -d "$_w" ] || _w=
  set -- "${path%/*}" "${origin%/*}" "$origin" "$_w"
  _seen=
  for _d in "$@"; do
    [ -n "$_d" ] || continue
    case $_seen in *"$nl$_d$nl"*) continue ;; esac
    _seen=$_seen$nl$_d$nl
    [ -w "$_d" ] || say unwritable "$_d"
  done
}

# Names move only within a file system.
tell_devices() {
  _here=$(stat -c %d "${path%/*}" 2>/dev/null)
  for _d in "$origin" "${origin%/*}" "$cache"; do
    [ -d "$_d" ] || continue
    [ "$(stat -c %d "$_d" 2>/dev/null)" = "$_here" ] || say device "$_d"
  done
}

# The links into the shared directory of the layout, and those that lead out of what is served.
tell_links() {
  case $found in capistrano | deployer) _shared=${origin%/releases/*}/shared ;; *) _shared= ;; esac
  cd "$origin" || exit 1
  links | while IFS=$tab read -r _p _t; do
    if leads_out "$_p" "$_t"; then
      _t=$_to
      say outside "$_p"
      case $_p in */*) _d=$origin/${_p%/*} ;; *) _d=$origin ;; esac
      [ -w "$_d" ] || say unwritable "$_d"
    fi
    [ -n "$_shared" ] || continue
    case $_t in
      "$_shared/$_p") if [ -d "$_t" ]; then say shared "$_p"; else say shared-file "$_p"; fi ;;
      "$_shared"/*) say shared-else "$_p" ;;
    esac
  done
  cd /
}

# Releases of the layout that are not live.
tell_older() {
  _n=0
  case $found in directory) return ;; esac
  for _r in "${origin%/*}"/*; do
    if [ -d "$_r" ] && [ ! -L "$_r" ] && [ "$_r" != "$origin" ]; then _n=$((_n + 1)); fi
  done
  [ "$_n" = 0 ] || say older "$_n ${origin%/*}"
}

case $found in
  directory | capistrano | deployer | scap)
    tell_revision
    tell_rights
    tell_devices
    tell_links
    tell_older
    if [ "$found" = scap ] && [ -L "$cache/.in-progress" ]; then
      say note "a deploy by Scap was begun and has not ended ($(readlink "$cache/.in-progress"))"
    fi
    ;;
  half | ours) tell_rights ;;
esac
if [ -w "${path%/*}" ]; then
  find_tool "${path%/*}"
  say tool "$_tool"
fi
command -v git >/dev/null 2>&1 && say git present
find_state
report
