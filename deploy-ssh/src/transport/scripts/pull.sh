# Brings the commit $commit from $url, with the keys and the git configuration of the user that we
# are here. Asks nobody: what needs an answer fails.

# Runs $@ with that user's own configuration of git. The system's stays off; so do hooks and filters.
as_ourselves() (
  unset GIT_CONFIG_GLOBAL GIT_ASKPASS SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
  HOME=$home GIT_ALLOW_PROTOCOL=file:git:http:https:ssh
  export HOME GIT_ALLOW_PROTOCOL
  unset XDG_CONFIG_HOME
  if [ -n "$config_home" ]; then
    XDG_CONFIG_HOME=$config_home
    export XDG_CONFIG_HOME
  fi
  _ssh=${GIT_SSH_COMMAND-}
  [ -n "$_ssh" ] || [ -n "${GIT_SSH-}" ] || _ssh=$(g config --get core.sshCommand) || _ssh=ssh
  case $_ssh in
    ssh | 'ssh '*)
      GIT_SSH_COMMAND="$_ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15"
      export GIT_SSH_COMMAND ;;
  esac
  "$@" </dev/null
)

# What arrives stays a pack: those are counted, and made one now and then.
fetch_from() {
  as_ourselves g -c credential.interactive=false -c http.lowSpeedLimit=1000 \
    -c http.lowSpeedTime=60 -c fetch.writeCommitGraph=false -c fetch.unpackLimit=1 \
    -c maintenance.auto=false fetch --quiet --no-tags --no-recurse-submodules "$@"
}

is_pulled() { g cat-file -e "$commit^{tree}" 2>/dev/null; }

# The commit by itself where the server gives that out; else as what the version's tag names; else
# with all branches and tags.
pull() {
  is_pulled && return
  _old=$(g rev-parse --quiet --verify refs/deploy/pulled/last 2>/dev/null)
  _said=$(fetch_from --depth=1 -- "$url" "$commit" 2>&1)
  if ! is_pulled; then
    case $_said in
      *'not our ref'* | *'unadvertised object'* | *'dumb http'* | *'does not support shallow'*) ;;
      *) die 49 "$_said" ;;
    esac
    # This server gives out only what its branches and tags name.
    if [ -n "$name" ] && g check-ref-format "refs/tags/$name"; then
      fetch_from --depth=1 -- "$url" "refs/tags/$name" 2>/dev/null
    fi
    is_pulled || _said=$(fetch_from -- "$url" '+refs/heads/*:refs/deploy/branches/*' \
      '+refs/tags/*:refs/deploy/tags/*' 2>&1)
    is_pulled || die 49 "${_said:-the commit $commit is not there}"
  fi
  # So that the next time only what is new since this commit travels.
  [ "$_old" = "$commit" ] || g update-ref refs/deploy/pulled/last "$commit" || exit 1
}
