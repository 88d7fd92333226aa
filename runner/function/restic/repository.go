package restic

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/awsconf"
	"github.com/salvor-io/salvor/internal/profile"
	"github.com/salvor-io/salvor/runner/function"
)

// What restic reads from its environment.
const (
	envRepository = "RESTIC_REPOSITORY"
	envPassword   = "RESTIC_PASSWORD"
	// envInsecure has the scripts pass --insecure-tls.
	envInsecure = "SALVOR_INSECURE_TLS"
	// envGoogle is written to a file by the scripts, since restic takes no other form.
	envGoogle = "SALVOR_GOOGLE_CREDENTIALS"
	// envAuthorities is PEM, which the scripts write to a file too.
	envAuthorities = "SALVOR_CA_BUNDLE"

	envKeyID   = "AWS_ACCESS_KEY_ID"
	envKey     = "AWS_SECRET_ACCESS_KEY"
	envSession = "AWS_SESSION_TOKEN"
)

// defaultPassword is the one of Kanister when no encryptionKey is given. Everybody can
// know it.
func defaultPassword() string {
	sum := sha256.Sum256([]byte("testpassword"))
	return hex.EncodeToString(sum[:])
}

// access is how repositories of a call are reached.
type access struct {
	profile  *profile.Profile
	password string
	insecure bool
}

// accessOf reads the profile of the call. Without an encryptionKey it is Kanister's.
// A key loses the white space around it, which Kanister's shell takes away too: a key
// from a Secret often ends in a newline.
func accessOf(call *function.Call, common *commonArgs) (*access, error) {
	p, err := call.Values.Profile()
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, function.Errorf(event.ReasonInvalid, "the ActionSet names no profile; set spec.actions[].profile, which says where backups are kept")
	}
	switch p.Location.Type {
	case profile.LocationS3, profile.LocationGCS, profile.LocationAzure:
	case profile.LocationFilestore, profile.LocationKopia:
		return nil, function.Errorf(event.ReasonInvalid, "the profile's location type %q holds no restic repositories; use s3Compliant, gcs or azure", p.Location.Type)
	}
	if err := p.Validate(); err != nil {
		return nil, function.Errorf(event.ReasonInvalid, "%w", err)
	}
	a := &access{profile: p, password: defaultPassword(), insecure: p.SkipSSLVerify}
	if common.InsecureTLS != nil {
		a.insecure = *common.InsecureTLS
	}
	if common.EncryptionKey != nil {
		if a.password = strings.TrimSpace(*common.EncryptionKey); a.password == "" {
			return nil, function.Errorf(event.ReasonInvalid, "argument encryptionKey is empty; leave it out, or name a key")
		}
	}
	return a, nil
}

// location is the path of a repository with the bucket before it, which the prefix may
// have already.
func (a *access) location(prefix string) string {
	if first, _, _ := strings.Cut(prefix, "/"); first == a.profile.Location.Bucket {
		return prefix
	}
	return path.Join(a.profile.Location.Bucket, prefix)
}

// url is the repository as restic names it.
func (a *access) url(location string) string {
	switch a.profile.Location.Type {
	case profile.LocationGCS:
		return "gs:" + strings.Replace(location, "/", ":/", 1) + "/"
	case profile.LocationAzure:
		return "azure:" + strings.Replace(location, "/", ":/", 1) + "/"
	case profile.LocationS3, profile.LocationFilestore, profile.LocationKopia: // the last two are refused before
	}
	endpoint := strings.TrimRight(a.profile.Location.Endpoint, "/")
	if endpoint == "" {
		endpoint = "s3.amazonaws.com"
	}
	return "s3:" + endpoint + "/" + location
}

// env is restic's environment for a repository.
func (a *access) env(ctx context.Context, location string) (map[string]string, error) {
	env, err := a.credentials(ctx)
	if err != nil {
		return nil, err
	}
	env[envRepository] = a.url(location)
	env[envPassword] = a.password
	env[envAuthorities] = a.profile.CABundle
	if a.insecure {
		env[envInsecure] = "true"
	}
	maps.DeleteFunc(env, func(_, value string) bool { return value == "" })
	return env, nil
}

