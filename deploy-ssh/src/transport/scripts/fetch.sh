# Brings objects and makes the release $id of them. $part says how far this call goes: `all`, or
# for releases with build steps `unpack` and later `seal`.
run=$1 ours=$2 dead=$3 part=$4 id=$5 commit=$6 tree=$7 line=$8 share=$9
shift 9
base=$1 fresh=$2 sent=$3 format=$4
shift 4
dest=$releases/$id

# Leftovers bear our names; what the live link points to is never one.
clean() {
  _live=$(live_now)
  for _r in "$releases"/* "$releases"/.gone-*; do
    _n=${_r##*/}
    case $_n in
      .gone-*) drop_tree "$_r" ;;
      "$_live") ;;
      *) if [ -e "$_r/$building" ]; then drop_tree "$_r"
         else rmdir "$_r" 2>/dev/null || :
         fi ;;
    esac
  done
  rm -f "$cache"/.state-* "$cache"/.live-* "$cache"/.previous-* "$cache"/.index* "$cache/.differ"
  if [ -d "$repo" ]; then
    find "$repo" \( -name '*.lock' -o -name 'tmp_*' -o -name '.tmp-*' \) -type f \
      -exec rm -f {} + 2>/dev/null
  fi
  :
}

ensure_repo() {
  [ "$fresh" = 1 ] && { drop_tree "$repo" || exit 1; }
  if [ ! -f "$repo/HEAD" ] || [ ! -d "$repo/objects" ]; then
    drop_tree "$repo"
    drop_tree "$repo.new"
    if [ "$format" = sha1 ]; then git init -q --bare --template= "$repo.new"
    else git init -q --bare --template= --object-format="$format" "$repo.new"; fi || exit 1
    mv -T "$repo.new" "$repo" || exit 1
  fi
  # The bytes are the repository's: nothing in a tree may convert them.
  mkdir -p "$repo/info" &&
    printf '* -text -ident -filter !eol !working-tree-encoding\n' >"$repo/info/attributes" ||
    exit 1
}

receive() {
  if [ "$sent" = 1 ]; then
    g index-pack --stdin --fix-thin >/dev/null || exit 41
  fi
  g cat-file -e "$tree^{tree}" 2>/dev/null || die 41 "tree $tree is not here"
}

# Begins with the files of the release before, where they can be shared without being copied.
borrow() {
  case $share in
    reflink) cp -a --reflink=always "$releases/$base/." "$dest/" 2>/dev/null || return 1 ;;
    hard) cp -a -l "$releases/$base/." "$dest/" 2>/dev/null || return 1 ;;
    *) return 1 ;;
  esac
  rm -f "$dest/$mark"
  _from=$(g rev-parse --quiet --verify "refs/deploy/releases/$base^{tree}") || return 1
  g read-tree "$_from" || return 1
  g update-index -q --refresh >/dev/null
  g read-tree --reset -u "$tree" && g clean -ffdxq -e "/$building"
}

# Git does not say why a file was not written: its object cannot be read, or the disk is full.
unwritten() {
  g archive "$tree" >/dev/null 2>&1 || exit 41
  head -c 1000000 /dev/zero >"$cache/.state-$run"
  exit 1
}

unpack() {
  mkdir "$dest" && : >"$dest/$building" || exit 1
  cd "$dest" || exit 1
  (
    GIT_INDEX_FILE=$cache/.index GIT_WORK_TREE=$dest
    export GIT_INDEX_FILE GIT_WORK_TREE
    if ! { complete "$base" && borrow; }; then
      cd "$cache" && drop_tree "$dest" && mkdir "$dest" && : >"$dest/$building" && cd "$dest" ||
        exit 1
      rm -f "$GIT_INDEX_FILE"
      g read-tree "$tree" || exit 41
    fi
    # Of borrowed files only those are written again that are not what they should be.
    g checkout-index -a -f -q || unwritten
  ) || exit
  compare "$dest" "$tree" || exit 41
  if [ -s "$cache/.differ" ]; then
    repair "$dest" && compare "$dest" "$tree" || exit 41
    [ -s "$cache/.differ" ] && die 41 "the files are not those of the tree"
  fi
  cd "$dest" || exit 1
  for _s in "$@"; do link_shared "$_s"; done
}

# The shared directory $1, as a link that survives a move of the whole tree.
link_shared() {
  mkdir -p "$cache/shared/$1" || exit 1
  _up=../../ _rest=$1
  while :; do
    case $_rest in */*) _up=../$_up _rest=${_rest#*/} ;; *) break ;; esac
  done
  case $1 in */*) mkdir -p "$dest/${1%/*}" || exit 1 ;; esac
  drop_tree "$dest/$1"
  ln -s "${_up}shared/$1" "$dest/$1" || exit 1
}

# The tree of the files as the build steps left them.
built_tree() {
  _k=$#
  while [ "$_k" -gt 0 ]; do
    set -- "$@" ":(exclude,top,literal)$1"
    shift
    _k=$((_k - 1))
  done
  GIT_INDEX_FILE=$cache/.index GIT_WORK_TREE=$dest
  export GIT_INDEX_FILE GIT_WORK_TREE
  cd "$dest" && g read-tree "$tree" && g add -u -- . "$@" && g write-tree
}

seal() {
  [ -e "$dest/$building" ] || die 43 "the release was removed while it was built"
  built=$tree
  if [ "$part" = seal ]; then built=$(built_tree "$@") || exit 1; fi
  read_only "$dest" || exit 1
  g update-ref "refs/deploy/commits/$commit" "$tree" &&
    g update-ref "refs/deploy/releases/$id" "$built" || exit 1
  chmod 0644 "$dest/$building" &&
    printf '%s,"built":"%s"}\n' "$line" "$built" >"$dest/$building" &&
    chmod 0444 "$dest/$building" || exit 1
  sync "$dest/$building" 2>/dev/null
  mv -f "$dest/$building" "$dest/$mark" || exit 1
}

# A damaged release, now that what it is made of is here: mended in place, its build kept. What
# cannot be mended is built anew, unless it is live.
mend() {
  if ! g rev-parse --quiet --verify "refs/deploy/releases/$id^{tree}" >/dev/null 2>&1; then
    # The store is new. The build changed nothing when the mark says so.
    case $(small "$dest/$mark" 65536) in
      *'"built":"'"$tree"'"}') g update-ref "refs/deploy/releases/$id" "$tree" ;;
    esac
  fi
  whole "$id" "$@" && return
  [ "$part" != mend ] || die 42 "$dest is damaged"
  [ "$id" != "$(live_now)" ] || die 42 "the live release is damaged, or cannot be compared"
  drop_tree "$dest"
}

mkdir -p "$releases" "$cache/shared" || exit 1
take_claim
stop_earlier fetch
if [ "$part" != seal ]; then
  if complete "$id" && [ "$fresh" = 0 ] && whole "$id" "$@"; then
    say complete yes
    report
    exit 0
  fi
  trap '_e=$?; [ "$_e" = 0 ] || { cd /; clean; }; exit "$_e"' EXIT
  clean
  ensure_repo
  receive
  if complete "$id"; then mend "$@"; fi
  if complete "$id"; then
    g update-ref "refs/deploy/commits/$commit" "$tree"
    say complete yes
    report
    exit 0
  fi
  [ "$part" != mend ] || die 43 "$dest is not there, or not complete"
  [ "$id" != "$(live_now)" ] || die 42 "the live release has lost its mark"
  drop_tree "$dest"
  unpack "$@"
fi
if [ "$part" != unpack ]; then seal "$@"; fi
rm -f "$cache/.index" "$cache/.differ" "$cache/.at-work"
report
