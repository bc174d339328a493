# What every script on a target begins with. POSIX sh; dash, bash and busybox are tried. A process
# costs a millisecond, so what the shell can do by itself it does: functions answer in variables.
# $1 is the live path. Exit statuses of our own, known to the deployer: see `Failure`.
set -u
umask 022
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES \
  GIT_CONFIG GIT_CONFIG_PARAMETERS GIT_CONFIG_COUNT GIT_NAMESPACE GIT_COMMON_DIR GIT_TRACE \
  GIT_TEMPLATE_DIR GIT_ATTR_SOURCE GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS \
  GIT_NOGLOB_PATHSPECS GIT_ICASE_PATHSPECS CDPATH
home=${HOME-} config_home=${XDG_CONFIG_HOME-}
# Gits before 2.32 do not know GIT_CONFIG_GLOBAL; without a home they find no configuration either.
HOME=/dev/null XDG_CONFIG_HOME=/dev/null LC_ALL=C
GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1 GIT_DEFAULT_REF_FORMAT=files
GIT_TERMINAL_PROMPT=0 GIT_NO_REPLACE_OBJECTS=1 GIT_ADVICE=0
# Without these glibc gives memory back to the kernel after each object: a third of git's time.
MALLOC_TOP_PAD_=16777216 MALLOC_TRIM_THRESHOLD_=16777216
export HOME XDG_CONFIG_HOME LC_ALL GIT_CONFIG_NOSYSTEM GIT_CONFIG_GLOBAL GIT_ATTR_NOSYSTEM \
  GIT_DEFAULT_REF_FORMAT GIT_TERMINAL_PROMPT GIT_NO_REPLACE_OBJECTS GIT_ADVICE \
  MALLOC_TOP_PAD_ MALLOC_TRIM_THRESHOLD_

path=$1
cache=$path-cache
repo=$cache/repo.git
releases=$cache/releases
indexes=$cache/indexes
manifests=$cache/manifests
mark=.deploy-release
building=.deploy-building
nl='
'
shift

# Git, without anything that could change what it does. Whether a file is what was written is told by
# its size and its time (a hard link changes ctime, a copy the inode). The store is not synced: what a
# power cut destroys there is sent again.
g() {
  git --git-dir="$repo" -c core.bare=false -c core.hooksPath=/dev/null \
    -c core.attributesFile=/dev/null -c core.excludesFile=/dev/null -c core.autocrlf=false \
    -c core.fsmonitor=false -c core.untrackedCache=false -c core.splitIndex=false \
    -c core.sparseCheckout=false -c core.fileMode=true -c core.symlinks=true \
    -c core.ignoreCase=false -c core.trustctime=false -c core.checkStat=minimal \
    -c core.preloadIndex=false -c index.threads=1 -c core.fsync=none -c core.bigFileThreshold=16m -c core.packedGitWindowSize=16m \
    -c core.packedGitLimit=256m -c pack.windowMemory=128m \
    -c gc.auto=0 -c safe.directory='*' "$@"
}

# Git on the files in $1, with the index $2.
g_on() {
  _w=$1 GIT_INDEX_FILE=$2
  export GIT_INDEX_FILE
  shift 2
  g -C "$_w" --work-tree="$_w" "$@"
  _status=$?
  unset GIT_INDEX_FILE
  return "$_status"
}

# Says one thing to the deployer, on one line whatever it holds.
say() {
  case ${2-} in
    *"$nl"*) set -- "$1" "$(printf %s "$2" | tr '\n' ' ')" ;;
  esac
  printf '%s %s\n' "$1" "${2-}"
}

die() { printf '%s\n' "$2" >&2; exit "$1"; }

# Sets $_line to the first line of the file $1; nothing when there is none.
first_line() {
  _line=
  [ -f "$1" ] && { IFS= read -r _line <"$1"; } 2>/dev/null
  :
}

