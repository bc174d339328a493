# Makes the service use what was promoted. $4: restart, reload, hup or command; $5: the attempt;
# $6, $7: id and process that were noted before; $8: the command; $9: where it runs; $10: the link
# that promote switches.
how=$4 attempt=$5 noted_id=$6 noted_proc=$7 command=$8 place=$9 link=${10}

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
  await_jobs
  if [ "$how" = restart ] || [ "$how" = command ]; then
    if [ "$id$proc" != -- ] && ! is_start "$noted_id" "$noted_proc" && ! is_older_than_switch; then
      await_active
      end done already
    fi
  fi
fi

case $how in
command) run_command ;;
restart) begin restart ;;
hup)
  [ -z "$pid_file" ] || hup_pid_file
  [ "$manager" = systemd ] ||
    end failed "gets no SIGHUP: the host has no systemd; use reload, a pid file or a command"
  ;;
esac

# What does not run cannot be told anything: it is started instead.
if [ "$active" = active ]; then outlive act "$how"; else begin start; fi
