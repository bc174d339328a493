# Runs the command that NRPE knows as $2, or only looks for it: $1 is run or look. $3: the files and
# directories that define commands, one a line; as with NRPE, the later definition wins. The others:
# $ARG1$, $ARG2$, …
act=$1 wanted=$2 paths=$3
shift 3
LC_ALL=C
export LC_ALL
cr=$(printf '\r')
found=no files=0 prefix='' command='' defined='' unread=''

end() {
  printf '%s\n' "$*"
  exit 0
}

# $1: a line command[NAME]=COMMAND
define() {
  name=${1%%=*}
  name=${name#'command['}
  name=${name%%']'*}
  defined="$defined$name
"
  [ "$name" = "$wanted" ] || return 0
  found=yes command=${1#*=}
}

# $1: a file. $2: how deep it is included.
read_file() {
  files=$((files + 1))
  [ "$files" -le 2000 ] && [ "$2" -le 20 ] || end too-many
  if [ ! -r "$1" ]; then
    unread=$1
    return
  fi
  while read -r line || [ -n "$line" ]; do
    line=${line%"$cr"}
    case $line in
    '#'*) ;;
    'command['*']'*=*) define "$line" ;;
    command_prefix=*) prefix=${line#*=} ;;
    include_dir=*) read_dir "${line#*=}" $(($2 + 1)) ;;
    include=* | include_file=*) read_file "${line#*=}" $(($2 + 1)) ;;
    esac
  done <"$1"
}

# $1: a directory. $2: how deep it is included.
read_dir() {
  for entry in "${1%/}"/*; do
    if [ -d "$entry" ]; then
      read_dir "$entry" $(($2 + 1))
    else
      case $entry in
      *.cfg) [ ! -e "$entry" ] || read_file "$entry" $(($2 + 1)) ;;
      esac
    fi
  done
}

while read -r path; do
  if [ -d "$path" ]; then
    read_dir "$path" 0
  elif [ -e "$path" ]; then
    read_file "$path" 0
  fi
done <<PATHS
$paths
PATHS

if [ "$found" = no ]; then
  printf '%s' "$defined" | sort -u | head -n 500 | while read -r name; do
    printf 'defined %s\n' "$name"
  done
  [ -z "$unread" ] || printf 'unread %s\n' "$unread"
  end undefined
fi

number=0
for arg; do
  number=$((number + 1))
  rest=$command command='' mark="\$ARG$number\$"
  case $rest in
  *"$mark"*) ;;
  *) end ignores "$number" ;;
  esac
  while :; do
    case $rest in
    *"$mark"*) ;;
    *) break ;;
    esac
    command=$command${rest%%"$mark"*}$arg
    rest=${rest#*"$mark"}
  done
  command=$command$rest
done
rest=$command
while :; do
  case $rest in
  *'$ARG'[0-9]*'$'*) ;;
  *) break ;;
  esac
  rest=${rest#*'$ARG'}
  number=${rest%%'$'*}
  case $number in
  *[!0-9]*) ;;
  *) end lacks "$number" ;;
  esac
done

[ "$act" = run ] || end defined
cd /
sh -c "${prefix:+$prefix }$command" deploy >&2 </dev/null
end ran "$?"
