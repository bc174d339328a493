# Makes $to what is served, when $from is; empty stands for nothing. The rename of `live` is the
# switch. Runs to its end when the connection is cut.
# $serving says who did it; nothing when that is known.
run=$1 ours=$2 dead=$3 from=$4 to=$5 serving=$6 doubt=$7
shift 7

# Whether the live path is the link that leads to the live link.
is_our_path() {
  [ -L "$path" ] || return 1
  case $(readlink "$path") in
    "${path##*/}-cache/live" | "$cache/live") return 0 ;;
  esac
  return 1
}

# A path that leads elsewhere is not ours to change.
ensure_path() {
  leads_to "$live" && return
  is_our_path && return
  if [ -L "$path" ]; then
    die 47 "$path is a link to $(readlink "$path")"
  fi
  [ -e "$path" ] && die 47 "$path is not a link"
  ln -s -- "${path##*/}-cache/live" "$path" || exit 1
}

# Puts in place what lies ready in $cache/.new, one rename after the other: first the live link, which
# is the switch.
switch() {
  set -- "$cache/.new/live"
  [ -d "$cache/.new" ] || mkdir "$cache/.new" || exit 1
  ln -s -f -n "releases/$to" "$cache/.new/live" || exit 1
  if [ -n "$live" ]; then
    ln -s -f -n "releases/$live" "$cache/.new/previous" || exit 1
    set -- "$@" "$cache/.new/previous"
  fi
  [ -z "$serving" ] || set -- "$@" "$cache/.new/serving.json"
  mv -f "$@" "$cache/" || exit 1
}

[ -d "$cache" ] || { [ -z "$to" ] && [ -z "$from" ] && { report; exit 0; }; }
[ -d "$cache" ] || die 43 "$cache is not there"
take_claim
stop_earlier switch
find_live
if [ "$live" != "$from" ] && [ "$live" != "$to" ]; then
  find_state
  report
  exit 46
fi
[ -z "$serving" ] || lay_ready serving.json "$serving" ${to:+"$releases/$to/$mark"}
if [ -n "$to" ]; then
  complete "$to" || die 43 "$releases/$to is not there, or not complete"
  if [ "$live" != "$to" ] && [ "$doubt" = 1 ]; then
    whole "$to" "$@" || exit 42
    as_rendered "$to"
  fi
  ensure_path
fi
if [ -n "$to" ] && [ "$live" != "$to" ]; then
  switch
  leads_to "$to" || die 47 "$path does not lead to $cache/live"
else
  if [ -z "$to" ] && [ -n "$live" ]; then
    rm -f "$cache/live" || exit 1
    # Where the directory is not ours the link stays, and leads nowhere.
    if is_our_path; then rm -f "$path" 2>/dev/null; fi
  fi
  [ -z "$serving" ] || mv -f "$cache/.new/serving.json" "$cache/" || exit 1
fi
at_rest
report ""
