package blueprint

import "slices"

// Field is one field of the data that templates see. docs/templates.md is made from
// these, and a test compares them with the data itself.
type Field struct {
	// Path as a template writes it. A name in angle brackets stands for any key:
	// .Options.<option>.
	Path string
	// Doc says what it is.
	Doc string
}

// FieldGroup is a part of the data that belongs together.
type FieldGroup struct {
	// Title names it; When says when it is there, if that is not always.
	Title, When string
	Fields      []Field
}

// workloadFields are those of the three kinds of workload, which have the same.
func workloadFields(name string) []Field {
	return []Field{
		{"." + name + ".Name", "its name"},
		{"." + name + ".Namespace", "its namespace"},
		{"." + name + ".Pods", "names of its running pods of the current revision, sorted"},
		{"." + name + ".Containers", "for each of `.Pods` a list of the names of its containers"},
		{"." + name + ".PersistentVolumeClaims.<pod>.<claim>", "the path at which the pod mounts the claim"},
	}
}

// phaseFields are what templates see of a phase.
func phaseFields(prefix, whose string) []Field {
	return []Field{
		{prefix + ".Secrets.<object>", "a whole Secret of `objects` of " + whose},
		{prefix + ".ConfigMaps.<object>", "a whole ConfigMap of `objects` of " + whose},
		{prefix + ".Output.<key>", "what " + whose + " published"},
	}
}

// Fields is everything that templates see.
func Fields() []FieldGroup {
	return []FieldGroup{
		{Title: "The run", Fields: []Field{
			{".Time", "when the action started, RFC 3339 with nanoseconds, UTC; the same for all phases and attempts"},
			{".Options.<option>", "`options` of the ActionSet"},
			{".ArtifactsIn.<artifact>.KeyValue.<key>", "`artifacts` of the ActionSet, which are the output artifacts of an earlier one"},
			{".ArtifactsIn.<artifact>.KopiaSnapshot", "the same, for artifacts that are a Kopia snapshot"},
			{".ConfigMaps.<name>", "`configMaps` of the ActionSet, whole objects: `.ConfigMaps.location.Data.region`"},
			{".Secrets.<name>", "`secrets` of the ActionSet, whole objects; values are bytes: `.Secrets.db.Data.password \\| toString`"},
			{".PodOverride.<field>", "`podOverride` of the ActionSet"},
			{".PodLabels.<label>", "`podLabels` of the ActionSet"},
			{".PodAnnotations.<annotation>", "`podAnnotations` of the ActionSet"},
		}},
		{Title: "The object", When: "`.Object` is there always, each of the others for objects of its kind", Fields: objectFields()},
		{Title: "The profile", When: "when the ActionSet names a profile; `{{ toJson .Profile }}` is what `kando --profile` takes", Fields: profileFields()},
		{Title: "The phases", Fields: slices.Concat(
			phaseFields(".Phases.<phase>", "an earlier phase, or (but for `Output`) of the phase itself"),
			phaseFields(".CurrentPhase", "the phase itself; nil in the deferPhase"),
			phaseFields(".DeferPhase", "the deferPhase: in its arguments, and in artifacts"),
		)},
	}
}

func objectFields() []Field {
	fields := []Field{
		{".Object.<field>", "the object as the API server has it, without `managedFields`: `.Object.metadata.labels`, `.Object.spec`. In a Secret, `.Object.data.x` is base64"},
	}
	for _, kind := range []string{"StatefulSet", "Deployment", "DeploymentConfig"} {
		fields = append(fields, workloadFields(kind)...)
	}
	return append(fields,
		Field{".PVC.Name", "name of the claim, for an object of kind `pvc`"},
		Field{".PVC.Namespace", "its namespace"},
		Field{".Namespace.Name", "for an object of kind `namespace`: the reference's `namespace`, or its `name` when it has none"},
		Field{".Namespace.Namespace", "the same as `.Namespace.Name`"},
	)
}

func profileFields() []Field {
	return []Field{
		{".Profile.Location.Type", "s3Compliant, gcs, azure or filestore"},
		{".Profile.Location.Bucket", "the bucket, or container"},
		{".Profile.Location.Endpoint", "the URL of the store, empty for the provider's own"},
		{".Profile.Location.Prefix", "what every path begins with"},
		{".Profile.Location.Region", "the region of the bucket"},
		{".Profile.Credential.Type", "keyPair, secret or kopia"},
		{".Profile.Credential.KeyPair.ID", "access key id, storage account or project"},
		{".Profile.Credential.KeyPair.Secret", "secret key, storage key or service account key"},
		{".Profile.Credential.Secret", "the whole Secret: `.Profile.Credential.Secret.Data.role`"},
		{".Profile.Credential.KopiaServerSecret.Username", "user of a Kopia repository server"},
		{".Profile.Credential.KopiaServerSecret.Hostname", "the host that it knows the user by"},
		{".Profile.Credential.KopiaServerSecret.Password", "the user's password"},
		{".Profile.Credential.KopiaServerSecret.Cert", "the server's certificate"},
		{".Profile.Credential.KopiaServerSecret.ConnectOptions.<option>", "options of the connection, numbers"},
		{".Profile.SkipSSLVerify", "whether any server certificate is accepted"},
		{".Profile.CABundle", "PEM of the authorities to trust beside the system's; there only when the Profile names some"},
	}
}
