package rds

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// snapshot is what both kinds of snapshot have.
type snapshot struct {
	id, of, status, engine, version string
	storage                         int32
	percent                         *int32
	tags                            []types.Tag
}

// automated tells whether AWS took the snapshot by itself: only such names have a colon.
func (s *snapshot) automated() bool { return strings.HasPrefix(s.id, "rds:") }

// database is what both an instance and an Aurora cluster have.
type database struct {
	id, status, endpoint, version, subnets string
	groups                                 []string
	tags                                   []types.Tag
	// members are the instances of a cluster, class is that of its writer.
	members []string
}

// kind does with instances, or with clusters, what RDS has different requests for.
type kind interface {
	// what it is called in messages.
	what() string
	// snapshot and database return nil if there is none.
	snapshot(ctx context.Context, id string) (*snapshot, error)
	database(ctx context.Context, id string) (*database, error)
	createSnapshot(ctx context.Context, id, of string, tags []types.Tag) error
	deleteSnapshot(ctx context.Context, id string) error
	deleteDatabase(ctx context.Context, id string) error
	restore(ctx context.Context, id string, from *snapshot, how how) error
}

// how a database is restored.
type how struct {
	groups  []string
	subnets string
	tags    []types.Tag
}

func (s *client) kind(engine string) kind {
	if isAurora(engine) {
		return clusters{s.api}
	}
	return instances{s.api}
}

type instances struct{ api *rds.Client }

func (instances) what() string { return "RDS instance" }

func (k instances) snapshot(ctx context.Context, id string) (*snapshot, error) {
	answer, err := k.api.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: &id})
	if has(err, "DBSnapshotNotFound") || err == nil && len(answer.DBSnapshots) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a := &answer.DBSnapshots[0]
	return &snapshot{
		id: id, of: aws.ToString(a.DBInstanceIdentifier), status: aws.ToString(a.Status), engine: aws.ToString(a.Engine), version: aws.ToString(a.EngineVersion),
		storage: aws.ToInt32(a.AllocatedStorage), percent: a.PercentProgress, tags: a.TagList,
	}, nil
}

func (k instances) database(ctx context.Context, id string) (*database, error) {
	answer, err := k.api.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &id})
	if has(err, "DBInstanceNotFound") || err == nil && len(answer.DBInstances) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a := &answer.DBInstances[0]
	d := &database{id: id, status: aws.ToString(a.DBInstanceStatus), version: aws.ToString(a.EngineVersion), tags: a.TagList, groups: groupsOf(a.VpcSecurityGroups)}
	if a.Endpoint != nil {
		d.endpoint = aws.ToString(a.Endpoint.Address)
	}
	if a.DBSubnetGroup != nil {
		d.subnets = aws.ToString(a.DBSubnetGroup.DBSubnetGroupName)
	}
	return d, nil
}

func groupsOf(memberships []types.VpcSecurityGroupMembership) []string {
	groups := make([]string, 0, len(memberships))
	for _, g := range memberships {
		groups = append(groups, aws.ToString(g.VpcSecurityGroupId))
	}
	return groups
}

func (k instances) createSnapshot(ctx context.Context, id, of string, tags []types.Tag) error {
	_, err := k.api.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{DBInstanceIdentifier: &of, DBSnapshotIdentifier: &id, Tags: tags})
	if has(err, "DBSnapshotAlreadyExists") {
		return nil
	}
	return err
}

func (k instances) deleteSnapshot(ctx context.Context, id string) error {
	_, err := k.api.DeleteDBSnapshot(ctx, &rds.DeleteDBSnapshotInput{DBSnapshotIdentifier: &id})
	return err
}

func (k instances) deleteDatabase(ctx context.Context, id string) error {
	_, err := k.api.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{DBInstanceIdentifier: &id, SkipFinalSnapshot: aws.Bool(true)})
	return err
}

func (k instances) restore(ctx context.Context, id string, from *snapshot, h how) error {
	_, err := k.api.RestoreDBInstanceFromDBSnapshot(ctx, &rds.RestoreDBInstanceFromDBSnapshotInput{
		DBInstanceIdentifier: &id, DBSnapshotIdentifier: &from.id, VpcSecurityGroupIds: h.groups, DBSubnetGroupName: &h.subnets, Tags: h.tags,
	})
	if has(err, "DBInstanceAlreadyExists") {
		return nil
	}
	return err
}

type clusters struct{ api *rds.Client }

func (clusters) what() string { return "Aurora cluster" }

func (k clusters) snapshot(ctx context.Context, id string) (*snapshot, error) {
	answer, err := k.api.DescribeDBClusterSnapshots(ctx, &rds.DescribeDBClusterSnapshotsInput{DBClusterSnapshotIdentifier: &id})
	if has(err, "DBClusterSnapshotNotFound") || err == nil && len(answer.DBClusterSnapshots) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a := &answer.DBClusterSnapshots[0]
	return &snapshot{
		id: id, of: aws.ToString(a.DBClusterIdentifier), status: aws.ToString(a.Status), engine: aws.ToString(a.Engine), version: aws.ToString(a.EngineVersion),
		storage: aws.ToInt32(a.AllocatedStorage), percent: a.PercentProgress, tags: a.TagList,
	}, nil
}

func (k clusters) database(ctx context.Context, id string) (*database, error) {
	answer, err := k.api.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: &id})
	if has(err, "DBClusterNotFound") || err == nil && len(answer.DBClusters) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a := &answer.DBClusters[0]
	d := &database{
		id: id, status: aws.ToString(a.Status), endpoint: aws.ToString(a.Endpoint), version: aws.ToString(a.EngineVersion),
		subnets: aws.ToString(a.DBSubnetGroup), tags: a.TagList, groups: groupsOf(a.VpcSecurityGroups),
	}
	for _, m := range a.DBClusterMembers {
		d.members = append(d.members, aws.ToString(m.DBInstanceIdentifier))
	}
	return d, nil
}

func (k clusters) createSnapshot(ctx context.Context, id, of string, tags []types.Tag) error {
	_, err := k.api.CreateDBClusterSnapshot(ctx, &rds.CreateDBClusterSnapshotInput{DBClusterIdentifier: &of, DBClusterSnapshotIdentifier: &id, Tags: tags})
	if has(err, "DBClusterSnapshotAlreadyExists") {
		return nil
	}
	return err
}

func (k clusters) deleteSnapshot(ctx context.Context, id string) error {
	_, err := k.api.DeleteDBClusterSnapshot(ctx, &rds.DeleteDBClusterSnapshotInput{DBClusterSnapshotIdentifier: &id})
	return err
}

func (k clusters) deleteDatabase(ctx context.Context, id string) error {
	_, err := k.api.DeleteDBCluster(ctx, &rds.DeleteDBClusterInput{DBClusterIdentifier: &id, SkipFinalSnapshot: aws.Bool(true)})
	return err
}

func (k clusters) restore(ctx context.Context, id string, from *snapshot, h how) error {
	_, err := k.api.RestoreDBClusterFromSnapshot(ctx, &rds.RestoreDBClusterFromSnapshotInput{
		DBClusterIdentifier: &id, SnapshotIdentifier: &from.id, Engine: &from.engine, EngineVersion: &from.version,
		VpcSecurityGroupIds: h.groups, DBSubnetGroupName: &h.subnets, Tags: h.tags,
	})
	if has(err, "DBClusterAlreadyExists") {
		return nil
	}
	return err
}
