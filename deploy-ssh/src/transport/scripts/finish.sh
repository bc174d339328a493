# Writes the rendered files of the release $id, which come on the input. $part is `new` for one that
# lacks nothing else: then it is made complete; `again` for one that is complete.
run=$1 ours=$2 dead=$3 id=$4 part=$5
dest=$releases/$id

take_claim
stop_earlier fetch
if complete "$id"; then
  # With `new` this is done already: the answer was lost.
  if [ "$part" = again ]; then put_rendered again; fi
else
  [ "$part" = new ] || die 43 "$dest is not there, or not complete"
  [ -e "$dest/$building" ] || die 43 "the release was removed while it was made"
  put_rendered new
  mv -f "$dest/$building" "$dest/$mark" || exit 1
fi
at_rest
report
