# What the scripts of an adoption share: what lies at the live path, and the exchange of two names.
tab='	'

# Sets $_real to where the directory $1 really is; nothing where there is none.
real() { _real=$(cd -P "$1" 2>/dev/null && pwd -P); }

# Sets $found to what is at the live path, $origin to the directory that is served where it is not
# ours, and $link to where the path leads as a link. An adoption that was broken off is `half`: its
# release is ours, and the path does not know it yet.
recognise() {
  origin= link= found=nothing
  if [ -L "$path" ]; then
    link=$(readlink "$path")
    real "$path"
    origin=$_real
    real "$releases"
    if [ -z "$origin" ]; then found='other a link that leads to no directory'
    elif [ -n "$_real" ] && [ "$origin" = "$_real/${origin##*/}" ]; then
      case $link in
        "${path##*/}-cache/live" | "$cache/live") found=ours ;;
        *) found=half ;;
      esac
    else layout_of "$origin"; fi
  elif [ -d "$path" ]; then
    real "$path"
    origin=$_real found=directory
    if [ -L "$path/current" ] && [ -d "$path/releases" ]; then
      found="other the directory around releases: what is live is $path/current"
    fi
  elif [ -e "$path" ]; then found='other a file'
  fi
}

# Sets $found to the layout in which the release $1 lies.
layout_of() {
  found='other a link to a directory of no layout that is known'
  real "$cache/revs"
  if [ -n "$_real" ] && [ "$1" = "$_real/${1##*/}" ]; then
    found=scap
    return
  fi
  case $1 in */releases/*) ;; *) return ;; esac
  _top=${1%/releases/*} _rest=${1##*/releases/}
  case $_rest in */*) return ;; esac
  if [ -d "$_top/.dep" ]; then found=deployer
  elif [ -d "$_top/repo" ] || [ -f "$_top/revisions.log" ]; then found=capistrano
  fi
}

# Lets $2 and $3 change places at once, by the tool $1. `mv` of coreutils 9.5, else renameat2 by its
# number.
exchange() {
  case $1 in
    mv) mv --exchange -T "$2" "$3" ;;
    perl) perl -e 'exit 0 if syscall($ARGV[0] + 0, -100, $ARGV[1], -100, $ARGV[2], 2) == 0;
      print STDERR "exchange: $!\n"; exit 1' "$(renameat2)" "$2" "$3" ;;
    python3) python3 -c 'import ctypes, os, sys
n, a, b = int(sys.argv[1]), os.fsencode(sys.argv[2]), os.fsencode(sys.argv[3])
if ctypes.CDLL(None, use_errno=True).syscall(n, -100, a, -100, b, 2):
  sys.exit("exchange: " + os.strerror(ctypes.get_errno()))' "$(renameat2)" "$2" "$3" ;;
    *) return 1 ;;
  esac
}

# The number of renameat2 on this machine; 0, which no machine has for it, where it is not known.
renameat2() {
  case $(uname -m) in
    x86_64) echo 316 ;;
    aarch64 | riscv64 | loongarch64) echo 276 ;;
    i?86) echo 353 ;;
    armv*) echo 382 ;;
    ppc64*) echo 357 ;;
    s390x) echo 347 ;;
    *) echo 0 ;;
  esac
}

# Sets $_tool to the first tool that exchanges a directory and a link in a directory that is made in
# $1 and removed again; nothing where none does.
find_tool() {
  _tool= _try=$1/.deploy-try-$$
  mkdir "$_try" "$_try/a" 2>/dev/null || return
  ln -s a "$_try/b"
  for _t in mv perl python3; do
    command -v "$_t" >/dev/null 2>&1 || continue
    [ "$_t" = mv ] || [ "$(renameat2)" != 0 ] || continue
    if exchange "$_t" "$_try/a" "$_try/b" 2>/dev/null && [ -L "$_try/a" ] && [ ! -L "$_try/b" ]
    then
      _tool=$_t
      break
    fi
  done
  rm -rf "$_try"
}

# The links below the working directory, each as its path, a tab, and where it leads. Names with a
# line break are nobody's.
links() {
  if find . -maxdepth 0 -printf '' 2>/dev/null; then
    find . \( -name .git -o -name "*$nl*" \) -prune -o -type l -printf '%P\t%l\n'
  else
    find . \( -name .git -o -name "*$nl*" \) -prune -o -type l -print |
      while IFS= read -r _p; do printf '%s\t%s\n' "${_p#./}" "$(readlink "$_p")"; done
  fi
}

# Sets $_to to where the link $2 at the path $1, below $origin, leads, without `.` and `..`; fails
# unless it is relative and leads out of $origin: such a link would lead elsewhere from another place.
leads_out() {
  case $2 in /* | '') return 1 ;; ../* | */../* | .. | */..) ;; *) return 1 ;; esac
  _to=$origin
  case $1 in */*) _rest=${1%/*}/$2/ ;; *) _rest=$2/ ;; esac
  while [ -n "$_rest" ]; do
    _part=${_rest%%/*} _rest=${_rest#*/}
    case $_part in
      '' | .) ;;
      ..) _to=${_to%/*} ;;
      *) _to=$_to/$_part ;;
    esac
  done
  case $_to/ in "$origin"/*) return 1 ;; esac
}
