# Brings objects and makes the release $id of them. $part says how far this call goes: `all`, or
# for releases with build steps `unpack` and later `seal`; `mend` is for one that is there.
run=$1 ours=$2 dead=$3 part=$4 id=$5 commit=$6 tree=$7 line=$8 share=$9
shift 9
base=$1 fresh=$2 sent=$3 format=$4 url=$5 name=$6
shift 6
dest=$releases/$id
index=$indexes/$id
# The bytes are the repository's: nothing in a tree may convert them.
attributes='* -text -ident -filter !eol !working-tree-encoding'

ensure_repo() {
  [ "$fresh" = 1 ] && { drop_tree "$repo" || exit 1; }
  if [ ! -f "$repo/HEAD" ] || [ ! -d "$repo/objects" ]; then
    drop_tree "$repo"
    drop_tree "$repo.new"
    if [ "$format" = sha1 ]; then git init -q --bare --template= "$repo.new"
    else git init -q --bare --template= --object-format="$format" "$repo.new"; fi || exit 1
    mv -T "$repo.new" "$repo" || exit 1
  fi
  first_line "$repo/info/attributes"
  if [ "$_line" != "$attributes" ]; then
    mkdir -p "$repo/info" && printf '%s\n' "$attributes" >"$repo/info/attributes" || exit 1
  fi
  [ -d "$repo/refs/deploy/commits" ] || mkdir -p "$repo/refs/deploy/commits" || exit 1
  [ -d "$indexes" ] || mkdir "$indexes" || exit 1
}

# Objects that complete deltas are stored as they are: to compress them again takes longer than all
# the rest.
receive() {
  [ -z "$url" ] || pull
  [ "$sent" = 1 ] || return 0
  g -c core.compression=0 index-pack --stdin --fix-thin >/dev/null || exit 41
}

# Keeps the trees of the commit $1, and says that they are here.
keep_commit() { printf '%s\n' "$2" >"$repo/refs/deploy/commits/$1" || exit 1; }

# Begins with the files of the release before. Those that are not what was written there, or not what
# is wanted here, are written anew, and only those.
borrow() {
  case $share in
    hard) set -- -R -P -l ;;
    copy) set -- -R -P -p ;;
    reflink) set -- -R -P -p --reflink=always ;;
    *) return 1 ;;
  esac
  complete "$base" && cd "$releases/$base" && cp "$@" . "../$id/" 2>/dev/null || return 1
  _from=$indexes/$base
  if [ ! -s "$_from" ]; then
    _built=${_mark##*'"built":"'}
    _from=$cache/.index
    new_index "${_built%'"}'}" "$_from" || return 1
    g_on "$dest" "$_from" update-index -q --refresh >/dev/null
  fi
  bring "$_from"
}

# Brings the files in $dest, of which $1 is the index, to those of the tree.
bring() { write_files "$1" && g_on "$dest" "$index" clean -ffdxq -e "/$building"; }

# Makes the files in $dest those of the tree, and $index the list of them; $1 is the index of what
# is there. With this mask files are made read-only at once; but so are new directories, in which
# then no file can be made.
write_files() {
  if ! is_root; then
    umask 0222
    g_on "$dest" "$1" read-tree --reset -u --index-output="$index" "$tree" 2>/dev/null
    _status=$?
    umask 022
    [ "$_status" != 0 ] || return 0
  fi
  g_on "$dest" "$1" read-tree --reset -u --index-output="$index" "$tree" && read_only "$dest"
}

# Git does not say why a file was not written: its object cannot be read, or the disk is full.
unwritten() {
  g archive "$tree" >/dev/null 2>&1 || exit 41
  head -c 1000000 /dev/zero >"$cache/.state-$run"
  exit 1
}

# Begins with the files of a release that was pruned, which may be this one.
reuse() {
  [ "$share" != none ] && [ -n "$spare" ] && make_mark "$releases/$spare" || return 1
  [ "$spare" = "$id" ] || mv -T "$releases/$spare" "$dest" || return 1
  bring "$indexes/$spare"
}

unpack() {
  if ! reuse && ! { make_place && borrow; }; then
    cd "$cache" && drop_tree "$dest" && make_place || exit 1
    rm -f "$cache/.index" "$index"
    g_on "$dest" "$cache/.index" read-tree --reset -u --index-output="$index" "$tree" ||
      { g cat-file -e "$tree^{tree}" 2>/dev/null || exit 41; unwritten; }
    if [ "$part" = all ]; then read_only "$dest" && age || exit 1; fi
  fi
  for _s in "$@"; do link_shared "$_s"; done
}

make_place() { mkdir "$dest" && make_mark "$dest"; }

# Says in $1 that it is being built, by its mark, as it will be unless steps change something.
make_mark() {
  [ "$part" = unpack ] || umask 0222
  printf '%s,"built":"%s"}\n' "$line" "$tree" >"$1/$building"
  _status=$?
  umask 022
  return "$_status"
}

# The tree of the files as the build steps left them.
built_tree() {
  _k=$#
  while [ "$_k" -gt 0 ]; do
    set -- "$@" ":(exclude,top,literal)$1"
    shift
    _k=$((_k - 1))
  done
  g_on "$dest" "$index" add -u -- . "$@" && g_on "$dest" "$index" write-tree
}

seal() {
  [ -e "$dest/$building" ] || die 43 "the release was removed while it was built"
  built=$tree
  if [ "$part" = seal ]; then
    built=$(built_tree "$@") || exit 1
    read_only "$dest" && age || exit 1
    if [ "$built" != "$tree" ]; then
      g update-ref "refs/deploy/releases/$id" "$built" && chmod 0644 "$dest/$building" &&
        printf '%s,"built":"%s"}\n' "$line" "$built" >"$dest/$building" &&
        chmod 0444 "$dest/$building" || exit 1
    fi
  fi
  keep_commit "$commit" "$tree"
  set_mark
}

# Git takes a file that is as young as its list for one that may have changed since, and would read
# nearly all of them next time.
age() {
  _now=$(date +%s) && touch -c -d "@$((_now + 2))" "$index" 2>/dev/null
  :
}

# A damaged release, now that what it is made of is here: mended in place, its build kept. What
# cannot be mended is built anew, unless it is live.
mend() {
  whole "$id" "$@" && return
  [ "$part" != mend ] || die 42 "$dest is damaged"
  [ "$id" != "$live" ] || die 42 "the live release is damaged, or cannot be compared"
  drop_tree "$dest"
}

[ -d "$releases" ] && [ -d "$cache/shared" ] || mkdir -p "$releases" "$cache/shared" || exit 1
take_claim
stop_earlier fetch
if [ "$part" != seal ]; then
  if complete "$id" && [ "$fresh" = 0 ] && whole "$id" "$@"; then
    as_rendered "$id"
    say complete yes
    at_rest
    report
    exit 0
  fi
  trap '_e=$?; [ "$_e" = 0 ] || { cd /; clean; }; (exit "$_e"); out_of_order' EXIT
  clean
  ensure_repo
  receive
  if complete "$id"; then mend "$@"; fi
  if complete "$id"; then
    as_rendered "$id"
    keep_commit "$commit" "$tree"
    say complete yes
    at_rest
    report
    exit 0
  fi
  [ "$part" != mend ] || die 43 "$dest is not there, or not complete"
  [ "$id" != "$live" ] || die 42 "the live release has lost its mark"
  [ "$id" = "$spare" ] || drop_tree "$dest"
  unpack "$@"
fi
if [ "$part" != unpack ]; then seal "$@"; fi
at_rest
report "$id"
