# Credentials come over standard input, so that no list of processes shows them.
assignments= whole=
while IFS= read -r line; do
  if [ "$line" = '@END@' ]; then
    whole=yes
    break
  fi
  assignments="$assignments$line
"
done
if [ -z "$whole" ]; then
  echo 'the connection was cut before all credentials came; nothing was done' >&2
  exit 1
fi
eval "$assignments"
unset assignments line
exec </dev/null
