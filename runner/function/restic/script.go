package restic

import (
	_ "embed"
	"strings"
)

// The scripts are POSIX shell; dash, bash and busybox run them. prelude is before each.
var (
	//go:embed scripts/prelude.sh
	prelude string
	//go:embed scripts/stdin.sh
	stdinScript string
	//go:embed scripts/backup.sh
	backupScript string
	//go:embed scripts/check.sh
	checkScript string
	//go:embed scripts/stats.sh
	statsScript string
	//go:embed scripts/restore.sh
	restoreScript string
	//go:embed scripts/delete.sh
	deleteScript string
)

// command runs a script with arguments. They are never part of the script's text.
func command(script string, args ...string) []string {
	return append([]string{"sh", "-c", prelude + script, "restic"}, args...)
}

// execCommand is command for a container of somebody else's: the environment is read
// from standard input first.
func execCommand(script string, args ...string) []string {
	text := strings.Replace(stdinScript, "@END@", stdinEnd, 1)
	return append([]string{"sh", "-c", text + prelude + script, "restic"}, args...)
}
