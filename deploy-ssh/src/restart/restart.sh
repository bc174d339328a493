# Makes the service use what was promoted. $4: restart, reload, hup or command; $5: the attempt;
# $6, $7: id and process that were noted before; $8: the command; $9: where it runs; $10: the link
# that promote switches.
how=$4 attempt=$5 noted_id=$6 noted_proc=$7 command=$8 place=$9 link=${10}

# Waits until the service is active, and a second more: nothing is proven by a start that dies at
# once.
await_active() {
  look
  left=150
  while [ "$left" -gt 0 ] && [ "$active" != active ]; do
    case $active-$sub in
    *-auto-restart | failed-* | inactive-*) break ;;
    esac
    left=$((left - 1))
    nap
    look
  done
  if [ "$kind" = oneshot ] && [ "$active" = inactive ] && [ "$why" = success ]; then return; fi
  [ "$active" = active ] || fail "is $active ($sub), not active; result $why"
  first_id=$id first_proc=$proc
  sleep 1
  look
  [ "$active" = active ] || fail "ended within a second: is $active ($sub), result $why"
  [ "$id$proc" = -- ] || is_start "$first_id" "$first_proc" || fail "ended within a second"
}

# Begins it anew, by restart or start.
begin() {
  old_id=$id old_proc=$proc
  if ! act "$1"; then
    look
    # Too many starts in a short time: another one is allowed when the time is over.
    [ "$why" = start-limit-hit ] || fail "$(why_not "$1")"
    as_root systemctl reset-failed "$unit" >/dev/null 2>&1 || sleep 11
    act "$1" || fail "$(why_not "$1")"
  fi
  await_active
  # Without a mark there is nothing to compare; the manager's word has to do.
  [ "$old_id$old_proc" = -- ] || ! is_start "$old_id" "$old_proc" ||
    fail "still runs as before, although $1 was accepted"
  end done "$1"
}

# Looks a second later whether the process that was told is still the same.
outlive() {
  old_id=$id old_proc=$proc
  "$@" || fail "$(why_not "$how")"
  sleep 1
  look
  [ "$active" = active ] || fail "did not survive it: is $active ($sub), result $why"
  if [ "$old_proc" != - ]; then
    [ "$proc" = "$old_proc" ] || fail "did not survive it: another process runs now"
  elif [ "$old_id" != - ]; then
    [ "$id" = "$old_id" ] || fail "did not survive it: it was started anew"
  fi
  end done "$how"
}

# Sends SIGHUP to the process that the pid file names, which must belong to the login user.
hup_pid_file() {
  read_pid "$pid_file" || end bad-pid-file "does not hold one number above 1"
  birth "$pid" || end bad-pid-file "names process $pid, which does not run"
  [ "$(stat -c %u "/proc/$pid" 2>/dev/null)" = "$(id -u)" ] ||
    end bad-pid-file "names process $pid, which is not ours"
  id=-
  outlive hup_pid
}

hup_pid() {
  said=$(kill -HUP "$pid" 2>&1)
  code=$?
  return "$code"
}

# Whether the process was started before the switch: by itself, between note and promote. Up to two
# seconds cannot be told, and count as after.
is_older_than_switch() {
  [ "$proc" != - ] && switched=$(stat -c %Y "$link" 2>/dev/null) || return 1
  { read -r uptime _ </proc/uptime; } 2>/dev/null || return 1
  ticks=$(getconf CLK_TCK 2>/dev/null) || ticks=100
  begun=$(($(date +%s) - ${uptime%%.*} + ${proc#*:} / ticks))
  [ "$begun" -lt $((switched - 1)) ]
}

look
[ "$load" = not-found ] && end missing "$unit"

# An earlier attempt may have been carried out although its answer was lost.
if [ "$attempt" -gt 1 ]; then
  left=450
  while [ "$left" -gt 0 ] && { [ "$job" != 0 ] || [ "$active" = activating ]; }; do
    [ "$sub" = auto-restart ] && break
    left=$((left - 1))
    nap
    look
  done
  if [ "$how" = restart ] || [ "$how" = command ]; then
    if [ "$id$proc" != -- ] && ! is_start "$noted_id" "$noted_proc" && ! is_older_than_switch; then
      await_active
      end done already
    fi
  fi
fi

case $how in
command)
  cd -- "$place" 2>/dev/null || cd || exit
  sh -c "$command" deploy >&2 </dev/null
  code=$?
  [ "$code" = 0 ] || fail "exit status $code"
  [ -z "$unit" ] || await_active
  end done command
  ;;
restart) begin restart ;;
hup)
  [ -z "$pid_file" ] || hup_pid_file
  [ "$manager" = systemd ] ||
    end failed "gets no SIGHUP: the host has no systemd; use reload, a pid file or a command"
  ;;
esac

# What does not run cannot be told anything: it is started instead.
if [ "$active" = active ]; then outlive act "$how"; else begin start; fi
