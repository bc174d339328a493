# Makes what is served the release $id of ours, without a moment in which the live path leads nowhere.
# What was done before it was broken off is not done twice. Runs to its end when the connection is cut.
id=$1 line=$2 expected=$3 state=$4 serving=$5
shift 5
kind=$1 was=$2 at=$3 tool=$4 record=$5
shift 5
dest=$releases/$id

# A link within what is served that leads out of it by a relative path is made to lead to the same
# place from anywhere.
fix_links() {
  cd "$origin" || exit 1
  links | while IFS=$tab read -r _p _t; do
    leads_out "$_p" "$_t" || continue
    ln -s -f -n -- "$_to" "$cache/.new/link" || exit 1
    if [ -e "$_p" ] && ! [ "$_p" -ef "$cache/.new/link" ]; then
      die 53 "$origin/$_p leads to $_t, which is not $_to from here"
    fi
    mv -T "$cache/.new/link" "$_p" || exit 1
  done || exit
  cd /
}

# Makes the shared directories of later releases what they are in this one: where its data is now.
share() {
  for _s in "$@"; do
    [ -d "$origin/$_s" ] || continue
    real "$origin/$_s"
    case $_real/ in "$origin"/*) _real=$dest${_real#"$origin"} ;; esac
    _d=$cache/shared/$_s
    if [ -L "$_d" ]; then rm -f "$_d"; else rmdir "$_d" 2>/dev/null; fi
    [ ! -e "$_d" ] || die 53 "$_d is there already, and so is $origin/$_s: move one away"
    mkdir -p "${_d%/*}" && ln -s "$_real" "$_d" || exit 1
  done
}

# Lays everything ready around what is served, which stays where it is.
prepare() {
  for _r in "$releases"/*; do
    if [ -L "$_r" ]; then rm -f "$_r" || exit 1; fi
  done
  fix_links
  share "$@"
  printf '%s\n' "$line" >"$cache/.new/mark" && chmod 0444 "$cache/.new/mark" &&
    mv -f "$cache/.new/mark" "$origin/$mark" || exit 1
  if [ "$kind" = directory ]; then ln -s "${path##*/}-cache/live" "$dest"
  else ln -s "$dest" "$dest"; fi || exit 1
  ln -s -f -n "releases/$id" "$cache/.new/live" || exit 1
  lay_ready state.json "$state"
  lay_ready serving.json "$serving"
  mv -f "$cache/.new/live" "$cache/.new/state.json" "$cache/.new/serving.json" "$cache/" || exit 1
}

# Brings the directory that is served into our releases, and a link to it where it was.
move_in() {
  if [ -n "$tool" ]; then
    exchange "$tool" "$origin" "$dest" || die 53 "$origin could not be exchanged with $dest"
    return
  fi
  # By the gap that was allowed.
  mv -T "$dest" "$cache/.new/link" && mv -T "$origin" "$dest" || exit 1
  mv -T "$cache/.new/link" "$origin" || { mv -T "$dest" "$origin"; exit 1; }
}

[ -d "$releases" ] && [ -d "$cache/shared" ] && [ -d "$cache/.new" ] ||
  mkdir -p "$releases" "$cache/shared" "$cache/.new" || exit 1
trap let_go EXIT
take_claim
stop_earlier adoption
recognise
if [ "$found" != ours ] || [ -e "$cache/.adopting" ]; then
  case $found in
    ours | half) complete "${origin##*/}" || die 43 "$origin is not complete" ;;
    "$kind")
      [ "$link" = "$was" ] && [ "$origin" = "$at" ] || die 46 "something else is at $path by now"
      demand_state "$expected"
      printf '%s\n' "$record" >"$cache/.new/adopting" && sync "$cache/.new/adopting" 2>/dev/null
      mv -f "$cache/.new/adopting" "$cache/.adopting" || exit 1
      prepare "$@"
      move_in
      complete "$id" || die 43 "$dest is not complete" ;;
    *) die 46 "something else is at $path by now" ;;
  esac
  if [ "$kind" != directory ] || [ "$found" = half ]; then
    ln -s -f -n "${path##*/}-cache/live" "$cache/.new/path" && mv -T "$cache/.new/path" "$path" ||
      exit 1
  fi
  find_live
  leads_to "$live" || die 47 "$path does not lead to $cache/live"
  if [ -e "$cache/.adopting" ]; then mv -f "$cache/.adopting" "$cache/adopted.json" || exit 1; fi
fi
at_rest
find_state
report
