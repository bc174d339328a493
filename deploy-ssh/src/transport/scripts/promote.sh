# Makes $to what is served, when $from is; empty stands for nothing. The rename of `live` is the
# switch. Runs to its end when the connection is cut.
run=$1 ours=$2 dead=$3 from=$4 to=$5 expected=$6 state=$7 doubt=$8
shift 8

# Puts the link $1 to $2, in one step.
point() {
  rm -f "$1-$run" && ln -s "$2" "$1-$run" && mv -T -f "$1-$run" "$1"
}

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
  is_our_path && return
  if [ -L "$path" ]; then
    die 47 "$path is a link to $(readlink "$path")"
  fi
  [ -e "$path" ] && die 47 "$path is not a link"
  ln -s -- "${path##*/}-cache/live" "$path" || exit 1
}

[ -d "$cache" ] || { [ -z "$to" ] && [ -z "$from" ] && { report; exit 0; }; }
[ -d "$cache" ] || die 43 "$cache is not there"
take_claim
stop_earlier switch
demand_state "$expected"
now=$(live_now)
if [ "$now" != "$from" ] && [ "$now" != "$to" ]; then
  report
  exit 46
fi
if [ -n "$to" ]; then
  complete "$to" || die 43 "$releases/$to is not there, or not complete"
  if [ "$now" != "$to" ] && [ "$doubt" = 1 ]; then whole "$to" "$@" || exit 42; fi
  ensure_path
  if [ "$now" != "$to" ]; then
    point "$cache/live" "releases/$to" || exit 1
    [ -z "$now" ] || point "$cache/previous" "releases/$now"
  fi
elif [ -n "$now" ]; then
  rm -f "$cache/live" || exit 1
  # Where the directory is not ours the link stays, and leads nowhere.
  if is_our_path; then rm -f "$path" 2>/dev/null; fi
fi
[ "$state" = "$expected" ] || write_state "$state"
rm -f "$cache/.at-work"
report
