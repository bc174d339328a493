# Looks into the journal of a unit. $4: note or ask; $5: the pattern; $6: how many lines are shown;
# $7: what was noted: the start that ran, the one that logged last, and its last entry.
act=$4 pattern=$5 lines=$6 noted=$7

[ "$manager" = systemd ] && command -v journalctl >/dev/null 2>&1 || end no-journal
look
[ "$load" = not-found ] && end missing

# Which starts the entries are of that come in as JSON.
ids() {
  grep -oE '"(_SYSTEMD_)?INVOCATION_ID":"[0-9a-f]{32}"' | cut -d '"' -f 4 | sort -u | head -n 50
}

if [ "$act" = note ]; then
  last=$(journalctl -u "$unit" -n 1 -o json 2>&1)
  case $last in
  *'not seeing messages'* | *'insufficient permissions'*) end denied "$(id -un)" ;;
  esac
  cursor=$(printf '%s\n' "$last" | grep -oE '"__CURSOR" ?: ?"[^"]+"' | cut -d '"' -f 4)
  logged=$(printf '%s\n' "$last" | ids | head -n 1)
  end noted "$id ${logged:--} ${cursor:--}"
fi

before=${noted%% *} noted=${noted#* }
logged=${noted%% *} cursor=${noted#* }

# journalctl from the entry that was noted on. `--after-cursor` would skip the first entry that fits
# where the noted one does not fit itself; here it never fits.
from_there() {
  if [ "$cursor" = - ]; then
    journalctl -q "$@"
  else
    journalctl -q --cursor="$cursor" "$@"
  fi
}

# The starts that logged something since, without those of before.
starts() {
  {
    from_there -u "$unit" -o json \
      --output-fields=_SYSTEMD_INVOCATION_ID,INVOCATION_ID 2>/dev/null ||
      from_there -u "$unit" -o json
  } | ids | grep -vx -e "$before" -e "$logged"
}

since() {
  if [ "$id" = - ] || [ "$id" = "$before" ]; then
    # Reloaded, or a systemd that does not tell starts apart: all that came. The noted entry is one
    # of the unit's, so this skips it and nothing else.
    [ "$cursor" = - ] || set -- --after-cursor="$cursor"
    journalctl -q -u "$unit" -o cat "$@"
    return
  fi
  ids=$(starts)
  [ -n "$ids" ] || return 0
  for id in $ids; do set -- "$@" "_SYSTEMD_INVOCATION_ID=$id"; done
  # What systemd itself says of them.
  set -- "$@" + _PID=1
  for id in $ids; do set -- "$@" "INVOCATION_ID=$id"; done
  from_there -o cat "$@"
}

verdict=$(since | search)
end "$verdict"