// credentials is what opens the store. A profile without any leaves it to restic to find
// the identity of the pod's service account. White space around a key is taken away, as
// Kanister's shell does: a Secret that was made from a file often ends in a newline.
func (a *access) credentials(ctx context.Context) (map[string]string, error) {
	c := a.profile.Credential
	var pair profile.KeyPair
	if c.Type == profile.CredentialKeyPair && c.KeyPair != nil {
		pair = *c.KeyPair
	}
	data := map[string][]byte{}
	if c.Type == profile.CredentialSecret && c.Secret != nil {
		data = c.Secret.Data
	}
	get := func(first, key string) string { return strings.TrimSpace(cmp.Or(first, string(data[key]))) }
	switch a.profile.Location.Type {
	case profile.LocationGCS:
		return map[string]string{
			"GOOGLE_PROJECT_ID": get(pair.ID, profile.GCPProjectID),
			envGoogle:           get(pair.Secret, profile.GCPServiceKey),
		}, nil
	case profile.LocationAzure:
		return map[string]string{
			"AZURE_ACCOUNT_NAME":    get(pair.ID, profile.AzureStorageAccount),
			"AZURE_ACCOUNT_KEY":     get(pair.Secret, profile.AzureStorageKey),
			"AZURE_ENDPOINT_SUFFIX": azureSuffix(get("", profile.AzureStorageEnvironment)),
		}, nil
	case profile.LocationS3, profile.LocationFilestore, profile.LocationKopia: // the last two are refused before
	}
	if get("", profile.AWSRole) != "" {
		if get("", profile.AWSAccessKeyID) == "" {
			return nil, function.Errorf(event.ReasonInvalid,
				"the Secret of the profile has a %s and no %s; give it keys that may assume the role, or leave the credential out for the identity of the pod's service account",
				profile.AWSRole, profile.AWSAccessKeyID)
		}
		return a.role(ctx)
	}
	return map[string]string{
		envKeyID:   get(pair.ID, profile.AWSAccessKeyID),
		envKey:     get(pair.Secret, profile.AWSSecretAccessKey),
		envSession: get("", profile.AWSSessionToken),
	}, nil
}

// roleDuration is Kanister's, and the most that every role allows.
const roleDuration = time.Hour

// role assumes the role that the credential names; restic cannot do that by itself. It
// is done here, in the runner, and the pod gets what comes of it: so never with Salvor's
// own identity, of which a tenant would get every role that it may assume.
func (a *access) role(ctx context.Context) (map[string]string, error) {
	l := &a.profile.Location
	config, err := awsconf.Load(ctx, awsconf.Options{
		Credential: a.profile.Credential, RoleDuration: roleDuration, Region: l.Region, Endpoint: l.Endpoint,
		SkipTLSVerify: a.insecure, CA: []byte(a.profile.CABundle),
	})
	if err != nil {
		return nil, function.Errorf(event.ReasonInvalid, "%w", err)
	}
	keys, err := config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("assume the role of the profile: %w", err)
	}
	return map[string]string{envKeyID: keys.AccessKeyID, envKey: keys.SecretAccessKey, envSession: keys.SessionToken}, nil
}

// azureSuffix is where the accounts of an Azure cloud are; restic knows the public one.
func azureSuffix(environment string) string {
	switch strings.ToUpper(environment) {
	case "AZUREUSGOVERNMENTCLOUD", "AZUREUSGOVERNMENT":
		return "core.usgovcloudapi.net"
	case "AZURECHINACLOUD", "AZURECHINA":
		return "core.chinacloudapi.cn"
	}
	return ""
}

// stdinEnd is the line after the last assignment.
const stdinEnd = "#salvor-end"

// assignments is an environment for a shell to read, so that it is in no command line.
func assignments(env map[string]string) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		text.WriteString("export " + name + "='" + strings.ReplaceAll(env[name], "'", `'\''`) + "'\n")
	}
	return text.String() + stdinEnd + "\n"
}

// tagLetters are those of Kanister's tags, which are random.
const tagLetters = "bcdfghjklmnpqrstvwxz2456789"

// tag is the tag of the snapshots of a phase, or of one of its pods: the same for every
// attempt.
func tag(k event.Key, pod string) string {
	k.Attempt = 0
	sum := sha256.Sum256([]byte(k.String() + "/" + pod))
	letters := make([]byte, 10)
	for i := range letters {
		letters[i] = tagLetters[int(sum[i])%len(tagLetters)]
	}
	return string(letters)
}
