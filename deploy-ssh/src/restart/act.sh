# How a service is acted upon: what restart.sh, operate.sh and stop.sh share. They set how: what is
# done; and where a command may be meant, command and place: the command, and where it runs.

# Waits until systemd has no job for the service any more, such as an earlier attempt's.
await_jobs() {
  left=450
  while [ "$left" -gt 0 ] && { [ "$job" != 0 ] || [ "$active" = activating ]; }; do
    [ "$sub" = auto-restart ] && break
    left=$((left - 1))
    nap
    look
  done
}

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

# Runs the command that is to act; where there is a service too, it must be up afterwards.
run_command() {
  cd -- "$place" 2>/dev/null || cd || exit
  sh -c "$command" deploy >&2 </dev/null
  code=$?
  [ "$code" = 0 ] || fail "exit status $code"
  [ -z "$unit" ] || await_active
  end done command
}

# Stops what runs.
halt() {
  case $active in
  inactive | failed) end done nothing ;;
  esac
  act stop || fail "$(why_not stop)"
  look
  case $active in
  inactive | failed) end done stop ;;
  esac
  fail "is still $active, although stop was accepted"
}
