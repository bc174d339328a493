# What every script on a target begins with. POSIX sh; dash, bash and busybox are tried.
# $1 is the live path. Exit statuses of our own, known to the deployer: see `Failure`.
set -u
umask 022
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES \
  GIT_CONFIG GIT_CONFIG_PARAMETERS GIT_CONFIG_COUNT GIT_NAMESPACE GIT_COMMON_DIR GIT_TRACE \
  GIT_TEMPLATE_DIR GIT_ATTR_SOURCE GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS \
  GIT_NOGLOB_PATHSPECS GIT_ICASE_PATHSPECS CDPATH
# Gits before 2.32 do not know GIT_CONFIG_GLOBAL; without a home they find no configuration either.
HOME=/dev/null XDG_CONFIG_HOME=/dev/null LC_ALL=C
GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1
GIT_TERMINAL_PROMPT=0 GIT_NO_REPLACE_OBJECTS=1 GIT_ADVICE=0
export HOME XDG_CONFIG_HOME LC_ALL GIT_CONFIG_NOSYSTEM GIT_CONFIG_GLOBAL GIT_ATTR_NOSYSTEM \
  GIT_TERMINAL_PROMPT GIT_NO_REPLACE_OBJECTS GIT_ADVICE

path=$1
cache=$path-cache
repo=$cache/repo.git
releases=$cache/releases
mark=.deploy-release
building=.deploy-building
shift

g() {
  git --git-dir="$repo" -c core.bare=false -c core.hooksPath=/dev/null \
    -c core.attributesFile=/dev/null -c core.excludesFile=/dev/null -c core.autocrlf=false \
    -c core.fsmonitor=false -c core.untrackedCache=false -c core.splitIndex=false \
    -c core.sparseCheckout=false -c core.fileMode=true -c core.symlinks=true \
    -c core.ignoreCase=false -c core.bigFileThreshold=16m -c core.packedGitWindowSize=16m \
    -c core.packedGitLimit=256m -c pack.windowMemory=128m \
    -c gc.auto=0 -c safe.directory='*' "$@"
}

# Says one thing to the deployer, on one line whatever it holds.
say() { printf '%s %s\n' "$1" "$(printf %s "${2-}" | tr '\n\r' '  ')"; }

die() { printf '%s\n' "$2" >&2; exit "$1"; }

# The first $2 bytes of the file $1, on one line.
small() { [ -f "$1" ] && head -c "$2" "$1" 2>/dev/null | tr -d '\n'; }

state_now() { small "$cache/state.json" 65537; }

# The id of the live release; nothing when there is none.
live_now() {
  [ -L "$cache/live" ] || return 0
  _l=$(readlink "$cache/live")
  printf %s "${_l#releases/}"
}

# Whether the release $1 is complete. Its mark is then in $_mark.
complete() {
  [ -n "$1" ] && [ ! -e "$releases/$1/$building" ] && [ -f "$releases/$1/$mark" ] || return 1
  _mark= && IFS= read -r _mark <"$releases/$1/$mark"
  case $_mark in
    '{"id":"'"$1"'",'*'}') return 0 ;;
  esac
  return 1
}

# Everything the deployer wants to know about what lies here.
report() {
  say live "$(live_now)"
  [ -e "$cache/live" ] && [ ! -L "$cache/live" ] && say odd "$cache/live is not a link"
  say state "$(state_now)"
  [ -e "$cache/claim.json" ] && say claim "$(small "$cache/claim.json" 4097)"
  for _r in "$releases"/*; do
    _r=${_r##*/}
    complete "$_r" && printf 'release %s %s\n' "$_r" "$_mark"
  done
  if [ -d "$repo" ]; then
    g for-each-ref --count=64 --format='have %(refname:strip=3) %(objectname)' \
      refs/deploy/commits 2>/dev/null
  fi
  say done
}

# Takes the target for the run: $ours is our claim, $dead one that may be taken over, or nothing.
# The claim appears whole and only where there is none.
take_claim() {
  _c=$cache/claim.json _t=$cache/.claim-$run _n=0
  if [ "$(small "$_c" 4097)" != "$ours" ]; then
    printf '%s\n' "$ours" >"$_t" || exit 1
    until ln "$_t" "$_c" 2>/dev/null; do
      _n=$((_n + 1))
      _h=$(small "$_c" 4097)
      if [ -n "$dead" ] && [ "$_h" = "$dead" ] && [ "$_n" -lt 4 ]; then
        # Moved aside first: of two that take over, one finds nothing, or puts back what it moved.
        if mv "$_c" "$_t.dead" 2>/dev/null; then
          [ "$(small "$_t.dead" 4097)" = "$dead" ] || ln "$_t.dead" "$_c"
          rm -f "$_t.dead"
        fi
        continue
      fi
      if [ -e "$_c" ]; then
        rm -f "$_t"
        say claimed "$_h"
        exit 40
      fi
      [ "$_n" -lt 4 ] || { ln "$_t" "$_c"; rm -f "$_t"; exit 1; }
    done
    rm -f "$_t"
  fi
}

