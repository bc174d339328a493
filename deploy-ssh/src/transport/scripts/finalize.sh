# Ends a run: remembers what is good, prunes, gives up the claim. With $good = 0 only the last. $state
# is nothing when it stays as it is. What goes at once is collected in $gone, by names in $cache.
run=$1 ours=$2 dead=$3 good=$4 expected=$5 state=$6 drop=$7 commits=$8 packs=$9
shift 9
reuse=$1 gone= _held=

# Removes the releases in $drop, but for those in which a process works that we can see.
prune() {
  # Ids only: nothing in them is split or matched.
  set -- $drop
  find_spare
  [ $# = 0 ] || _used=$(ls -l /proc/[0-9]*/cwd /proc/[0-9]*/exe 2>/dev/null)
  for _id in "$@"; do
    [ "$_id" != "$live" ] && complete "$_id" || continue
    case $_used in
      *"/releases/$_id"*) say kept "$_id is in use" ;;
      *) discard "$_id" ;;
    esac
  done
  if [ "$reuse" != 1 ] && [ -n "$spare" ]; then drop_tree "$releases/$spare"; fi
  # The list of the release that the last fetch began with is of no use any more.
  for _r in "$indexes"/*; do
    _r=${_r##*/}
    case $_r in *[!0-9a-f-]*) continue ;; esac
    [ -e "$releases/$_r" ] || gone="$gone indexes/$_r"
  done
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

# Sets $spare to the release that is left for the next fetch to begin with; nothing when there is none.
find_spare() {
  spare=
  for _r in "$releases"/*; do
    if is_spare "${_r##*/}"; then spare=${_r##*/}; fi
  done
}

# One release loses its mark only, for the next fetch to begin with: most of its files will be the same.
# None with secrets: those would outlive it. The others are moved first, since what is half deleted does
# not count as a release.
discard() {
  if [ "$reuse" = 1 ] && [ -z "$spare" ] && [ -s "$indexes/$1" ] && ! has_secrets "$1"; then
    spare=$1 gone="$gone releases/$1/$mark"
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
    if [ -n "$_packed" ]; then g update-ref -d "refs/deploy/$_ref" 2>/dev/null
    elif [ -e "$repo/refs/deploy/$_ref" ]; then gone="$gone repo.git/refs/deploy/$_ref"
    fi
  done
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
  if [ -n "$state" ]; then
    lay_ready state.json "$state"
    mv -f "$cache/.new/state.json" "$cache/" || exit 1
  fi
  prune
  at_rest
fi
[ "$_held" = yes ] && _line=$ours || first_line "$cache/claim.json"
[ "$_line" != "$ours" ] || gone="$gone claim.json .claim-$run"
# The claim last: until then nobody else is at work here.
[ -z "$gone" ] || { cd "$cache" && rm -f $gone; } || exit 1
report ""
