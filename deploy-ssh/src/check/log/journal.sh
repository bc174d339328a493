# Looks into the journal of a unit. $4: note or ask; $5: the pattern; $6: how many lines are shown;
# $7: what was noted: the start that ran, and how far the journal was.
act=$4 pattern=$5 lines=$6 noted=$7

[ "$manager" = systemd ] && command -v journalctl >/dev/null 2>&1 || end no-journal
look
[ "$load" = not-found ] && end missing

if [ "$act" = note ]; then
  last=$(journalctl -n 1 -o cat --show-cursor 2>&1)
  case $last in
  *'not seeing messages'* | *'insufficient permissions'*) end denied "$(id -un)" ;;
  esac
  cursor=$(printf '%s\n' "$last" | tail -n 1)
  case $cursor in
  '-- cursor: '*) cursor=${cursor#'-- cursor: '} ;;
  *) cursor=- ;;
  esac
  end noted "$id $cursor"
fi

before=${noted%% *} cursor=${noted#* }
set --
[ "$cursor" = - ] || set -- --after-cursor="$cursor"

# The starts that logged something since, without the one that ran before.
starts() {
  {
    journalctl -q -u "$unit" "$@" -o json \
      --output-fields=_SYSTEMD_INVOCATION_ID,INVOCATION_ID 2>/dev/null ||
      journalctl -q -u "$unit" "$@" -o json
  } | grep -oE '"(_SYSTEMD_)?INVOCATION_ID":"[0-9a-f]{32}"' |
    cut -d '"' -f 4 | grep -vx -e "$before" | sort -u | head -n 50
}

since() {
  if [ "$id" = "$before" ] || [ "$id" = - ]; then
    # Reloaded, or a systemd that does not tell starts apart: all that came.
    journalctl -q -u "$unit" "$@" -o cat
    return
  fi
  ids=$(starts "$@")
  [ -n "$ids" ] || return 0
  for id in $ids; do set -- "$@" "_SYSTEMD_INVOCATION_ID=$id"; done
  # What systemd itself says of them.
  set -- "$@" +
  for id in $ids; do set -- "$@" "INVOCATION_ID=$id"; done
  journalctl -q "$@" -o cat _PID=1
}

verdict=$(since "$@" | search)
end "$verdict"
