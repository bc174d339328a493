# Does a connection to $1, port $2 come to be, as seen from here? For where sshd forbids forwarding.
host=$1 port=$2
set -f
answer() {
  printf 'result %s\n' "$1"
  exit 0
}
if command -v bash >/dev/null 2>&1 && command -v timeout >/dev/null 2>&1; then
  # shellcheck disable=SC2016
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2"' deploy "$host" "$port" && answer open
  answer closed
fi
case $host in
localhost | 127.0.0.1 | ::1)
  # The kernel's own list: a socket that listens (0A) on the port.
  hex=$(printf '%04X' "$port")
  while read -r _ local _ state _; do
    case $local-$state in
    *":$hex-0A") answer open ;;
    esac
  done <<LISTED
$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
LISTED
  [ -r /proc/net/tcp ] && answer closed
  ;;
esac
if nc -h 2>&1 | grep -q -e '-.*z'; then
  nc -z -w 5 "$host" "$port" </dev/null && answer open
  answer closed
fi
answer no-tool
