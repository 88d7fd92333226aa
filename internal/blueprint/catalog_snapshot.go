package blueprint

// What the functions that work on CSI snapshots share.
const (
	argName           = "name"
	argSnapshotClass  = "snapshotClass"
	outRestoreSize    = "restoreSize"
	outContent        = "snapshotContent"
	argSnapshotID     = "snapshotID"
	argInstanceID     = "instanceID"
	argEngine         = "dbEngine"
	outSecurityGroups = "securityGroupID"
	argSubnetGroup    = "dbSubnetGroup"
)

func csiSignatures() []Signature {
	labels := optional("labels", Map, "", "labels of the object that is made")
	return []Signature{
		{
			Name: "CreateCSISnapshot", Summary: "takes a snapshot of a claim and waits until it can be used", Resume: Idempotent,
			Args: []Argument{
				required("pvc", Text, "the claim"),
				required(argNamespace, Text, "the namespace of the claim and the snapshot"),
				required(argSnapshotClass, Text, "the VolumeSnapshotClass"),
				optional(argName, Text, "<pvc>-snapshot-<hash of the attempt's phase>", "the name of the VolumeSnapshot"),
				labels,
			},
			Outputs: []Output{
				{argName, "the name of the VolumeSnapshot"},
				{"pvc", "the claim"},
				{argNamespace, "its namespace"},
				{outRestoreSize, "how large a claim must be to hold it, such as 1Gi"},
				{outContent, "the name of the VolumeSnapshotContent"},
			},
		},
		{
			Name: "CreateCSISnapshotStatic", Summary: "makes a VolumeSnapshot of a snapshot that is there", Resume: Idempotent,
			Args: []Argument{
				required(argName, Text, "the name of the VolumeSnapshot"),
				required(argNamespace, Text, "its namespace"),
				required("driver", Text, "the CSI driver"),
				required("snapshotHandle", Text, "the driver's id of the snapshot"),
				required(argSnapshotClass, Text, "the VolumeSnapshotClass"),
			},
			Outputs: []Output{
				{argName, "the name of the VolumeSnapshot"},
				{argNamespace, "its namespace"},
				{outRestoreSize, "how large a claim must be to hold it"},
				{outContent, "the name of the VolumeSnapshotContent"},
			},
		},
		{
			Name: "RestoreCSISnapshot", Summary: "makes a claim from a snapshot; it does not wait until the claim is bound", Resume: Idempotent,
			Args: []Argument{
				required(argName, Text, "the name of the VolumeSnapshot"),
				required("pvc", Text, "the name of the new claim"),
				required(argNamespace, Text, "the namespace of both"),
				required("storageClass", Text, "the StorageClass of the claim"),
				required(outRestoreSize, Text, "the size of the claim, such as 1Gi"),
				optional("accessModes", List, "[ReadWriteOnce]", "ReadWriteOnce, ReadOnlyMany or ReadWriteMany"),
				optional("volumeMode", Text, "Filesystem", "Filesystem or Block"),
				labels,
			},
		},
		{
			Name: "DeleteCSISnapshot", Summary: "deletes a VolumeSnapshot and waits until it is gone", Resume: Idempotent,
			Args: []Argument{
				required(argName, Text, "the name of the VolumeSnapshot"),
				required(argNamespace, Text, "its namespace"),
			},
		},
		{
			Name: "DeleteCSISnapshotContent", Summary: "deletes a VolumeSnapshotContent", Resume: Idempotent,
			Args: []Argument{required(argName, Text, "the name of the VolumeSnapshotContent")},
		},
	}
}

// rdsCredentials are the arguments that say who asks AWS.
func rdsCredentials() []Argument {
	return []Argument{
		optional("credentialsSource", Text, "profile", "where the credential is: profile, secret or serviceAccount"),
		optional("credentialsSecret", Text, "", "with secret: its name in the ActionSet's secrets or in the phase's objects"),
		optional("region", Text, "that of the profile", "the AWS region"),
	}
}

func rdsSignatures() []Signature {
	engine := optional(argEngine, Text, "that of an instance", "the engine; with aurora in its name, instanceID names a cluster")
	groups := optional(outSecurityGroups, YAMLList, "", "the VPC security groups of the instance that is made")
	subnets := optional(argSubnetGroup, Text, "default", "the DB subnet group of the instance that is made")
	image := optional("image", Text, "Kanister's postgres-kanister-tools", "an image with the database's client and kando")
	podMeta := podArgs()[1:]
	return []Signature{
		{
			Name: "CreateRDSSnapshot", Summary: "takes a snapshot of an RDS instance or an Aurora cluster and waits until it can be used", Resume: Idempotent,
			Args: args([]Argument{required(argInstanceID, Text, "the instance, or the cluster"), engine}, rdsCredentials()),
			Outputs: []Output{
				{argSnapshotID, "the id of the snapshot"},
				{argInstanceID, "the instance"},
				{outSecurityGroups, "its VPC security groups, a list as YAML text"},
				{"allocatedStorage", "its size, as 20GiB"},
				{argSubnetGroup, "its DB subnet group"},
			},
		},
		{
			Name: "DeleteRDSSnapshot", Summary: "deletes a snapshot of RDS and waits until it is gone", Resume: Idempotent,
			Args: args([]Argument{required(argSnapshotID, Text, "the id of the snapshot"), engine}, rdsCredentials()),
		},
		{
			Name: "ExportRDSSnapshotToLocation", Summary: "dumps the databases of an RDS snapshot to the profile's store", Resume: Idempotent, Pod: true,
			Args: args([]Argument{
				required(argNamespace, Text, "where the pod runs that dumps"),
				required(argInstanceID, Text, "the instance that the snapshot is of"),
				required(argSnapshotID, Text, "the id of the snapshot"),
				{Name: argEngine, Type: Text, Required: true, Doc: "the engine; PostgreSQL can be dumped"},
				optional("username", Text, "", "the user of the database"),
				optional("password", Text, "", "the user's password"),
				optional(argPrefix, Text, "instanceID", "the path in the profile's bucket"),
				optional("databases", YAMLList, "all", "the databases to dump"),
				groups, subnets, image,
			}, podMeta, rdsCredentials()),
			Outputs: []Output{
				{argSnapshotID, "the id of the snapshot"},
				{argInstanceID, "the instance"},
				{outSecurityGroups, "its VPC security groups, a list as YAML text"},
				{outBackupID, "the name of the dump below backupArtifactPrefix"},
			},
		},
		{
			Name: "RestoreRDSSnapshot", Summary: "restores an RDS instance from a snapshot, or its databases from a dump", Resume: Idempotent, Pod: true,
			Args: args([]Argument{
				required(argInstanceID, Text, "the instance; one that is there is replaced when snapshotID is given"),
				optional(argSnapshotID, Text, "", "the id of the snapshot; without it the dump is restored"),
				optional(argPrefix, Text, "", "the path of the dump in the profile's bucket"),
				optional(outBackupID, Text, "", "the name of the dump"),
				optional("username", Text, "", "the user of the database"),
				optional("password", Text, "", "the user's password"),
				optional(argNamespace, Text, "", "where the pod runs that restores a dump"),
				engine, groups, subnets, image,
			}, podMeta, rdsCredentials()),
			Outputs: []Output{{"endpoint", "the address of the instance, when a dump was restored"}},
		},
	}
}
