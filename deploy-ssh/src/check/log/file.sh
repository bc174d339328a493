# Looks into a file. $1: its path; $2: note or ask; $3: the pattern; $4: how many lines are shown;
# $5: what was noted: the file, its size, a sum of what stands before its end, its real path.
path=$1 act=$2 pattern=$3 lines=$4 noted=$5

end() {
  printf 'result %s\n' "$*"
  exit 0
}

# Which file $1 is, whatever its name.
which_file() { stat -L -c '%d:%i' "$1" 2>/dev/null; }

# The sum of the last bytes of $1 before $2, by which a file is told from one written anew.
sum() {
  from=$(($2 > 1024 ? $2 - 1024 : 0))
  rest "$1" "$from" | head -c $(($2 - from)) | sha256sum | cut -c 1-32
}

# What $1 holds from byte $2 on.
rest() { dd if="$1" bs=65536 iflag=skip_bytes skip="$2" 2>/dev/null; }

# Whether $1 is the file that was noted, with all that it held.
is_noted() {
  [ "$(stat -L -c %s "$1")" -ge "$size" ] && [ "$(sum "$1" "$size")" = "$known" ]
}

is_plain() {
  case $1 in
  *.gz | *.bz2 | *.xz | *.zst | *.lz4) return 1 ;;
  esac
  [ -f "$1" ] && [ "$1" != "$path" ]
}

# Sets $old to where the noted file is by now: renamed, or copied before it was truncated.
find_old() {
  old=
  for other in "$path"* "$real"*; do
    is_plain "$other" && is_noted "$other" || continue
    if [ "$(which_file "$other")" = "$file" ] || [ "$size" -gt 0 ]; then
      old=$other
      return
    fi
  done
}

# All that was written since: what is left of the noted file, what came between, and the present.
since() {
  [ -z "$old" ] || rest "$old" "$size"
  for other in "$path"*; do
    if [ -n "$old" ] && is_plain "$other" && [ "$other" -nt "$old" ]; then rest "$other" 0; fi
  done
  [ ! -e "$path" ] || rest "$path" "$begin"
}

# A directory that may not be searched hides what is in it.
directory=${path%/*}
near=$directory
while [ -n "$near" ] && [ ! -d "$near" ]; do near=${near%/*}; done
[ -x "${near:-/}" ] || end denied "$(id -un)"
if [ -e "$path" ]; then
  [ -f "$path" ] || end no-file
  [ -r "$path" ] || end denied "$(id -un)"
fi

if [ "$act" = note ]; then
  [ "$near" = "$directory" ] || end missing
  [ -e "$path" ] || end noted -
  size=$(stat -L -c %s "$path")
  end noted "$(which_file "$path") $size $(sum "$path" "$size") $(readlink -f "$path")"
fi

old='' begin=0 gap=no
if [ "$noted" = - ]; then
  [ -e "$path" ] || end missing
else
  file=${noted%% *} noted=${noted#* }
  size=${noted%% *} noted=${noted#* }
  known=${noted%% *} real=${noted#* }
  if [ "$(which_file "$path")" = "$file" ] && is_noted "$path"; then
    begin=$size
  else
    find_old
    # What was truncated where it stands was meant to be gone.
    [ -n "$old" ] || [ "$(which_file "$path")" = "$file" ] || gap=yes
  fi
fi
verdict=$(since | search)
[ "$verdict-$gap" != nothing-yes ] || verdict=gap
end "$verdict"
