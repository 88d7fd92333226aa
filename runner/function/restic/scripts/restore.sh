# restore TARGET ID TAG PATH: ID or TAG is empty.
found
target=$1 id=$2 tag=$3 path=$4
if [ -n "$path" ]; then
  version=$(restic version)
  version=${version#restic }
  case $version in
  0.[0-9] | 0.[0-9][!0-9]* | 0.1[0-5]*) fail "backupPath needs restic 0.16 or newer in the image; it has ${version%% *}" ;;
  esac
  path=":$path"
fi
if [ -n "$id" ]; then
  patient r restore "$id$path" --target "$target"
else
  patient r restore --tag "$tag" "latest$path" --target "$target"
fi
