package blueprint

// What the functions that keep files in a restic repository share.
const (
	argPrefix    = "backupArtifactPrefix"
	outVersion   = "version"
	outBackupID  = "backupID"
	outBackupTag = "backupTag"
	outFileCount = "fileCount"
	outSize      = "size"
	outFreed     = "spaceFreed"
)

func resticNamespace() Argument { return required(argNamespace, Text, "where the pods run") }

func resticPrefix() Argument {
	return required(argPrefix, Text, "the path of the repository in the profile's bucket; the bucket's name may stand before it")
}

// resticOptions are the arguments that all of them take.
func resticOptions() []Argument {
	return []Argument{
		optional("encryptionKey", Text, "Kanister's public one, which protects nothing", "the repository's password"),
		optional("insecureTLS", Bool, "the profile's skipSSLVerify", "whether any certificate of the store is accepted"),
	}
}

// toolsImage is the image of the pod; some of Kanister's functions demand it.
func toolsImage() Argument {
	return optional("image", Text, "the tools image (flag --tools-image)", "an image with a shell, restic and kando")
}

func spaceFreed() []Output { return []Output{{outFreed, "how much was freed, as 123 B"}} }

func reclaimSpace() Argument {
	return optional("reclaimSpace", Bool, "false", "whether data that no backup needs is removed from the store (restic prune)")
}

func resticSignatures() []Signature {
	return []Signature{
		{
			Name: "BackupData", Summary: "backs up a folder of a running container, with restic in that container", Resume: Once,
			Args: args([]Argument{
				required(argNamespace, Text, "the namespace of the pod"),
				required("pod", Text, "the pod"),
				required("container", Text, "the container; it has a shell and restic"),
				required("includePath", Text, "the folder to back up, or several as words of a shell"),
				resticPrefix(),
			}, resticOptions()),
			Outputs: []Output{
				{outBackupID, "the snapshot's id"},
				{outBackupTag, "the snapshot's tag"},
				{outFileCount, "how many files it has"},
				{outSize, "how large they are"},
				{"phySize", "how much was added to the store"},
				{outVersion, "the version of the function"},
			},
		},
		{
			Name: "BackupDataAll", Summary: "does BackupData in several pods", Resume: Once,
			Args: args([]Argument{
				required(argNamespace, Text, "the namespace of the pods"),
				required("container", Text, "the container of each; it has a shell and restic"),
				required("includePath", Text, "the folder to back up, or several as words of a shell"),
				resticPrefix(),
				optional("pods", Text, "the pods of the ActionSet's object", "names of pods, with spaces between"),
			}, resticOptions()),
			Outputs: []Output{
				{"BackupAllInfo", "a JSON text: by pod, its PodName, BackupID and BackupTag"},
				{outVersion, "the version of the function"},
			},
		},
		{
			Name: "BackupDataStats", Summary: "tells how large a backup is", Resume: Adoptable, Pod: true,
			Args: args([]Argument{
				resticNamespace(),
				resticPrefix(),
				required("backupID", Text, "the snapshot's id"),
				toolsImage(),
				optional("statsMode", Text, "restore-size", "what is counted, as restic stats --mode takes it"),
			}, resticOptions()[:1], podArgs()),
			Outputs: []Output{
				{"mode", "what was counted"},
				{outFileCount, "how many files"},
				{outSize, "how large"},
				{outVersion, "the version of the function"},
			},
		},
		{
			Name: "CheckRepository", Summary: "looks whether a repository is there and opens with the password", Resume: Adoptable, Pod: true,
			Args: args([]Argument{resticPrefix(), toolsImage()}, resticOptions(), podArgs()),
			Outputs: []Output{
				{"passwordIncorrect", "true or false"},
				{"repoUnavailable", "true or false"},
				{outVersion, "the version of the function"},
			},
		},
		{
			Name: "CopyVolumeData", Summary: "backs up a claim, with restic in a new pod that mounts it", Resume: Adoptable, Pod: true,
			Args: args([]Argument{
				resticNamespace(),
				required("volume", Text, "the name of the claim"),
				required("dataArtifactPrefix", Text, "the path of the repository in the profile's bucket"),
				toolsImage(),
				optional("mountPath", Text, "/mnt/vol_data/<claim>", "where the claim is mounted, which is the path inside of the backup"),
			}, resticOptions(), podArgs()),
			Outputs: []Output{
				{outBackupID, "the snapshot's id"},
				{"backupRoot", "the path inside of the backup"},
				{"backupArtifactLocation", "the path of the repository"},
				{outBackupTag, "the snapshot's tag"},
				{outFileCount, "how many files it has"},
				{outSize, "how large they are"},
				{"phySize", "how much was added to the store"},
				{outVersion, "the version of the function"},
			},
		},
		{
			Name: "DeleteData", Summary: "deletes a backup", Resume: Adoptable, Pod: true,
			Args: args([]Argument{
				resticNamespace(),
				resticPrefix(),
				toolsImage(),
				optional("backupID", Text, "", "the snapshot's id; this or backupTag is needed"),
				optional(outBackupTag, Text, "", "the snapshot's tag"),
				reclaimSpace(),
			}, resticOptions(), podArgs()),
			Outputs: spaceFreed(),
		},
		{
			Name: "DeleteDataAll", Summary: "deletes what BackupDataAll made", Resume: Adoptable, Pod: true,
			Args: args([]Argument{
				resticNamespace(),
				resticPrefix(),
				required("backupInfo", Text, "BackupAllInfo of BackupDataAll"),
				toolsImage(),
				reclaimSpace(),
			}, resticOptions(), podArgs()),
			Outputs: spaceFreed(),
		},
		{
			Name: "RestoreData", Summary: "restores a backup into volumes, with restic in a new pod that mounts them", Resume: Adoptable, Pod: true, Markers: true,
			Args: args([]Argument{
				resticNamespace(),
				required("image", Text, "an image with a shell, restic and kando"),
				resticPrefix(),
				optional("restorePath", Text, "/", "where to restore to"),
				optional("backupPath", Text, "", "a folder inside of the backup, which is restored without the path before it; needs restic 0.16"),
				optional("pod", Text, "", "the pod whose volumes are mounted; this or volumes is needed"),
				optional("volumes", Map, "", "where each claim is mounted, by the claim's name"),
				optional(outBackupTag, Text, "", "the snapshot's tag; this or backupIdentifier is needed"),
				optional("backupIdentifier", Text, "", "the snapshot's id"),
			}, resticOptions(), podArgs()),
		},
		{
			Name: "RestoreDataAll", Summary: "restores what BackupDataAll made, each pod's into its volumes", Resume: Idempotent, Pod: true, Markers: true,
			Args: args([]Argument{
				resticNamespace(),
				required("image", Text, "an image with a shell, restic and kando"),
				resticPrefix(),
				required("backupInfo", Text, "BackupAllInfo of BackupDataAll"),
				optional("restorePath", Text, "/", "where to restore to"),
				optional("pods", Text, "the running pods of the ActionSet's object, or else those of backupInfo", "names of pods, with spaces between"),
			}, resticOptions(), podArgs()),
		},
	}
}
