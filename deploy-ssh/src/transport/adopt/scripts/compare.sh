# Compares what is served with the files of a commit, which come on the input: a line for each, mode,
# object and path. Without any it is told by its own content. $1 says whether there are any, $2 how
# object ids are written; $3… are the shared directories, which are left out.
with=$1 format=$2
shift 2
recognise
cd "$origin" || exit 1
GIT_DEFAULT_HASH=$format
export GIT_DEFAULT_HASH
try=$(mktemp -d) || exit 1
trap 'cd /; rm -rf "$try"' EXIT

# Whether the path $1 lies in a shared directory, or behind a link.
is_left_out() {
  _q=$1
  for _s in $shared; do
    case $_q/ in "$_s"/*) return 0 ;; esac
  done
  while :; do
    case $_q in */*) _q=${_q%/*} ;; *) return 1 ;; esac
    [ -L "$_q" ] && return 0
  done
}

# A directory a line, none of them a pattern.
IFS=$nl
shared="$*"
set -f

by_commit() {
  while IFS=' ' read -r _mode _object _p; do
    case $_mode in
      100644 | 100755)
        if is_left_out "$_p"; then continue; fi
        # What cannot be read counts as different.
        if [ -f "$_p" ] && [ ! -L "$_p" ] && [ -r "$_p" ]; then
          _x=100644
          [ ! -x "$_p" ] || _x=100755
          printf '%s %s %s\n' "$_mode" "$_object" "$_p" >>"$try/want"
          printf '%s\n' "$_p" >>"$try/names"
          printf '%s\n' "$_x" >>"$try/modes"
        else printf '%s\t%s\n' - "$_p" >>"$try/differ"; fi ;;
      120000)
        if is_left_out "$_p"; then continue; fi
        if [ -L "$_p" ]; then
          _has=$(printf %s "$(readlink "$_p")" | git hash-object --stdin)
          [ "$_has" = "$_object" ] || printf '%s\t%s\n' "$_has" "$_p" >>"$try/differ"
        else printf '%s\t%s\n' - "$_p" >>"$try/differ"; fi ;;
    esac
  done
  : >>"$try/names"
  : >>"$try/differ"
  : >>"$try/want"
  : >>"$try/modes"
  git hash-object --no-filters --stdin-paths <"$try/names" >"$try/hashes" || exit 1
  # Two lists of the same length, line by line.
  exec 3<"$try/want" 4<"$try/hashes" 5<"$try/modes"
  while IFS=' ' read -r _mode _object _p <&3 && read -r _has <&4 && read -r _x <&5; do
    if [ "$_has" != "$_object" ] || [ "$_mode" != "$_x" ]; then
      printf '%s %s\t%s\n' "$_x" "$_has" "$_p" >>"$try/differ"
    fi
  done
  exec 3<&- 4<&- 5<&-
  say compared "$(wc -l <"$try/names")"
  say differ "$(wc -l <"$try/differ")"
  head -n 20 "$try/differ" | while IFS= read -r _l; do say differs "${_l#*"$tab"}"; done
  say digest "$(sort "$try/differ" | sha256sum)"
}

# Everything that is there, but for git's own store and what is shared.
by_content() {
  set -- . \( -name .git -o -name "*$nl*" -o -name "$mark"
  for _s in $shared; do set -- "$@" -o -path "./$_s"; done
  {
    find "$@" \) -prune -o -type f -exec sha256sum {} +
    links
  } | sort >"$try/all" || exit 1
  say compared "$(wc -l <"$try/all")"
  say digest "$(sha256sum <"$try/all")"
}

if [ "$with" = 1 ]; then by_commit; else by_content; fi
say done
