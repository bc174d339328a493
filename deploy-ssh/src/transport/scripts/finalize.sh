# Ends a run: remembers what is good, prunes, gives up the claim. With $good = 0 only the last.
run=$1 ours=$2 dead=$3 good=$4 expected=$5 state=$6 drop=$7 commits=$8 packs=$9
shift 9
reuse=$1

# Removes the releases in $drop, but for those in which a process works that we can see.
prune() {
  # Ids only: nothing in them is split or matched.
  set -- $drop
  [ $# = 0 ] || _used=$(ls -l /proc/[0-9]*/cwd /proc/[0-9]*/exe 2>/dev/null)
  for _id in "$@"; do
    [ "$_id" != "$live" ] && complete "$_id" || continue
    case $_used in
      *"/releases/$_id"*) say kept "$_id is in use" ;;
      *) discard "$_id" ;;
    esac
  done
  [ "$reuse" = 1 ] || drop_tree "$releases/.spare"
  forget
  # Packs add up, one for each version: now and then they become one.
  set -- "$repo"/objects/pack/*.pack
  if [ $# -gt "$packs" ]; then g repack -a -d -q --threads=1 >/dev/null && g prune --expire=now; fi
  :
}

# Whether secrets were written to the release $1.
has_secrets() {
  [ -f "$releases/$1/.deploy-rendered" ] && grep -q '^secrets ' "$releases/$1/.deploy-rendered"
}

# One release is put aside, for the next fetch to begin with: most of its files will be the same. None
# with secrets: those would outlive it. The others are moved first, since what is half deleted does not
# count as a release.
discard() {
  if [ "$reuse" = 1 ] && [ ! -e "$releases/.spare" ] && [ -s "$indexes/$1" ] &&
    ! has_secrets "$1"; then
    mv -f "$indexes/$1" "$indexes/.spare" && mv -T "$releases/$1" "$releases/.spare"
  else
    mv -T "$releases/$1" "$releases/.gone-$1" && drop_tree "$releases/.gone-$1"
    rm -f "$indexes/$1" "$manifests/$1"
  fi
}

# Lets go of the objects of the releases in $drop, and of $commits.
forget() {
  _packed=
  if [ -e "$repo/packed-refs" ] || [ -e "$repo/reftable" ]; then _packed=1; fi
  set --
  for _ref in $drop; do set -- "$@" "releases/$_ref"; done
  for _ref in $commits; do set -- "$@" "commits/$_ref"; done
  for _ref in "$@"; do
    shift
    if [ -n "$_packed" ]; then g update-ref -d "refs/deploy/$_ref" 2>/dev/null
    elif [ -e "$repo/refs/deploy/$_ref" ]; then set -- "$@" "$repo/refs/deploy/$_ref"
    fi
  done
  [ $# = 0 ] || rm -f "$@"
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
