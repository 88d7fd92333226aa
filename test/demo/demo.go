package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/salvor-io/salvor/test/harness"
)

const (
	namespace = "shop"
	pod       = "shop-postgresql-0"
	bucket    = "backups"
	accessKey = "demo-access-key"
	secretKey = "demo-secret-key-not-a-secret"
	endpoint  = "http://s3.s3.svc.cluster.local:7070"
)

// demo is the story's content.
type demo struct {
	*story
	rows    int
	tag     string
	samples string

	before   table
	store    *harness.Bucket
	events   string
	closers  []func()
	eventID  string
	backup   string
	restored table
}

// table is what can be seen of the table from outside.
type table struct {
	rows     int
	checksum string
}

func (d *demo) close() {
	for _, c := range d.closers {
		c()
	}
}

func (d *demo) tell(ctx context.Context) error {
	for _, chapter := range []struct {
		name string
		do   func(context.Context) (string, error)
	}{
		{"Install Salvor from its chart", d.install},
		{"Start an S3 server and make a bucket", d.startS3},
		{"Start PostgreSQL 15", d.startPostgreSQL},
		{fmt.Sprintf("Write %d rows", d.rows), d.writeRows},
		{"Create the Profile", d.createProfile},
		{"Create the Blueprint and the ActionTrigger", d.createBlueprint},
		{"The application emits an event", d.emit},
		{"The backup that follows", d.waitBackup},
		{"The same event once more makes nothing new", d.emitAgain},
		{"The object in the bucket", d.showObject},
		{"DROP TABLE", d.loseData},
		{"Restore with one command", d.restore},
		{"The data is back", d.compare},
		{"The delete action frees the storage", d.remove},
	} {
		if err := d.step(ctx, chapter.name, chapter.do); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) install(ctx context.Context) (string, error) {
	// A demo starts from nothing, also the second time.
	if _, err := d.tools.Kubectl(ctx, "delete", "namespace", namespace, "--ignore-not-found", "--wait"); err != nil {
		return "", err
	}
	if _, err := d.tools.Kubectl(ctx, "create", "namespace", namespace); err != nil {
		return "", err
	}
	if err := d.tools.Install(ctx, d.tag, namespace); err != nil {
		return "", err
	}
	address, stop, err := d.tools.Forward(ctx, "salvor", "salvor", 8080)
	if err != nil {
		return "", err
	}
	d.closers = append(d.closers, stop)
	d.events = "http://" + address + "/events/" + namespace
	return "release salvor in namespace salvor", nil
}

func (d *demo) startS3(ctx context.Context) (string, error) {
	if _, err := d.tools.Kubectl(ctx, "apply", "-f", filepath.Join(d.tools.Root, "deploy", "local", "manifests", "s3.yaml")); err != nil {
		return "", err
	}
	if _, err := d.tools.Kubectl(ctx, "rollout", "status", "-n", "s3", "deployment/s3", "--timeout=2m"); err != nil {
		return "", err
	}
	address, stop, err := d.tools.Forward(ctx, "s3", "s3", 7070)
	if err != nil {
		return "", err
	}
	d.closers = append(d.closers, stop)
	d.store, err = harness.OpenBucket(ctx, "http://"+address, accessKey, secretKey, bucket)
	if err != nil {
		return "", err
	}
	return endpoint + "/" + bucket, d.store.Empty(ctx)
}

func (d *demo) startPostgreSQL(ctx context.Context) (string, error) {
	if _, err := d.tools.Kubectl(ctx, "apply", "-f", filepath.Join(d.samples, "database.yaml")); err != nil {
		return "", err
	}
	if _, err := d.tools.Kubectl(ctx, "rollout", "status", "-n", namespace, "statefulset/shop-postgresql", "--timeout=3m"); err != nil {
		return "", err
	}
	return d.sql(ctx, "postgres", "SELECT split_part(version(), ' on ', 1)")
}

func (d *demo) writeRows(ctx context.Context) (string, error) {
	if _, err := d.sql(ctx, "postgres", "CREATE DATABASE shop"); err != nil {
		return "", err
	}
	if _, err := d.sql(ctx, "shop", `CREATE TABLE orders AS
		SELECT id, 'customer-' || (id * 7919 % 10007) AS customer, (id * 31 % 9973)::numeric / 100 AS amount,
		       timestamptz '2026-01-01' + id * interval '3 minutes' AS at
		FROM generate_series(1, `+strconv.Itoa(d.rows)+`) AS id`); err != nil {
		return "", err
	}
	var err error
	d.before, err = d.look(ctx)
	return fmt.Sprintf("%d rows, checksum %s", d.before.rows, d.before.checksum), err
}

func (d *demo) createProfile(ctx context.Context) (string, error) {
	_, err := d.tools.Run(ctx, strings.NewReader(secretKey), "salvor", "create", "profile", "s3compliant", "--namespace", namespace,
		"--name", "backups", "--bucket", bucket, "--endpoint", endpoint, "--region", "us-east-1",
		"--access-key", accessKey, "--secret-key-file", "-")
	return namespace + "/backups", err
}

func (d *demo) createBlueprint(ctx context.Context) (string, error) {
	_, err := d.tools.Kubectl(ctx, "apply", "-f", filepath.Join(d.samples, "blueprint.yaml"), "-f", filepath.Join(d.samples, "trigger.yaml"))
	return namespace + "/postgresql, " + namespace + "/day-closed", err
}

func (d *demo) emit(ctx context.Context) (string, error) {
	d.eventID = "day-" + strconv.FormatInt(d.start.UnixNano(), 36)
	return d.send(ctx)
}

func (d *demo) send(ctx context.Context) (string, error) {
	out, err := d.tools.Salvor(ctx, "emit", "--to", d.events, "--type", "com.example.shop.day.closed",
		"--source", "/shop/orders", "--id", d.eventID, "--data", `{"day":"2026-11-22"}`)
	return "id " + d.eventID + ": " + strings.TrimSpace(out), err
}

// actionSets returns the names of the ActionSets of the namespace.
func (d *demo) actionSets(ctx context.Context) ([]string, error) {
	out, err := d.tools.Kubectl(ctx, "get", "actionsets", "-n", namespace, "-o", "jsonpath={.items[*].metadata.name}")
	return strings.Fields(out), err
}

func (d *demo) waitBackup(ctx context.Context) (string, error) {
	if err := d.eventually(ctx, "an ActionSet made from the event", func(ctx context.Context) (bool, error) {
		names, err := d.actionSets(ctx)
		if len(names) == 1 {
			d.backup = names[0]
		}
		return len(names) == 1, err
	}); err != nil {
		return "", err
	}
	return d.wait(ctx, d.backup)
}

// wait waits for an ActionSet and shows its phases as they ran.
func (d *demo) wait(ctx context.Context, name string) (string, error) {
	out, err := d.tools.Salvor(ctx, "wait", name, "--namespace", namespace, "--timeout", "5m")
	return name + "\n" + out, err
}

func (d *demo) emitAgain(ctx context.Context) (string, error) {
	answer, err := d.send(ctx)
	if err != nil {
		return "", err
	}
	names, err := d.actionSets(ctx)
	if err == nil && len(names) != 1 {
		err = fmt.Errorf("%d ActionSets, want 1: %v", len(names), names)
	}
	return answer, err
}

func (d *demo) showObject(ctx context.Context) (string, error) {
	objects, err := d.store.List(ctx, "")
	if err != nil {
		return "", err
	}
	if len(objects) != 1 || objects[0].Size == 0 {
		return "", fmt.Errorf("objects in the bucket: %v, want one that is not empty", objects)
	}
	artifacts, err := d.artifacts(ctx)
	if err != nil {
		return "", err
	}
	if artifacts.Dump.KeyValue["path"] != objects[0].Key {
		return "", fmt.Errorf("the ActionSet's artifact is %v, the object %s", artifacts, objects[0].Key)
	}
	return fmt.Sprintf("%s, %d bytes", objects[0].Key, objects[0].Size), nil
}

type artifacts struct {
	Dump struct {
		KeyValue map[string]string `json:"keyValue"`
	} `json:"dump"`
}

func (d *demo) artifacts(ctx context.Context) (artifacts, error) {
	out, err := d.tools.Kubectl(ctx, "get", "actionset", "-n", namespace, d.backup, "-o", "jsonpath={.status.actions[0].artifacts}")
	if err != nil {
		return artifacts{}, err
	}
	var found artifacts
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return artifacts{}, fmt.Errorf("artifacts of %s: %q: %w", d.backup, out, err)
	}
	return found, nil
}

