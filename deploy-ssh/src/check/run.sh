# Runs a command of the app's own: $1 is what sh runs, $2 the release's directory or nothing, and
# $3 says whether that directory must be there.
if [ -n "$2" ] && ! cd -- "$2" && [ "$3" = must ]; then
  exit 1
fi
exec sh -c "$1" deploy
