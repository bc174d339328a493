# Releases that were unpacked from an archive. What they hold is in manifests/<id>, one line for
# each path: `d` a directory, `f` and `x` a file with its SHA-256, `l` a link. The deployer sees to
# it that no name in it has a control character.
_tab='	'

# Those of the names in the manifest $1 whose letter is in $2, as find writes them.
named() { sed -n "s/^[$2] \\([0-9a-f]\\{64\\}  \\)\\{0,1\\}\\(\\.\\/[^$_tab]*\\).*/\\2/p" "$1"; }

# What find finds here. Names with a line break are nobody's.
found() { find . -name "*$nl*" -prune -o "$@" -print; }

# Compares the files in $1 with the manifest $2, by content. Writes the names that differ to
# $cache/.differ; an empty file is a whole release.
match() {
  (
    cd "$1" || exit 1
    sed -n 's/^[fx] //p' "$2" | sha256sum -c 2>/dev/null |
      sed -n -e '/: OK$/!d' -e 's/: OK$//' -e '/^\\/{s/^\\//;s/\\\\/\\/g;}' -e p >"$cache/.names"
    {
      named "$2" fx | sort - "$cache/.names" "$cache/.names" | uniq -u
      # What should be executable and is not, and the other way round.
      found -type f -perm -100 >"$cache/.names"
      named "$2" x | sort - "$cache/.names" "$cache/.names" | uniq -u
      named "$2" f | sort - "$cache/.names" | uniq -d
      # A link would pass for what it leads to.
      found -type l >"$cache/.names"
      named "$2" dfx | sort - "$cache/.names" | uniq -d
      named "$2" d | while IFS= read -r _p; do [ -d "$_p" ] || printf '%s\n' "$_p"; done
      sed -n 's/^l //p' "$2" | while IFS=$_tab read -r _p _to; do
        [ -L "$_p" ] && [ "$(readlink "$_p")" = "$_to" ] || printf '%s\n' "$_p"
      done
    } | sort -u >"$cache/.differ" || exit 1
    rm -f "$cache/.names"
  )
}

# Whether the manifest of the release $1 is the one that its mark names.
has_manifest() {
  complete "$1" && [ -f "$manifests/$1" ] || return 1
  _sum=$(sha256sum <"$manifests/$1") && _sum=${_sum%% *}
  case $_mark in *'"manifest":"'"$_sum"'"'*) return 0 ;; esac
  return 1
}

# Whether the release $1 holds what it is to hold, by content.
whole() {
  has_manifest "$1" && match "$releases/$1" "$manifests/$1" && [ ! -s "$cache/.differ" ]
}
