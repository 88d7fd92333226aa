# stats ID MODE
found
out=$(patient r stats --json "$1" --mode "$2") || exit
emit stats "$out"