# The process group and the start of process $1, which tell it apart from any other.
identity() {
  _s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  set -f
  set -- ${_s##*) }
  set +f
  [ $# -ge 20 ] && printf '%s %s' "$3" "${20}"
}

# Whether an earlier call is still at work, as it may be behind a connection that was lost. Its
# process group is then in $_group, and what it does in $_work.
earlier() {
  set -f
  set -- $(small "$cache/.at-work" 100)
  set +f
  [ $# -eq 4 ] || return 1
  for _number in "$1" "$2" "$3"; do
    case $_number in '' | *[!0-9]* | 0* | 1) return 1 ;; esac
  done
  [ "$(identity "$1")" = "$2 $3" ] || return 1
  _group=$2 _work=$4
  _s=$(identity $$)
  [ "${_s%% *}" != "$_group" ]
}

# Ends an earlier call, and says that this one does $1. Only for whoever holds the claim.
stop_earlier() {
  _n=0
  while earlier; do
    kill -KILL "-$_group" 2>/dev/null
    _n=$((_n + 1))
    [ "$_n" -lt 50 ] || die 48 "an earlier $_work is still at work here, and cannot be ended"
    sleep 0.1 2>/dev/null || sleep 1
  done
  { printf '%s %s %s\n' "$$" "$(identity $$)" "$1" >"$cache/.at-work"; } 2>/dev/null
}

# Replaces state.json by $1, in one step.
write_state() {
  printf '%s\n' "$1" >"$cache/.state-$run" || exit 1
  sync "$cache/.state-$run" 2>/dev/null
  mv -f "$cache/.state-$run" "$cache/state.json" || exit 1
}

# Ends when the state is not the one that the deployer reckoned with.
demand_state() {
  [ "$(state_now)" = "$1" ] && return
  report
  exit 45
}

drop_tree() {
  [ -e "$1" ] || [ -L "$1" ] || return 0
  chmod -R u+rwx "$1" 2>/dev/null
  rm -rf "$1"
}

# Compares the files in $1 with the tree $2, by content; $3… are shared directories to leave out.
# Writes the names that differ to $cache/.differ; an empty file is a whole release.
compare() {
  _d=$1 _tree=$2
  shift 2
  _k=$#
  while [ "$_k" -gt 0 ]; do
    set -- "$@" ":(exclude,top,literal)$1"
    shift
    _k=$((_k - 1))
  done
  index=$cache/.index
  rm -f "$index" "$index.lock"
  (
    cd "$_d" || exit 1
    GIT_INDEX_FILE=$index GIT_WORK_TREE=$_d
    export GIT_INDEX_FILE GIT_WORK_TREE
    g read-tree "$_tree" || exit 1
    # Git compresses large files even when it only wants their hash.
    g -c pack.compression=0 update-index -q --refresh >/dev/null
    g diff-files --name-only -z --ignore-submodules=none -- . "$@" >"$cache/.differ"
  )
}

# Writes again the files of $1 that `compare` found to differ.
repair() {
  (
    cd "$1" || exit 1
    GIT_INDEX_FILE=$index GIT_WORK_TREE=$1
    export GIT_INDEX_FILE GIT_WORK_TREE
    g checkout-index -f -q -z --stdin <"$cache/.differ"
  ) && read_only "$1"
}

# Files 0444 or 0555, directories 0755.
read_only() {
  find "$1" -type d ! -perm 0755 -exec chmod 0755 {} + &&
    find "$1" -type f -perm -100 ! -perm 0555 -exec chmod 0555 {} + &&
    find "$1" -type f ! -perm -100 ! -perm 0444 -exec chmod 0444 {} +
}

# Whether the release $1 holds what it is to hold, by content; mends it where it can.
# $2… are its shared directories.
whole() {
  _id=$1
  shift
  _want=$(g rev-parse --quiet --verify "refs/deploy/releases/$_id^{tree}" 2>/dev/null) || return 1
  compare "$releases/$_id" "$_want" "$@" || return 1
  [ -s "$cache/.differ" ] || return 0
  say mended "$(tr '\000' ' ' <"$cache/.differ" | head -c 500)"
  repair "$releases/$_id" || return 1
  compare "$releases/$_id" "$_want" "$@" && [ ! -s "$cache/.differ" ]
}
