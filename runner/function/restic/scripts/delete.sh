# delete RECLAIM, then for each backup REPOSITORY id|tag NAME. What is gone already is
# no failure: the phase may have been tried before.
forget() {
  patient r forget "$1" && return 0
  case $said in
  *'no matching ID found'*) return 0 ;;
  esac
  exit "$code"
}

# prune adds what it freed to $freed, as restic prints it.
prune() {
  code=0
  out=$(patient r prune) || code=$?
  printf '%s\n' "$out"
  [ "$code" -eq 0 ] || exit "$code"
  IFS=$nl
  set -f
  for line in $out; do
    case $line in
    'total prune:'*) freed="$freed${line##*/ };" ;;
    *' this frees '*) freed="$freed${line##* this frees };" ;;
    esac
  done
  unset IFS
}

reclaim=$1 freed=
shift
while [ $# -ge 3 ]; do
  export RESTIC_REPOSITORY="$1"
  found
  case $2 in
  id) forget "$3" ;;
  tag)
    list=$(patient r snapshots --json --tag "$3") || exit
    case $list in
    *'"short_id":"'*) ;;
    *) echo "no snapshot has tag $3 any more" ;;
    esac
    while :; do
      case $list in
      *'"short_id":"'*) ;;
      *) break ;;
      esac
      list=${list#*'"short_id":"'}
      forget "${list%%'"'*}"
    done
    ;;
  esac
  [ "$reclaim" != true ] || prune
  shift 3
done
emit freed "$freed"
