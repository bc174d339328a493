# Is the service up, and does it stay up? $1: service, $2: sudo, $3: nothing; $4: for how many
# seconds it must stay up.
seconds=$4
look
[ "$load" = not-found ] && end missing "$unit"
case $active-$sub in
active-*) ;;
*-auto-restart | failed-* | inactive-*) fail "is $active ($sub), result $why" ;;
*) end starting "$active" "$sub" ;;
esac
first_id=$id first_proc=$proc up=0
while [ "$up" -lt "$seconds" ]; do
  sleep 1
  up=$((up + 1))
  look
  [ "$active" = active ] || fail "did not stay up: after $up s it is $active ($sub), result $why"
  [ "$first_id$first_proc" = -- ] || is_start "$first_id" "$first_proc" ||
    fail "did not stay up: after $up s another start of it runs"
done
end done up
