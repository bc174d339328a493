# Asks for the URL $1, as seen from here, for at most $2 seconds and $3 bytes, and writes the whole
# answer with its head. For https, and where sshd forbids forwarding.
url=$1 seconds=$2 most=$3
unset http_proxy https_proxy all_proxy HTTPS_PROXY ALL_PROXY no_proxy NO_PROXY
if command -v curl >/dev/null 2>&1; then
  curl -q -sS -g -i --http1.1 --max-time "$seconds" --url "$url" | head -c "$most"
elif wget --help 2>&1 | grep -q -e --content-on-error; then
  wget -nv -O - --save-headers --content-on-error --max-redirect=0 --tries=1 \
    --timeout="$seconds" "$url" | head -c "$most"
else
  exit 69
fi
