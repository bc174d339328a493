# Runs the script $1 of the release in $2.
cd -- "$2" || exit 1
if [ ! -f "$1" ]; then
  echo "the release has no file $1" >&2
  exit 127
fi
if [ ! -x "$1" ]; then
  echo "$1 is not executable" >&2
  exit 126
fi
exec "./$1"
