# What holds the target for the time of this step. The step ends whole or not at all, and gives up the
# claim either way.
run=$1 ours=$2 dead=$3
shift 3

let_go() {
  _e=$?
  cd /
  for _c in "$cache" "${aside-}"; do
    [ -n "$_c" ] || continue
    first_line "$_c/claim.json"
    if [ "$_line" = "$ours" ]; then rm -f "$_c/claim.json" "$_c/.claim-$run"; fi
  done
  (exit "$_e")
  out_of_order
}
