# What restart, stop and check scripts share: looking at a service, and acting on it.
#
# $1: the service, or nothing. $2: whether by sudo, yes or no. $3: instead of a service, the path of
# a pid file, or nothing.
unit=$1 sudo=$2 pid_file=$3
set -f
LC_ALL=C SYSTEMD_PAGER='' SYSTEMD_COLORS=0 PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL SYSTEMD_PAGER SYSTEMD_COLORS PATH

# Tells the deployer how it ended, and ends.
end() {
  printf 'result %s\n' "$*"
  exit 0
}

if [ -z "$unit" ]; then
  manager=none
  [ -z "$pid_file" ] || manager=pid-file
elif [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; then
  manager=systemd
  # systemctl adds the suffix by itself; sudo compares with what was granted word by word.
  case $unit in
  *.service | *.socket | *.target | *.timer | *.path | *.mount | *.slice | *.scope) ;;
  *) unit=$unit.service ;;
  esac
elif command -v service >/dev/null 2>&1; then
  manager=service
  unit=${unit%.service}
else
  end no-manager
fi

nap() { sleep 0.2 2>/dev/null || sleep 1; }

# Reads a pid file into $pid: one number above 1, and nothing else.
read_pid() {
  pid=
  [ -f "$1" ] && [ -r "$1" ] && pid=$(head -c 32 "$1" 2>/dev/null)
  case $pid in
  '' | *[!0-9]* | 0* | 1 | ???????????*)
    pid=
    return 1
    ;;
  esac
}

# Sets $proc to process $1 with its start, in ticks since boot: no other process has both.
birth() {
  proc=-
  stat=
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  birth_of=$1
  set -- ${stat##*)}
  [ -n "${20}" ] && proc=$birth_of:${20}
}

look_systemd() {
  shown=$(TZ=UTC0 systemctl show -p LoadState -p ActiveState -p SubState -p Result -p InvocationID \
    -p MainPID -p Type -p Job -p ActiveEnterTimestamp -p InactiveEnterTimestamp "$unit" 2>&1) || {
    printf '%s\n' "$shown" >&2
    end broken
  }
  while IFS='=' read -r key value; do
    case $key in
    LoadState) load=$value ;;
    ActiveState) active=$value ;;
    SubState) sub=$value ;;
    Result) why=$value ;;
    InvocationID) id=${value:--} ;;
    MainPID) birth "${value:-0}" ;;
    Type) kind=$value ;;
    Job) job=${value:-0} ;;
    ActiveEnterTimestamp) up_since=$value ;;
    InactiveEnterTimestamp) down_since=$value ;;
    esac
  done <<SHOWN
$shown
SHOWN
  case $active in
  active | reloading) since=$up_since ;;
  inactive | failed) since=$down_since ;;
  esac
}

by_sudo() { [ "$sudo" = yes ] && [ "$(id -u)" != 0 ]; }

as_root() { if by_sudo; then sudo -n "$@"; else "$@"; fi; }

# Init scripts may need root to see whether the service runs; where that is not granted, they are
# asked without.
ask_status() {
  if by_sudo && sudo -n -l service "$unit" status >/dev/null 2>&1; then
    sudo -n service "$unit" status
  else
    service "$unit" status
  fi
}

look_service() {
  if [ -e "/etc/init.d/$unit" ] || [ -e "/etc/init/$unit.conf" ]; then
    load=loaded
  else
    load=not-found
    return
  fi
  ask_status >/dev/null 2>&1 </dev/null
  case $? in
  0) active=active ;;
  3) active=inactive ;;
  *) active=failed ;;
  esac
  for file in "/run/$unit.pid" "/run/$unit/$unit.pid" "/var/run/$unit.pid"; do
    read_pid "$file" && birth "$pid" && break
  done
}

# Sets load, active, sub, why (its result), id (of this start), proc, kind, job and since (as
# systemd writes it, or a dash).
look() {
  load=loaded active=inactive sub=- why=- id=- proc=- kind=- job=0 since=- up_since= down_since=
  case $manager in
  systemd) look_systemd ;;
  service) look_service ;;
  none) active=active ;;
  pid-file) read_pid "$pid_file" && birth "$pid" && active=active ;;
  esac
}

# Whether what was seen last is the start that had id $1 and process $2.
is_start() {
  if [ "$id" != - ]; then [ "$id" = "$1" ]; else [ "$proc" != - ] && [ "$proc" = "$2" ]; fi
}

# Where sudo finds program $1.
which_sudo() {
  for dir in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
    [ -x "$dir/$1" ] && printf '%s' "$dir/$1" && return
  done
  printf '%s' "$1"
}

# Ends with "denied" when it is for the lack of a right that $@ failed, having said $said.
refused() {
  if by_sudo; then
    sudo -n -l "$@" >/dev/null 2>&1 && return
  else
    case $said in
    *'uthentication required'* | *'ccess denied'* | *'ermission denied'*) ;;
    *) return ;;
    esac
  fi
  program=$(which_sudo "$1")
  shift
  end denied "$(id -un)" "$program" "$*"
}

# Does $1 (start, stop, restart, reload, hup) to the service. What systemctl says is kept; what
# `service` says is not, since a daemon that it starts may hold its output open.
act() {
  said=
  case $manager-$1 in
  systemd-hup) set -- systemctl kill -s HUP "$unit" ;;
  systemd-*) set -- systemctl "$1" "$unit" ;;
  *)
    set -- service "$unit" "$1"
    as_root "$@" >&2 </dev/null && return
    code=$?
    refused "$@"
    return "$code"
    ;;
  esac
  said=$(as_root "$@" 2>&1 </dev/null) && return
  code=$?
  printf '%s\n' "$said" >&2
  refused "$@"
  return "$code"
}

# What a person would look at. systemd tells all this to root only, or to members of
# systemd-journal or adm; sudo needs a line of its own for it.
show_evidence() {
  case $manager in
  systemd)
    set -- journalctl -q -u "$unit" -n 30 --no-pager
    log=$("$@" 2>/dev/null)
    [ -z "$log" ] && by_sudo && log=$(sudo -n "$@" 2>/dev/null)
    case $log in '' | '-- '*) log= ;; esac
    status=
    [ -z "$log" ] && by_sudo && status=$(sudo -n systemctl status "$unit" 2>/dev/null)
    [ -z "$status" ] && status=$(systemctl status -n 0 --no-pager "$unit" 2>&1)
    printf '%s\n' "$status"
    [ -z "$log" ] || printf '%s\n' "$log"
    ;;
  service) ask_status 2>&1 </dev/null | tail -n 30 ;;
  esac
}

# Tells why act failed, in one line.
why_not() {
  case $said in
  '') printf '%s failed with status %s' "$1" "$code" ;;
  *) printf '%s\n' "$said" | head -n 1 ;;
  esac
}

# Ends with "failed" and why, having shown what a person would look at.
fail() {
  show_evidence >&2
  end failed "$@"
}
