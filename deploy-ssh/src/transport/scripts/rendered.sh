# Files that the deployer rendered, and what lies beside them: see `Listing`. Stands between the
# prelude and another script, where there are templates.
rendered=.deploy-rendered

# The next $1 bytes of the input.
take() { dd bs=65536 count="$1" iflag=fullblock,count_bytes 2>/dev/null; }

# What stands for the content of the file $1, for whoever knows $_salt.
digest_of() {
  _sum=$({ printf %s "$_salt"; cat <"$1"; } | sha256sum) || return 1
  printf %s "${_sum%% *}"
}

# Makes way for the file $_path in the release $dest: no link may lead it elsewhere.
make_way() {
  _rest=$_path _at=$dest
  while :; do
    case $_rest in */*) ;; *) return ;; esac
    _at=$_at/${_rest%%/*} _rest=${_rest#*/}
    [ ! -L "$_at" ] || die 50 "$_path cannot be rendered: ${_at#"$dest/"} is a link"
    [ -d "$_at" ] || mkdir "$_at" || exit 1
  done
}

# Writes the files that come on the input into the release $dest. Only a $1 of `again` may take the
# place of what is there. What fails leaves no part of a file behind.
put_rendered() {
  _list=$cache/.rendered-$run _part=$dest/.deploy-rendering
  ( write_rendered "$1" ) || {
    _e=$?
    rm -f "$_list" "$_part"
    exit "$_e"
  }
}

write_rendered() {
  IFS= read -r _lines || die 41 "what was rendered did not arrive"
  rm -f "$_list" "$_part"
  ( umask 077 && take "$_lines" >"$_list" ) || exit 1
  _salt=
  while IFS=' ' read -r _word _mode _group _size _digest _path <&3; do
    case $_word in
      salt) _salt=$_mode; continue ;;
      file) ;;
      end) break ;;
      *) continue ;;
    esac
    make_way
    if [ "$1" != again ] && { [ -e "$dest/$_path" ] || [ -L "$dest/$_path" ]; }; then
      die 50 "$_path cannot be rendered: the release has it already"
    fi
    ( umask 077 && take "$_size" >"$_part" ) || exit 1
    [ "$(digest_of "$_part")" = "$_digest" ] || die 41 "$_path did not arrive whole"
    case $_group in
      -) ;;
      user:*) chgrp -- "$(id -gn -- "${_group#user:}")" "$_part" || exit 1 ;;
      *) chgrp -- "$_group" "$_part" || exit 1 ;;
    esac
    chmod "$_mode" "$_part" && mv -f -T "$_part" "$dest/$_path" || exit 1
  done 3<"$_list"
  [ "$_word" = end ] || die 41 "what was rendered did not arrive whole"
  chmod 0400 "$_list" && mv -f -T "$_list" "$dest/$rendered" || exit 1
}

# Whether the rendered files of the release $1 are what they were made; says which is not.
rendered_whole() {
  _in=$releases/$1 _word= _salt= _path=$rendered
  if [ ! -f "$_in/$rendered" ]; then
    printf '%s\n' "$rendered is gone" >&2
    return 1
  fi
  while IFS=' ' read -r _word _mode _group _size _digest _path; do
    case $_word in
      salt) _salt=$_mode; continue ;;
      file) ;;
      end) break ;;
      *) continue ;;
    esac
    if [ -z "$(find "$_in/$_path" -prune -type f -perm "$_mode" 2>/dev/null)" ] ||
      [ "$(digest_of "$_in/$_path" 2>/dev/null)" != "$_digest" ]; then
      printf '%s\n' "$_path is not what was rendered" >&2
      return 1
    fi
  done <"$_in/$rendered"
  [ "$_word" = end ]
}

# The file of secrets $1, in hexadecimal. It goes from the file to the deployer: no process has it
# in its arguments.
show_secrets() {
  if [ ! -e "$1" ]; then say secrets-fault "$1 is not there: write it, for $(id -un) to read"
  elif [ ! -f "$1" ]; then say secrets-fault "$1 is no file: move it away, and write the file"
  elif [ ! -r "$1" ]; then say secrets-fault "$1 cannot be read by $(id -un): give it to that user, or to a group of theirs"
  else
    [ -z "$(find -L "$1" -prune -perm -004 2>/dev/null)" ] || say secrets-open "$1"
    printf 'secrets '
    head -c 65537 <"$1" | od -An -v -tx1 | tr -d ' \n'
    echo
  fi
}

# What was rendered into the releases that are here, and whether the live one still has it. $1 is a
# file of secrets, or nothing; $2 the service's user, or nothing.
show_rendered() {
  for _t in sha256sum dd chgrp grep od; do
    command -v "$_t" >/dev/null 2>&1 || say missing "$_t"
  done
  [ -z "$1" ] || show_secrets "$1"
  say groups "$(id -Gn)"
  [ -z "$2" ] || say service-group "$(id -gn -- "$2" 2>/dev/null)"
  [ -d "$releases" ] || return
  ( cd "$releases" && grep -E '^secrets ' ./*/$rendered /dev/null 2>/dev/null ) |
    sed -n "s|^\./\([^/]*\)/$rendered:secrets |made \1 |p" | head -n 1000
  ( cd "$releases" && grep -E '^shown ' ./*/$rendered /dev/null 2>/dev/null ) |
    sed -n "s|^\./\([^/]*\)/$rendered:shown |shown \1 |p" | head -c 262144
  echo
  find_live
  if complete "$live"; then
    case $_mark in
      *'"rendered":true'*) rendered_whole "$live" 2>/dev/null || say changed "$_path" ;;
    esac
  fi
}
