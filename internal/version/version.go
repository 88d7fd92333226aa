package version

import (
	"runtime"
	"runtime/debug"
)

// Version is set by the linker (see the Makefile); empty in a plain go build,
// which records the module's version itself.
var Version string //nolint:gochecknoglobals // the linker can set nothing else

// String is the version in one line: the release or what git says, the commit,
// the compiler and the platform.
func String() string {
	text, commit := Version, ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if text == "" {
			text = info.Main.Version
		}
		commit = revision(info.Settings)
	}
	if text == "" {
		text = "(devel)"
	}
	return text + commit + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}

func revision(settings []debug.BuildSetting) string {
	var commit, modified string
	for _, setting := range settings {
		switch setting.Key {
		case "vcs.revision":
			commit = setting.Value
		case "vcs.modified":
			if setting.Value == "true" {
				modified = ", modified"
			}
		}
	}
	if commit == "" {
		return ""
	}
	return " (commit " + commit[:min(len(commit), 12)] + modified + ")"
}
