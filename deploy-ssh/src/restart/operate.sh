# Operates the service at a person's word. $4: start, stop, restart, reload, hup or command; $5: the
# attempt; $6, $7: id and process that were noted before; $8: the command; $9: where it runs.
how=$4 attempt=$5 noted_id=$6 noted_proc=$7 command=$8 place=$9

# What does not run cannot be told anything, and is not started by the way.
demand_active() { [ "$active" = active ] || end failed "is $active ($sub): start it instead"; }

look
[ "$load" = not-found ] && end missing "$unit"

# An earlier attempt may have been carried out although its answer was lost.
if [ "$attempt" -gt 1 ]; then
  await_jobs
  if [ "$how" = restart ] || [ "$how" = command ]; then
    if [ "$id$proc" != -- ] && ! is_start "$noted_id" "$noted_proc"; then
      await_active
      end done already
    fi
  fi
fi

case $how in
start)
  case $active-$sub in
  active-* | reloading-*) end done already ;;
  activating-auto-restart) begin start ;;
  activating-*)
    await_active
    end done already
    ;;
  *) begin start ;;
  esac
  ;;
stop) halt ;;
restart) begin restart ;;
reload)
  demand_active
  outlive act reload
  ;;
hup)
  [ -z "$pid_file" ] || hup_pid_file
  [ "$manager" = systemd ] ||
    end failed "gets no SIGHUP: the host has no systemd; use reload, a pid file or a command"
  demand_active
  outlive act hup
  ;;
command) run_command ;;
esac
