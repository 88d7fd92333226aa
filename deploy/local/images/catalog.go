package images

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/salvor-io/salvor/deploy/local/setup"
)

// Names of images that manifests and configurations of ours use.
const (
	Pause       = "localhost/pause:1"
	CoreDNS     = "localhost/coredns:1.15.0"
	Provisioner = "localhost/local-path-provisioner:v0.0.30"
	Busybox     = "docker.io/library/busybox:latest"
	S3          = "localhost/versitygw:v1.8.0"
	Salvor      = "ghcr.io/salvor-io/salvor:dev"
	Tools       = "ghcr.io/salvor-io/postgres-tools:dev"
	Postgres    = "localhost/postgres:15"
	MariaDB     = "localhost/mariadb:10.11"
)

const (
	certificates = "/etc/ssl/certs/ca-certificates.crt"
	nonRoot      = 65532
)

// Base is what the cluster itself runs.
func Base() []Definition {
	return []Definition{
		{Refs: []string{Pause}, Files: program("pause"), Entrypoint: []string{"/usr/local/bin/pause"}, User: "65535"},
		{Refs: []string{Busybox, "docker.io/library/busybox:1.36"}, Files: busybox, Cmd: []string{"sh"}},
		{Refs: []string{CoreDNS}, Files: program("coredns"), Entrypoint: []string{"/usr/local/bin/coredns"}},
		{
			Refs: []string{Provisioner}, Files: program("local-path-provisioner"),
			Entrypoint: []string{"/usr/local/bin/local-path-provisioner"},
		},
	}
}

// Product is what demonstrations and end-to-end tests run besides.
func Product() []Definition {
	return []Definition{
		{Refs: []string{S3}, Files: program("versitygw"), Entrypoint: []string{"/usr/local/bin/versitygw"}, User: "65532:65532"},
		{Refs: []string{Salvor}, Files: salvor, Entrypoint: []string{"/usr/local/bin/salvor"}, User: "65532:65532"},
		{
			Refs: append([]string{Tools}, kanisterTools()...), Debian: databases(), Files: tools, Cmd: []string{"bash"},
			// restic keeps its cache there.
			Env: []string{"HOME=/root"},
		},
		{
			Refs: []string{Postgres}, Debian: databases(), Files: entrypoint("postgres"),
			Entrypoint: []string{"/usr/local/bin/postgres-entrypoint"}, Cmd: []string{"postgres"},
			Env:   []string{"PGDATA=/var/lib/postgresql/data", "LANG=C.UTF-8"},
			Ports: []string{"5432/tcp"},
		},
		{
			Refs: []string{MariaDB}, Debian: databases(), Files: entrypoint("mariadb"),
			Entrypoint: []string{"/usr/local/bin/mariadb-entrypoint"}, Cmd: []string{"mariadbd"},
			Ports: []string{"3306/tcp"},
		},
	}
}

// databases is what the root file system of the tools and of the servers has: one for
// all, because making one takes longer than carrying what an image does not use.
func databases() []string {
	return []string{
		"bash", "ca-certificates", "curl", "gzip", "jq", "restic",
		"mariadb-server", "postgresql", "redis-server",
	}
}

// kanisterTools are the names by which Blueprints written for Kanister ask for tools.
// What each of those images has, this one has.
func kanisterTools() []string {
	return []string{
		"ghcr.io/kanisterio/kanister-tools:0.116.0",
		"ghcr.io/kanisterio/kanister-tools:0.110.0",
		"ghcr.io/kanisterio/kanister-kubectl-1.18:0.81.0",
		"ghcr.io/kanisterio/postgres-kanister-tools:0.116.0",
		"ghcr.io/kanisterio/mysql-sidecar:0.116.0",
		"docker.io/bitnamilegacy/postgresql:17",
	}
}

// program is an image of one program that `make kubernetes` built.
func program(name string) func(context.Context, Sources) ([]Entry, error) {
	return func(_ context.Context, s Sources) ([]Entry, error) {
		path, err := s.tool(name)
		if err != nil {
			return nil, err
		}
		return append(users(), Entry{Path: "usr/local/bin/" + name, Mode: 0o755, Source: path}), nil
	}
}

// users is what a program finds in an image without a system: names for its
// user, a folder for temporary files and the authorities of TLS.
func users() []Entry {
	passwd := fmt.Sprintf("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:%[1]d:%[1]d:nonroot:/home/nonroot:/sbin/nologin\n", nonRoot)
	group := fmt.Sprintf("root:x:0:\nnonroot:x:%d:\n", nonRoot)
	entries := []Entry{
		{Path: "etc/passwd", Mode: 0o644, Content: []byte(passwd)},
		{Path: "etc/group", Mode: 0o644, Content: []byte(group)},
		{Path: "home/nonroot", Mode: 0o700, Dir: true, Owner: nonRoot},
		{Path: "tmp", Mode: 0o1777, Dir: true},
	}
	if _, err := os.Stat(certificates); err == nil {
		entries = append(entries, Entry{Path: strings.TrimPrefix(certificates, "/"), Mode: 0o644, Source: certificates})
	}
	return entries
}

func busybox(ctx context.Context, _ Sources) ([]Entry, error) {
	applets, err := exec.CommandContext(ctx, setup.Busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list the applets of busybox: %w; run `make setup`", err)
	}
	entries := append(users(), Entry{Path: "bin/busybox", Mode: 0o755, Source: setup.Busybox})
	for applet := range strings.FieldsSeq(string(applets)) {
		if applet != "busybox" {
			entries = append(entries, Entry{Path: "bin/" + applet, Mode: 0o777, Link: "busybox"})
		}
	}
	return append(entries,
		Entry{Path: "usr/bin/env", Mode: 0o777, Link: "/bin/busybox"},
		Entry{Path: "root", Mode: 0o700, Dir: true},
		Entry{Path: "var/tmp", Mode: 0o1777, Dir: true}), nil
}

func salvor(ctx context.Context, s Sources) ([]Entry, error) {
	path, err := s.command(ctx, "salvor")
	if err != nil {
		return nil, err
	}
	return append(users(),
		Entry{Path: "usr/local/bin/salvor", Mode: 0o755, Source: path},
		// By this name it takes the flags of Kanister's command line.
		Entry{Path: "usr/local/bin/kanctl", Mode: 0o777, Link: "salvor"}), nil
}

// tools are the programs of task pods that Debian does not have.
func tools(ctx context.Context, s Sources) ([]Entry, error) {
	kando, err := s.command(ctx, "kando")
	if err != nil {
		return nil, err
	}
	// By this name it is kubectl.
	kubernetes, err := s.tool("kubernetes")
	if err != nil {
		return nil, err
	}
	return []Entry{
		{Path: "usr/local/bin/kando", Mode: 0o755, Source: kando},
		{Path: "usr/local/bin/kubectl", Mode: 0o755, Source: kubernetes},
		// Where Kanister's images come from sh is bash, and scripts count on it.
		{Path: "usr/local/bin/sh", Mode: 0o777, Link: "/bin/bash"},
		{Path: "usr/local/bin/mysqldump", Mode: 0o755, Source: s.own("tools", "mysqldump")},
	}, nil
}

// entrypoint is the script that starts a server.
func entrypoint(server string) func(context.Context, Sources) ([]Entry, error) {
	return func(_ context.Context, s Sources) ([]Entry, error) {
		return []Entry{{Path: "usr/local/bin/" + server + "-entrypoint", Mode: 0o755, Source: s.own(server, "entrypoint.sh")}}, nil
	}
}
