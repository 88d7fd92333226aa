# backup TAG PATH [words]: makes the repository if there is none, and a snapshot.
code=0
look || code=$?
case $code in
0) ;;
2)
  # Somebody else may make it at the same time.
  r init >&2 || found
  ;;
*) found ;;
esac

tag=$1 path=$2 words=${3:-}
set -- "$path"
# As in Kanister the path is words of a shell: several paths, patterns, variables of
# the container. A path that is there is taken as it is.
if [ -n "$words" ] && [ ! -e "$path" ]; then
  eval "set -- $path"
fi

code=0
out=$(patient r backup --json --quiet --tag "$tag" "$@") || code=$?
summary= id=
IFS=$nl
set -f
for line in $out; do
  case $line in
  *'"message_type":"summary"'*)
    summary=$line
    id=${line#*'"snapshot_id":"'}
    id=${id%%'"'*}
    ;;
  esac
done
if [ "$code" -ne 0 ]; then
  # What could not be read is missing in the snapshot; no phase will ever name it.
  [ -z "$id" ] || r forget "$id" >&2 || :
  exit "$code"
fi
[ -n "$id" ] || fail "restic backup ended well but named no snapshot; is it 0.9.5 or newer? It said: $out"
emit summary "$summary"
