# Makes the release $id of an archive. On standard input: $bytes of manifest, then a tar stream with
# what the release $base lacks of it, or nothing at all: then it is only looked whether it is whole.
run=$1 ours=$2 dead=$3 id=$4 sum=$5 line=$6 share=$7 base=$8 bytes=$9
shift 9
packing=$1
shift
dest=$releases/$id
arriving=$cache/.manifest-$run

receive_manifest() {
  dd bs=65536 count="$bytes" iflag=fullblock,count_bytes >"$arriving" 2>/dev/null || {
    # It may be the disk: then this says so.
    head -c 1000000 /dev/zero >"$cache/.state-$run"
    exit 1
  }
  _sum=$(sha256sum <"$arriving") && [ "${_sum%% *}" = "$sum" ] ||
    die 41 "the manifest did not arrive as it was sent"
}

# Unpacks what is left on standard input into this directory. What tar says on a full disk is told.
extract() {
  if [ "$packing" = gzip ]; then
    { gzip -dc || printf 'gzip failed\n' >&2; } | tar -xmof -
  else
    tar -xmof -
  fi
}

# Begins with those files of the release before that are the very same here.
borrow() {
  has_manifest "$base" || return 1
  case $share in
    reflink) set -- -R -P -p --reflink=always ;;
    hard) set -- -R -P -l ;;
    *) set -- -R -P -p ;;
  esac
  cp "$@" "$releases/$base/." "$dest/" || return 1
  : >"$dest/$building" || return 1
  find . -name "*$nl*" -prune -exec rm -rf {} + || return 1
  sort "$arriving" "$manifests/$base" | uniq -d >"$cache/.kept"
  # Whatever is not known to be the same goes; so does what was never ours.
  { printf '%s\n' "./$building"; named "$cache/.kept" fx; } >"$cache/.names"
  found ! -type d | sort - "$cache/.names" "$cache/.names" | uniq -u |
    tr '\n' '\000' | xargs -0 rm -f || return 1
  { printf '.\n'; named "$arriving" d; } >"$cache/.names"
  found -type d | sort - "$cache/.names" "$cache/.names" | uniq -u |
    tr '\n' '\000' | xargs -0 rm -rf
}

unpack() {
  mkdir "$dest" && : >"$dest/$building" && cd "$dest" || exit 1
  if [ -n "$base" ]; then borrow || die 41 "the release before cannot be built upon"; fi
  extract || exit 1
  for _s in "$@"; do link_shared "$_s"; done
  match "$dest" "$arriving" || exit 1
  [ ! -s "$cache/.differ" ] || die 41 "the files are not those of the archive: $(told_differ)"
}

told_differ() { tr '\n' ' ' <"$cache/.differ" | head -c 500; }

seal() {
  mkdir -p "$manifests" && chmod 0444 "$arriving" && mv -f "$arriving" "$manifests/$id" &&
    printf '%s}\n' "$line" >"$dest/$building" && chmod 0444 "$dest/$building" || exit 1
  set_mark
}

# Puts what differs of the release $id in order, one name after the other.
mend() {
  mkdir "$cache/.arrived" && cd "$cache/.arrived" && extract || exit 1
  match "$dest" "$arriving" || exit 1
  say mended "$(told_differ)"
  while IFS= read -r _p; do
    [ -e "$_p" ] || [ -L "$_p" ] || continue
    case ${_p#./} in */*) mkdir -p "$dest/${_p%/*}" || exit 1 ;; esac
    # A file takes the place of a file in one step; nothing else can.
    if [ ! -f "$_p" ] || [ ! -f "$dest/$_p" ]; then rm -rf "$dest/$_p"; fi
    mv -T -f "$_p" "$dest/$_p" || exit 1
  done <"$cache/.differ"
  cd "$cache" && drop_tree "$cache/.arrived"
  match "$dest" "$arriving" && [ ! -s "$cache/.differ" ] ||
    die 42 "$dest is damaged: $(told_differ)"
  mkdir -p "$manifests" && chmod 0444 "$arriving" && mv -f "$arriving" "$manifests/$id" || exit 1
}

[ -d "$releases" ] && [ -d "$cache/shared" ] || mkdir -p "$releases" "$cache/shared" || exit 1
take_claim
stop_earlier fetch
if complete "$id" && whole "$id"; then
  as_rendered "$id"
  say complete yes
  at_rest
  report
  exit 0
fi
[ -n "$bytes" ] || {
  if complete "$id"; then die 42 "$dest is damaged"; fi
  die 43 "$dest is not there, or not complete"
}
trap '_e=$?; [ "$_e" = 0 ] || { cd /; clean; }; (exit "$_e"); out_of_order' EXIT
clean
[ -z "$spare" ] || drop_tree "$releases/$spare"
receive_manifest
if complete "$id"; then
  [ -z "$base" ] || die 41 "the release is there, and damaged"
  mend
  as_rendered "$id"
else
  [ "$id" != "$live" ] || die 42 "the live release has lost its mark"
  drop_tree "$dest"
  unpack "$@"
  seal
fi
rm -f "$cache/.differ" "$cache/.names" "$cache/.kept"
at_rest
report
