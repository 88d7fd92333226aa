set -u
nl='
'

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

command -v restic >/dev/null 2>&1 || fail 'this image has no program restic; name an image that has, or add restic to it'

r() { restic ${SALVOR_INSECURE_TLS:+--insecure-tls} "$@"; }

# emit KEY TEXT publishes a value; the text is one line.
emit() {
  rest=$2 text=
  while :; do
    case $rest in
    *[\\\"]*) ;;
    *) break ;;
    esac
    head=${rest%%[\\\"]*}
    rest=${rest#"$head"}
    tail=${rest#?}
    text="$text$head\\${rest%"$tail"}"
    rest=$tail
  done
  printf '\n###Phase-output###: {"key":"%s","value":"%s"}\n' "$1" "$text$rest"
}

# patient CMD… runs a command of restic and waits while somebody else has the
# repository locked. A lock whose owner is gone is taken away. After a failure $code and
# $said tell what was wrong.
patient() {
  tries=0
  while :; do
    code=0
    { said=$("$@" 2>&1 >&3 3>&-) || code=$?; } 3>&1
    [ -z "$said" ] || printf '%s\n' "$said" >&2
    [ "$code" -ne 0 ] || return 0
    case $said in
    *'already locked'*) ;;
    *) return "$code" ;;
    esac
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || return "$code"
    r unlock >/dev/null 2>&1 || :
    sleep 5
  done
}

# look opens the repository: 0 it opens, 2 there is none, 3 the password is wrong, else
# restic's own code. $said has what restic said.
look() {
  code=0
  said=$(r --no-lock cat config 2>&1 >/dev/null) || code=$?
  case "$code $said" in
  '0 '*) return 0 ;;
  '10 '* | *'Is there a repository at the following location?'*) return 2 ;;
  '12 '* | *'wrong password'*) return 3 ;;
  esac
  return "$code"
}

# found fails unless the repository opens.
found() {
  code=0
  look || code=$?
  case $code in
  0) ;;
  2) fail "there is no repository at $RESTIC_REPOSITORY; check backupArtifactPrefix and the profile's bucket
$said" ;;
  3) fail "the repository at $RESTIC_REPOSITORY does not open with this password; check encryptionKey
$said" ;;
  *) fail "$said" ;;
  esac
}

# What restic takes as files only.
kept=
trap '[ -z "$kept" ] || rm -f $kept' EXIT

# keep TEXT puts a text into a file that only we may read; $file is its name.
keep() {
  file=$(mktemp) || fail 'credentials and certificates need a file; give the container a /tmp that can be written'
  kept="$kept $file"
  printf '%s' "$1" >"$file"
}

if [ -n "${SALVOR_GOOGLE_CREDENTIALS:-}" ]; then
  keep "$SALVOR_GOOGLE_CREDENTIALS"
  export GOOGLE_APPLICATION_CREDENTIALS="$file"
  unset SALVOR_GOOGLE_CREDENTIALS
fi
if [ -n "${SALVOR_CA_BUNDLE:-}" ]; then
  keep "$SALVOR_CA_BUNDLE"
  export RESTIC_CACERT="$file"
fi
