# What both kinds of log share.

# Ends with whether the text that comes in has lines with $pattern. The first $lines of them are
# shown, each up to 500 bytes.
search() {
  # A file that was truncated under its writer begins with NULs, which make one endless line.
  verdict=$({
    tr '\000' '\n' 2>/dev/null |
      {
        LC_ALL=C grep -a -E -m "$lines" -e "$pattern"
        printf 'grep %s\n' "$?" >&3
      } | cut -b 1-500 >&2
  } 3>&1)
  case $verdict in
  'grep 0') echo found ;;
  'grep 1') echo nothing ;;
  *) echo bad-pattern ;;
  esac
}
