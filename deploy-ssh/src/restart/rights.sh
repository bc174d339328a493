# What would keep the service from being acted upon. Changes nothing: sudo is only asked what it
# allows. $1: service, $2: sudo, $3: pid file; then what will be done to it.
shift 3
look
printf 'unit %s %s %s\n' "$manager" "$load" "$active"
printf 'user %s %s\n' "$(id -u)" "$(id -un)"
if [ -n "$pid_file" ]; then
  read_pid "$pid_file" || printf 'pid-file bad\n'
fi

# Whether sudo allows $2… without a question; $1: what it is for.
may() {
  verb=$1
  shift
  said=$(sudo -n -l "$@" 2>&1 </dev/null) && allowed=yes || allowed=no
  program=$(which_sudo "$1")
  shift
  printf 'may %s %s %s %s\n' "$verb" "$allowed" "$program" "$*"
}

if by_sudo && ! command -v sudo >/dev/null 2>&1; then
  printf 'no-sudo\n'
elif by_sudo; then
  for verb in "$@"; do
    case $manager-$verb in
    systemd-hup) may hup systemctl kill -s HUP "$unit" ;;
    systemd-*) may "$verb" systemctl "$verb" "$unit" ;;
    service-*) may "$verb" service "$unit" "$verb" ;;
    esac
  done
  sudo -n -l 2>/dev/null </dev/null | sed 's/^/rule /'
fi
if [ "$manager" = systemd ] && [ "$(id -u)" != 0 ]; then
  case " $(id -nG) " in
  *' systemd-journal '* | *' adm '*) ;;
  *)
    { by_sudo && sudo -n -l systemctl status "$unit" >/dev/null 2>&1; } ||
      { by_sudo && sudo -n -l journalctl -q -u "$unit" -n 30 --no-pager >/dev/null 2>&1; } ||
      printf 'no-journal\n'
    ;;
  esac
fi
end rights
