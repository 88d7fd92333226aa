package rds

import (
	_ "embed"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// toolsImage has psql, pg_dump and kando: Kanister's, which has no argument for another.
const toolsImage = "ghcr.io/kanisterio/postgres-kanister-tools:0.116.0"

// The scripts; what they are given follows as arguments, so that nothing has to be
// quoted.
var (
	//go:embed scripts/dump.sh
	dumpScript string
	//go:embed scripts/restore.sh
	restoreScript string
)

// localeSince is the first version of PostgreSQL that knows LOCALE in CREATE DATABASE.
const localeSince = 13

// dumpArgs are the arguments of a pod that dumps or restores.
type dumpArgs struct {
	Engine      string            `mapstructure:"dbEngine"`
	Username    string            `mapstructure:"username"`
	Password    string            `mapstructure:"password"`
	Prefix      string            `mapstructure:"backupArtifactPrefix"`
	Namespace   string            `mapstructure:"namespace"`
	Image       string            `mapstructure:"image"`
	Labels      map[string]string `mapstructure:"podLabels"`
	Annotations map[string]string `mapstructure:"podAnnotations"`
}

func (a *dumpArgs) check() error {
	switch strings.ToLower(a.Engine) {
	case "postgresql", "postgres":
		return nil
	}
	return function.Errorf(event.ReasonInvalid, "argument dbEngine must be PostgreSQL: no other engine can be dumped or restored from a dump")
}

// spec is the pod without its command. What is secret is not part of it.
func (a *dumpArgs) spec(call *function.Call) (function.PodSpec, error) {
	p, err := call.Values.Profile()
	if err != nil {
		return function.PodSpec{}, err
	}
	if p == nil {
		return function.PodSpec{}, function.Errorf(event.ReasonInvalid, "the action has no profile, so it is not known where dumps are; set profile in the ActionSet")
	}
	store, err := json.Marshal(p)
	if err != nil {
		return function.PodSpec{}, function.Errorf(event.ReasonInternal, "encode the profile: %w", err)
	}
	image := a.Image
	if image == "" {
		image = toolsImage
	}
	return function.PodSpec{
		Namespace: a.Namespace, Image: image, Labels: a.Labels, Annotations: a.Annotations,
		SecretEnv: map[string]string{
			"PGUSER": strings.TrimSpace(a.Username), "PGPASSWORD": strings.TrimSpace(a.Password), "PROFILE": string(store),
		},
	}, nil
}

func script(text string, args ...string) []string {
	return append([]string{"bash", "-o", "errexit", "-o", "pipefail", "-c", text, "salvor"}, args...)
}

// dumpCommand dumps the databases, or all if none is named.
func dumpCommand(host, prefix, backupID string, databases []string) []string {
	return script(dumpScript, append([]string{host, prefix, backupID}, databases...)...)
}

// restoreCommand reads a dump into a server.
func restoreCommand(into *database, path string) []string {
	locale := "LOCALE"
	major, _, _ := strings.Cut(into.version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < localeSince {
		locale = "LC_COLLATE"
	}
	return script(restoreScript, into.endpoint, path, locale)
}
