# Runs framed steps that arrive on standard input, one after the other. See docs/sessions.md.
#
# Variables of the wrapper begin with _w. A step runs in a sh of its own and sees none of them, so
# its output cannot hold the nonce that marks a frame. A step of ours is a function that came with
# the wrapper; it runs in a copy of this shell that has forgotten the nonce, and costs no new sh.
# POSIX sh, kill, sleep, cat, and a dd that knows iflag=fullblock,count_bytes (GNU coreutils,
# busybox).
#
# 3: frames and what steps write to standard output. 4: what they write to standard error.
# 5: where steps come from. Nothing that a step starts inherits them.
IFS= read -r _wn || exit 0
IFS= read -r _wbeat || exit 0
exec 3>&1 4>&2 5<&0 </dev/null >/dev/null
_wnl='
'

# Signs of life, as long as this shell lives.
(
  exec 4>&- 5<&- 2>/dev/null
  while sleep "$_wbeat" 3>&- && kill -0 "$$"; do
    printf '\001%s:T\n' "$_wn" >&3 || exit
  done
) &
_wticker=$!
trap 'kill "$_wticker" 2>/dev/null' EXIT

# Reads one field into $_wf: a line with the number of its lines, then the lines.
_wfield() {
  IFS= read -r _wc <&5 && IFS= read -r _wf <&5 || exit 0
  while [ "$_wc" -gt 1 ]; do
    IFS= read -r _wl <&5 || exit 0
    _wf=$_wf$_wnl$_wl _wc=$((_wc - 1))
  done
}

# Waits for the word that the step's end was seen. The end of input instead means that nobody
# waits for the step any more: it is killed with everything in this process group.
_wwatch() {
  IFS= read -r _wl <&5 && [ "$_wl" = "ack $_wi" ] || kill -KILL "-$$"
}

# Passes exactly the announced bytes on. The step sees the end of its input only when all of them
# have come, never because the link was cut.
_wfeed() {
  dd bs=65536 count="$_wbytes" iflag=fullblock,count_bytes <&5 2>/dev/null 3>&- 4>&-
  IFS= read -r _wl <&5 && [ "$_wl" = "end $_wi" ] || kill -KILL "-$$"
  [ "$_wend" = kill ] || exit 0
  exec >/dev/null
  _wwatch
}

# Carries output for as long as there is a link. Then it swallows what comes from a step that runs to
# its end, so that it does not die of a closed pipe.
_wrelay() {
  [ "$_wend" = run ] || exec cat
  trap '' PIPE
  cat 2>/dev/null || cat >/dev/null 2>&1
}

# Becomes the step.
_wstep() {
  unset _wn
  while [ "$_wenv" -gt 0 ]; do
    export "$1"
    shift
    _wenv=$((_wenv - 1))
  done
  [ "$_wkind" != sh ] || exec sh -c "$_ws" deploy "$@"
  eval "$_ws"
}

_wexited() { printf '\001%s:R %s %s\n' "$_wn" "$_wi" "$1" >&3; }

_wended() {
  printf '\001%s:E %s\n' "$_wn" "$_wi" >&3
  printf '\001%s:E %s\n' "$_wn" "$_wi" >&4
}

# Runs a step that may leave something running, and must not be told of a link that is cut: its
# output goes through processes that see its end.
_wrelayed() {
  {
    {
      ( exec 2>&6 3>&- 4>&- 5<&- 6>&-; _wstep "$@" )
      _wexited "$?"
      exec >/dev/null 2>&1 3>&- 4>&- 5<&- 6>&-
      [ "$_wbytes" = - ] || cat
    } | _wrelay >&3 4>&- 5<&- 6>&-
  } 6>&1 | _wrelay >&4 3>&- 5<&-
}

# Runs a step of ours that leaves nothing running; when it succeeds it has read all its input.
_wquick() {
  (
    [ "$_wend" = kill ] || trap '' PIPE
    exec >&3 2>&4 3>&- 4>&- 5<&-
    _wstep "$@"
  )
  _wstatus=$?
  if [ "$_wbytes" = - ] || [ "$_wstatus" = 0 ]; then
    # In one write, which is one packet.
    printf '\001%s:R %s %s\n\001%s:E %s\n' "$_wn" "$_wi" "$_wstatus" "$_wn" "$_wi" >&3
    printf '\001%s:E %s\n' "$_wn" "$_wi" >&4
    return
  fi
  _wexited "$_wstatus"
  cat
  _wended
}

_wrun() {
  if [ "$_wkind" = quick ]; then
    _wquick "$@"
  else
    _wrelayed "$@"
    _wended
  fi
}

printf '\001%s:H %s %s\n' "$_wn" "$$" "$_wdd" >&3

while IFS=' ' read -r _wi _wend _wbytes _wenv _wk _wkind <&5; do
  _wfield
  _ws=$_wf
  _wk=$((_wenv + _wk))
  set --
  while [ "$_wk" -gt 0 ]; do
    _wfield
    set -- "$@" "$_wf"
    _wk=$((_wk - 1))
  done
  printf '\001%s:B %s\n' "$_wn" "$_wi" >&3
  if [ "$_wbytes" != - ]; then
    _wfeed | _wrun "$@"
    [ "$_wend" = kill ] && continue
  elif [ "$_wend" = kill ]; then
    _wwatch 3>&- 4>&- &
    _ww=$!
    _wrun "$@" </dev/null
    wait "$_ww"
    continue
  else
    _wrun "$@" </dev/null
  fi
  IFS= read -r _wl <&5 || exit 0
done
# end