# Sets $state_now to the state, on one line, $state_head to its first line, which is another for
# another state, and $serving_now to who made what is live so. As we write it, a state has two lines;
# anything else was not written by us, and of that a part will do.
find_state() {
  first_line "$cache/serving.json"
  serving_now=$_line state_now= state_head= _state_rest= _more=
  [ -f "$cache/state.json" ] || return 0
  { IFS= read -r state_head && IFS= read -r _state_rest && IFS= read -r _more; } 2>/dev/null \
    <"$cache/state.json"
  state_now=$state_head$_state_rest
  if [ -n "$_more" ] || [ ${#state_now} -gt 65536 ]; then
    state_now=$(head -c 65537 "$cache/state.json" 2>/dev/null | tr '\n' ' ')
  fi
}

# Sets $live to the id of the live release, or whatever else the live link names; nothing when there
# is none. Leads into the directory of releases, or of the live one.
find_live() {
  live=
  [ -L "$cache/live" ] || return 0
  if cd -P "$cache/live" 2>/dev/null; then
    live=$PWD
    if cd -P "$releases" 2>/dev/null && [ "$live" = "$PWD/${live##*/}" ]; then
      live=${live##*/}
      return
    fi
  fi
  live=$(readlink "$cache/live")
  live=${live#releases/}
}

# Whether the live path is a link that leads to the release $1.
leads_to() {
  [ -L "$path" ] && [ -n "$1" ] && cd -P "$releases/$1" 2>/dev/null && _d=$PWD &&
    cd -P "$path" 2>/dev/null && [ "$PWD" = "$_d" ]
}

# Whether the release $1 has the mark of one that is complete.
is_marked() { [ -n "$1" ] && [ -f "$releases/$1/$mark" ] && [ ! -e "$releases/$1/$building" ]; }

# Whether the release $1 was pruned and is left for the next fetch to begin with: it has no mark any
# more, and the list of its files is there.
is_spare() {
  [ -s "$indexes/$1" ] && [ -d "$releases/$1" ] && [ ! -L "$releases/$1" ] &&
    [ ! -e "$releases/$1/$mark" ] && [ ! -e "$releases/$1/$building" ] && [ "$1" != "$live" ]
}

# Whether the release $1 is complete. Its mark is then in $_mark.
complete() {
  is_marked "$1" || return 1
  first_line "$releases/$1/$mark"
  _mark=$_line
  case $_mark in
    '{"id":"'"$1"'",'*'}') return 0 ;;
  esac
  return 1
}

# Whether $1 can be an object id.
is_oid() {
  case $1 in
    *[!0-9a-f]*) return 1 ;;
  esac
  [ ${#1} -eq 40 ] || [ ${#1} -eq 64 ]
}

# The commits whose trees are here.
report_haves() {
  [ -d "$repo/refs/deploy/commits" ] || [ -e "$repo/packed-refs" ] || return 0
  if [ -e "$repo/packed-refs" ] || [ -e "$repo/reftable" ]; then
    g for-each-ref --count=64 --format='have %(refname:strip=3) %(objectname)' \
      refs/deploy/commits 2>/dev/null
    return
  fi
  for _r in "$repo"/refs/deploy/commits/*; do
    first_line "$_r"
    is_oid "$_line" && say have "${_r##*/} $_line"
  done
  :
}

# Everything the deployer wants to know about what lies here, but for what it knows already: a state
# that nobody has looked at, and, where $1 names a release or none, the marks of all others.
report() {
  find_live
  say live "$live"
  [ -e "$cache/live" ] && [ ! -L "$cache/live" ] && say odd "$cache/live is not a link"
  if [ -n "${state_now+x}" ]; then
    [ -z "$_state_rest" ] || say state-head "$state_head"
    say state "$state_now"
    say serving "$serving_now"
  fi
  if [ -e "$cache/claim.json" ]; then
    [ "${_held-}" = yes ] && _line=$ours || first_line "$cache/claim.json"
    say claim "$_line"
  fi
  for _r in "$releases"/*; do
    _r=${_r##*/}
    if [ "${1-$_r}" = "$_r" ]; then complete "$_r" && printf 'release %s %s\n' "$_r" "$_mark"
    elif is_marked "$_r"; then say release "$_r"
    fi
  done
  report_haves
  say done
}

# Sets $_disk to what is free where $1 lies, in kB, and the place where that is mounted.
find_disk() {
  _disk=$(df -Pk "$1" 2>/dev/null | tail -n 1 |
    sed 's/.* \([0-9][0-9]*\)  *[0-9][0-9]*%  */\1 /')
}

# On the way out for a reason that is not ours: it may be the disk.
out_of_order() {
  _e=$?
  cd /
  if [ "$_e" = 1 ] && [ -d "$cache" ]; then
    find_disk "$cache"
    say disk "$_disk"
  fi
  exit "$_e"
}
trap out_of_order EXIT

# Takes the target for the run: $ours is our claim, $dead one that may be taken over, or nothing.
# The claim appears whole and only where there is none.
take_claim() {
  _c=$cache/claim.json _t=$cache/.claim-$run _n=0
  first_line "$_c"
  _held=yes
  [ "$_line" != "$ours" ] || return 0
  printf '%s\n' "$ours" >"$_t" || exit 1
  until ln "$_t" "$_c" 2>/dev/null; do
    _n=$((_n + 1))
    first_line "$_c"
    _h=$_line
    if [ -n "$dead" ] && [ "$_h" = "$dead" ] && [ "$_n" -lt 4 ]; then
      # Moved aside first: of two that take over, one finds nothing, or puts back what it moved.
      if mv "$_c" "$_t.dead" 2>/dev/null; then
        first_line "$_t.dead"
        [ "$_line" = "$dead" ] || ln "$_t.dead" "$_c"
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
  # The other name of the claim goes with it, at the end of the run.
}

is_root() {
  while read -r _key _ _uid _; do
    [ "$_key" != Uid: ] || break
  done </proc/self/status
  [ "$_uid" = 0 ]
}

# Sets $_process to the number, the group and the start of the process $1, which tell it apart from
# any other.
identity() {
  _s=
  { IFS= read -r _s <"/proc/$1/stat"; } 2>/dev/null || return 1
  set -f
  set -- "${_s%% *}" ${_s##*) }
  set +f
  [ $# -ge 21 ] && _process="$1 $4 ${21}"
}

# Whether an earlier call is still at work, as it may be behind a connection that was lost. Its
# process group is then in $_group, and what it does in $_work.
earlier() {
  first_line "$cache/.at-work"
  set -f
  set -- $_line
  set +f
  [ $# -eq 4 ] || return 1
  for _number in "$1" "$2" "$3"; do
    case $_number in '' | *[!0-9]* | 0* | 1) return 1 ;; esac
  done
  identity "$1" && [ "$_process" = "$1 $2 $3" ] || return 1
  _group=$2 _work=$4
  identity self
  case $_process in *" $_group "*) return 1 ;; esac
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
  identity self
  { printf '%s %s\n' "$_process" "$1" >"$cache/.at-work"; } 2>/dev/null
}

# Says that nothing is at work any more.
at_rest() { { : >"$cache/.at-work"; } 2>/dev/null; }

# Makes $2 what the file $1 will be, as $cache/.new/$1, and brings it to the disk along with the
# files $3….
lay_ready() {
  _new=$cache/.new/$1 _text=$2
  shift 2
  [ -d "$cache/.new" ] || mkdir "$cache/.new" || exit 1
  printf '%s\n' "$_text" >"$_new" || exit 1
  sync "$_new" "$@" 2>/dev/null
  :
}

# Ends when the state is not the one that the deployer reckoned with; $1 is its first line.
demand_state() {
  first_line "$cache/state.json"
  [ "$_line" = "$1" ] && return
  find_state
  report
  exit 45
}

# Removes $1 and all below it. Files that are shared by hard links keep their modes.
drop_tree() {
  [ -e "$1" ] || [ -L "$1" ] || return 0
  rm -rf "$1" 2>/dev/null && return
  find "$1" -type d -exec chmod u+rwx {} \; 2>/dev/null
  rm -rf "$1"
}

# Files 0444 or 0555, directories 0755. What not everybody may read stays so. No brackets: busybox
# would forget what is in them.
read_only() {
  find "$1" -type d ! -perm 0755 -exec chmod 0755 {} + &&
    find "$1" -type f -perm -100 ! -perm 0555 ! -perm 0550 ! -perm 0500 -exec chmod 0555 {} + \
      -o -type f ! -perm -100 ! -perm 0444 ! -perm 0440 ! -perm 0400 -exec chmod 0444 {} +
}

# Whether the files in $1 are those of the index $2, but for the shared directories $3…: by size and
# time, and by content where these differ. What differs is listed in $cache/.differ.
same() {
  _d=$1 _i=$2
  shift 2
  _k=$#
  while [ "$_k" -gt 0 ]; do
    set -- "$@" ":(exclude,top,literal)$1"
    shift
    _k=$((_k - 1))
  done
  g_on "$_d" "$_i" diff-files --quiet --ignore-submodules=none -- . "$@" 2>/dev/null && return
  # Git compresses large files even when it only wants their hash.
  g_on "$_d" "$_i" -c pack.compression=0 update-index -q --refresh >/dev/null
  g_on "$_d" "$_i" diff-files --name-only -z --ignore-submodules=none -- . "$@" \
    >"$cache/.differ" || return 2
  [ ! -s "$cache/.differ" ]
}

# Makes the index $2 of the tree $1. It knows no file yet, so all will be compared by content.
new_index() {
  [ -d "$indexes" ] || mkdir "$indexes" || exit 1
  rm -f "$2" "$2.lock"
  g_on "$cache" "$2" read-tree "$1"
}

# Ends when the rendered files of the release $1, whose mark is in $_mark, are not what they were.
as_rendered() {
  case $_mark in
    *'"rendered":true'*) rendered_whole "$1" || exit 51 ;;
  esac
}

# Whether the release $1, whose mark is in $_mark, holds what it was made of; mends it where it can.
# $2… are its shared directories.
whole() {
  _id=$1 _index=$indexes/$1
  shift
  _want=${_mark##*'"built":"'}
  _want=${_want%'"}'}
  is_oid "$_want" || return 1
  [ -s "$_index" ] || new_index "$_want" "$_index" || return 1
  same "$releases/$_id" "$_index" "$@" && return
  if [ $? = 2 ]; then
    # The index is damaged.
    new_index "$_want" "$_index" || return 1
    same "$releases/$_id" "$_index" "$@" && return
  fi
  say mended "$(tr '\000' ' ' <"$cache/.differ" | head -c 500)"
  g_on "$releases/$_id" "$_index" checkout-index -f -u -q -z --stdin <"$cache/.differ" &&
    read_only "$releases/$_id" && same "$releases/$_id" "$_index" "$@"
}
