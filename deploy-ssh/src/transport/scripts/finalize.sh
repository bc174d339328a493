# Ends a run: remembers what is good, prunes, gives up the claim. With $good = 0 only the last.
run=$1 ours=$2 dead=$3 good=$4 expected=$5 state=$6 drop=$7 commits=$8 packs=$9

# Whether a process that we can see works in the release $1.
in_use() {
  ls -l /proc/[0-9]*/cwd /proc/[0-9]*/exe 2>/dev/null | grep -qF -e "/releases/$1"
}

prune() {
  for _id in $drop; do
    [ "$_id" != "$live" ] && complete "$_id" || continue
    if in_use "$_id"; then
      say kept "$_id is in use"
      continue
    fi
    # Moved first: what is half deleted does not count as a release.
    mv -T "$releases/$_id" "$releases/.gone-$_id" && drop_tree "$releases/.gone-$_id"
    rm -f "$indexes/$_id" "$manifests/$_id"
    g update-ref -d "refs/deploy/releases/$_id" 2>/dev/null
  done
  for _c in $commits; do g update-ref -d "refs/deploy/commits/$_c" 2>/dev/null; done
  # Packs add up, one for each version: now and then they become one.
  set -- "$repo"/objects/pack/*.pack
  if [ $# -gt "$packs" ]; then g repack -a -d -q --threads=1 >/dev/null && g prune --expire=now; fi
  :
}

if [ ! -d "$cache" ]; then
  [ "$good" = 0 ] || die 43 "$cache is not there"
  report
  exit 0
fi
find_live
if [ "$good" = 1 ]; then
  take_claim
  stop_earlier finalize
  demand_state "$expected"
  if [ "$state" != "$expected" ]; then
    prepare_state "$state"
    mv -f "$cache/.new/state.json" "$cache/" || exit 1
  fi
  prune
  at_rest
fi
first_line "$cache/claim.json"
if [ "$_line" = "$ours" ]; then rm -f "$cache/claim.json" "$cache/.claim-$run" || exit 1; fi
report
