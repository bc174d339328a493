# Asks what the standard input tells curl to ask, for at most $1 seconds and $2 bytes, and writes the
# whole answer with its head. $3: the URL alone, where that is all, and wget will do. For https, and
# where sshd forbids forwarding.
seconds=$1 most=$2 url=$3
unset http_proxy https_proxy all_proxy HTTPS_PROXY ALL_PROXY no_proxy NO_PROXY
if command -v curl >/dev/null 2>&1; then
  curl -q -sS -g -i --http1.1 --max-time "$seconds" -K - | head -c "$most"
elif [ -n "$url" ] && wget --help 2>&1 | grep -q -e --content-on-error; then
  cat >/dev/null
  wget -nv -O - --save-headers --content-on-error --max-redirect=0 --tries=1 \
    --timeout="$seconds" "$url" | head -c "$most"
else
  cat >/dev/null
  exit 69
fi
