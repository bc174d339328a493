# Whether the user that we are here can read the repository $url. Changes nothing.
_said=$(as_ourselves git -c credential.interactive=false -c http.lowSpeedLimit=1000 \
  -c http.lowSpeedTime=20 -c safe.directory='*' ls-remote --quiet -- "$url" HEAD 2>&1 >/dev/null) || {
  printf '%s\n' "$_said" >&2
  exit 49
}
