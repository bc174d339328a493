# What making a release needs, whatever it is made of.

# Leftovers bear our names; what the live link points to is never one. Sets $spare to the one release
# that was left to begin with, or nothing.
clean() {
  find_live
  spare=
  drop_tree "$cache/.arrived"
  for _r in "$releases"/* "$releases"/.gone-*; do
    case ${_r##*/} in
      .gone-*) drop_tree "$_r" ;;
      "$live") ;;
      *) if [ -e "$_r/$building" ]; then drop_tree "$_r"
         elif is_spare "${_r##*/}"; then
           if [ -z "$spare" ]; then spare=${_r##*/}; else drop_tree "$_r"; fi
         elif [ ! -e "$_r/$mark" ]; then rmdir "$_r" 2>/dev/null
         fi ;;
    esac
  done
  set --
  for _r in "$indexes"/* "$manifests"/*; do
    [ "${_r##*/}" = "$spare" ] || [ -e "$releases/${_r##*/}/$mark" ] || set -- "$@" "$_r"
  done
  for _r in "$repo"/refs/deploy/*/*; do
    [ -d "$_r" ] || [ -s "$_r" ] || set -- "$@" "$_r"
  done
  set -- "$@" "$cache"/.state-* "$cache"/.new/* \
    "$cache"/.rendered-* "$cache"/.index* "$cache"/.manifest-* "$cache/.differ" "$cache/.names" "$cache/.kept" \
    "$repo"/*.lock "$repo"/refs/deploy/*/*.lock "$repo"/objects/tmp_* \
    "$repo"/objects/??/tmp_* "$repo"/objects/pack/tmp_* "$repo"/objects/pack/.tmp-*
  for _r in "$@"; do
    shift
    if [ -e "$_r" ] || [ -L "$_r" ]; then set -- "$@" "$_r"; fi
  done
  [ $# = 0 ] || rm -f "$@"
}

# Shares the directory $1 where an adopted release that is live has it, as the adoption would have.
share_adopted() {
  complete "$live" && [ -d "$releases/$live/$1" ] || return
  case $_mark in *',"kept":"'*) ;; *) return 1 ;; esac
  _d=$cache/shared/$1
  _real=$(cd -P "$releases/$live/$1" && pwd -P) && mkdir -p "${_d%/*}" && ln -s "$_real" "$_d" ||
    exit 1
}

# The shared directory $1, as a link that survives a move of the whole tree.
link_shared() {
  [ -d "$cache/shared/$1" ] || share_adopted "$1" || mkdir -p "$cache/shared/$1" || exit 1
  _up=../../ _rest=$1
  while :; do
    case $_rest in */*) _up=../$_up _rest=${_rest#*/} ;; *) break ;; esac
  done
  case $1 in */*) [ -d "$dest/${1%/*}" ] || mkdir -p "$dest/${1%/*}" || exit 1 ;; esac
  drop_tree "$dest/$1"
  ln -s "${_up}shared/$1" "$dest/$1" || exit 1
}

# Makes the release complete, by the mark that lies ready in it. Where files are rendered into it that
# is done when they are there, by a call that brings them.
set_mark() {
  case $line in *'"rendered":true'*) return ;; esac
  mv -f "$dest/$building" "$dest/$mark" || exit 1
}
