# Brings back what was at the live path before the release $id was adopted: a directory, or the link
# $was to the directory $at. What is ours is put aside, with $stamp in its name: when it was adopted.
# Runs to its end when the connection is cut.
id=$1 kind=$2 was=$3 at=$4 tool=$5 stamp=$6
dest=$releases/$id
turn=.deploy-turn-$id

# Brings the release back to $at, where a link is that leads to it, by an exchange of the two. Whoever
# is on the way to the release in that moment has read a link already, and must arrive all the same:
# so the link is one that leads from either place to the other, by a name that both places have.
move_out() {
  if [ -d "$at" ] && [ ! -L "$at" ]; then return; fi
  [ -d "$dest" ] && [ ! -L "$dest" ] && complete "$id" || die 43 "$dest is not there any more"
  ln -s -f -n "$at" "$releases/$turn" && ln -s -f -n "$dest" "${at%/*}/$turn" &&
    ln -s -f -n "$turn" "$cache/.new/link" && mv -T "$cache/.new/link" "$at" || exit 1
  if [ -n "$tool" ]; then
    exchange "$tool" "$at" "$dest" || die 53 "$at could not be exchanged with $dest"
    return
  fi
  # By the gap that was allowed.
  mv -T "$at" "$cache/.new/link" && mv -T "$dest" "$at" && mv -T "$cache/.new/link" "$dest" || exit 1
}

# The link that the live path was, as long as it still leads to what was adopted.
relink() {
  case $was in /*) _q=$was ;; *) _q=${path%/*}/$was ;; esac
  real "$_q"
  _old=$_real
  real "$at"
  [ -n "$_old" ] && [ "$_old" = "$_real" ] ||
    die 53 "$was, where $path led, leads to ${_old:-nothing} by now, and not to what was adopted"
  ln -s -f -n "$was" "$cache/.new/path" && mv -T "$cache/.new/path" "$path" || exit 1
}

# Puts what is ours aside. A cache that is Scap's own stays where it is.
put_aside() {
  if [ "$kind" = scap ]; then
    aside=$cache/undone-$stamp
    mkdir -p "$aside" && rm -rf "$cache/.new" || exit 1
    # The record is the last: until then it can be done again.
    for _f in live previous releases indexes manifests shared repo.git state.json serving.json .at-work \
      .adopting adopted.json; do
      if [ -e "$cache/$_f" ] || [ -L "$cache/$_f" ]; then mv -T "$cache/$_f" "$aside/$_f" || exit 1; fi
    done
  else
    aside=$cache-undone-$stamp
    mv -T "$cache" "$aside" || exit 1
  fi
}

[ -d "$cache/.new" ] || mkdir "$cache/.new" || exit 1
aside=
trap let_go EXIT
take_claim
stop_earlier undoing
[ "$kind" = directory ] || relink
move_out
# Nobody is on the way through what is ours any more.
sleep 1
rm -f "${at%/*}/$turn" "$at/$mark"
at_rest
put_aside
say aside "$aside"
say done
