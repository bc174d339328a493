# Removes the claim $1, and no other. Moved aside first: whoever takes the target meanwhile keeps it.
held=$1 aside=$cache/.claim-unlock
[ -e "$cache/claim.json" ] || { report; exit 0; }
mv -f "$cache/claim.json" "$aside" || exit 1
first_line "$aside"
_h=$_line
if [ "$_h" != "$held" ]; then
  ln "$aside" "$cache/claim.json" 2>/dev/null
  rm -f "$aside"
  say claimed "$_h"
  exit 40
fi
rm -f "$aside" && report