func (d *demo) loseData(ctx context.Context) (string, error) {
	if _, err := d.sql(ctx, "shop", "DROP TABLE orders"); err != nil {
		return "", err
	}
	if _, err := d.look(ctx); err == nil {
		return "", errors.New("the table is still there")
	}
	return `relation "orders" does not exist`, nil
}

func (d *demo) restore(ctx context.Context) (string, error) {
	return d.follow(ctx, "restore")
}

// follow runs an action on what the backup left and waits for it.
func (d *demo) follow(ctx context.Context, action string) (string, error) {
	out, err := d.tools.Salvor(ctx, "create", "actionset", "--namespace", namespace, "--action", action, "--from", d.backup)
	if err != nil {
		return "", err
	}
	names, err := d.actionSets(ctx)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if strings.HasPrefix(name, action+"-") {
			return d.wait(ctx, name)
		}
	}
	return "", fmt.Errorf("no ActionSet %s-… was made: %s", action, out)
}

func (d *demo) compare(ctx context.Context) (string, error) {
	var err error
	d.restored, err = d.look(ctx)
	if err != nil {
		return "", err
	}
	if d.restored != d.before {
		return "", fmt.Errorf("restored %+v, lost %+v", d.restored, d.before)
	}
	return fmt.Sprintf("%d rows, checksum %s: equal", d.restored.rows, d.restored.checksum), nil
}

func (d *demo) remove(ctx context.Context) (string, error) {
	detail, err := d.follow(ctx, "delete")
	if err != nil {
		return "", err
	}
	objects, err := d.store.List(ctx, "")
	if err == nil && len(objects) != 0 {
		err = fmt.Errorf("still in the bucket: %v", objects)
	}
	return detail + "the bucket is empty", err
}

func (d *demo) look(ctx context.Context) (table, error) {
	out, err := d.sql(ctx, "shop", `SELECT count(*) || ' ' || md5(string_agg(orders::text, ',' ORDER BY id)) FROM orders`)
	if err != nil {
		return table{}, err
	}
	count, checksum, _ := strings.Cut(out, " ")
	rows, err := strconv.Atoi(count)
	if err != nil {
		return table{}, fmt.Errorf("row count %q: %w", out, err)
	}
	return table{rows: rows, checksum: checksum}, nil
}

// sql runs one statement in the database's pod and returns what it prints.
func (d *demo) sql(ctx context.Context, database, statement string) (string, error) {
	out, err := d.tools.Run(ctx, strings.NewReader(statement), "kubectl", "exec", "-i", "-n", namespace, pod, "--",
		"bash", "-c", `PGPASSWORD="$POSTGRES_PASSWORD" psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -U postgres -d `+database)
	return strings.TrimSpace(out), err
}
