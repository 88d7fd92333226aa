package profile

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/kube"
	wire "github.com/salvor-io/salvor/internal/profile"
)

// Shared are the flags of all "create" commands.
type Shared struct {
	DryRun, SkipValidation *bool
}

type creator struct {
	app    *app.App
	shared Shared
	where  location
}

// Command is "create profile".
func Command(a *app.App, shared Shared) *cobra.Command {
	c := &creator{app: a, shared: shared}
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "Create a Profile and the Secret with its keys",
		Long: `Create a Profile, which says where data goes, and the Secret with its keys. Keys
on a command line are seen by everybody who may list processes: prefer the
-file flags, where "-" is the standard input.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fmt.Errorf("which kind of store? s3compliant, gcp or azure; see: %s --help", cmd.CommandPath())
		},
	}
	fs := cmd.PersistentFlags()
	fs.StringVar(&c.where.name, "name", "", "name of the Profile (default: <kind>-profile-<random>)")
	fs.StringVarP(&c.where.bucket, "bucket", "b", "", "bucket or container (required; s3compliant with a --region may do without it, for the functions of RDS)")
	fs.StringVarP(&c.where.endpoint, "endpoint", "e", "", "URL of the server (default: the provider's own)")
	fs.StringVarP(&c.where.prefix, "prefix", "p", "", "prefix of every object's name")
	fs.StringVarP(&c.where.region, "region", "r", "", "region of the bucket")
	fs.BoolVar(&c.where.skipTLSVerify, "skip-SSL-verification", false, "accept any server certificate")
	cmd.AddCommand(c.s3(), c.gcp(), c.azure())
	return cmd
}

func (c *creator) s3() *cobra.Command {
	var key, role string
	secret := secretFlag{flag: "secret-key"}
	cmd := &cobra.Command{
		Use:     "s3compliant",
		Aliases: []string{"s3"},
		Short:   "Create a Profile for Amazon S3 or a server that speaks its protocol",
		Example: `  salvor create profile s3compliant --name backups --bucket backups --region eu-central-1 \
    --access-key AKIA… --secret-key-file ./secret-key

  # The secret from a password manager, never in the shell's history
  pass show s3/backups | salvor create profile s3compliant -b backups -e https://minio.example.com:9000 -a backup --secret-key-file -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if key == "" && secret.value == "" && secret.file == "" {
				if role != "" {
					return errors.New("--role needs --access-key and --secret-key-file: the keys that may assume it; a Profile without keys has the pod's own role")
				}
				return c.create(cmd.Context(), &access{location: kanister.LocationTypeS3Compliant, short: "s3", keyless: true})
			}
			if key == "" {
				return errors.New("--access-key is required with a secret key")
			}
			return c.keyed(cmd.Context(), &secret, key, extra{field: wire.AWSRole, value: role, whole: wire.SecretAWS}, &access{
				location: kanister.LocationTypeS3Compliant, short: "s3", idField: wire.AWSAccessKeyID, secretField: wire.AWSSecretAccessKey,
			})
		},
	}
	cmd.Flags().StringVarP(&key, "access-key", "a", "", "access key id; without keys the Profile has the identity of the pods (IRSA, pod identity)")
	cmd.Flags().StringVarP(&secret.value, "secret-key", "s", "", "secret access key; rather use --secret-key-file")
	cmd.Flags().StringVar(&secret.file, "secret-key-file", "", "file with the secret access key, - for the standard input")
	cmd.Flags().StringVarP(&role, "role", "R", "", "ARN of an AWS IAM role to assume")
	return cmd
}

func (c *creator) gcp() *cobra.Command {
	var project, file string
	cmd := &cobra.Command{
		Use:     "gcp",
		Aliases: []string{"gcs"},
		Short:   "Create a Profile for Google Cloud Storage",
		Example: `  salvor create profile gcp --bucket backups --project-id my-project --service-key ./service-account.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return c.create(cmd.Context(), &access{location: kanister.LocationTypeGCS, short: "gcp", keyless: true})
			}
			if project == "" {
				return errors.New("--project-id is required with a service key")
			}
			key, err := c.app.ReadSecret(file)
			if err != nil {
				return fmt.Errorf("--service-key: %w", err)
			}
			if !*c.shared.SkipValidation {
				if err := checkServiceKey(key); err != nil {
					return err
				}
			}
			return c.create(cmd.Context(), &access{
				location: kanister.LocationTypeGCS, short: "gcp", idField: wire.GCPProjectID, secretField: wire.GCPServiceKey,
				data: map[string]string{wire.GCPProjectID: project, wire.GCPServiceKey: key},
			})
		},
	}
	cmd.Flags().StringVarP(&project, "project-id", "a", "", "Google Cloud project")
	cmd.Flags().StringVarP(&file, "service-key", "s", "", "path of the service account's JSON key, - for the standard input; without it the Profile has the identity of the pods (GKE workload identity)")
	return cmd
}

func (c *creator) azure() *cobra.Command {
	var account, environment string
	secret := secretFlag{flag: "storage-key"}
	cmd := &cobra.Command{
		Use:     "azure",
		Short:   "Create a Profile for Azure Blob Storage",
		Example: `  salvor create profile azure --bucket backups --storage-account mystore --storage-key-file ./key`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if account == "" {
				return errors.New("--storage-account is required")
			}
			if secret.value == "" && secret.file == "" {
				return c.azureKeyless(cmd.Context(), account, environment)
			}
			return c.keyed(cmd.Context(), &secret, account, extra{field: wire.AzureStorageEnvironment, value: environment, whole: wire.SecretAzure}, &access{
				location: kanister.LocationTypeAzure, short: "azure", idField: wire.AzureStorageAccount, secretField: wire.AzureStorageKey,
			})
		},
	}
	cmd.Flags().StringVarP(&account, "storage-account", "a", "", "storage account (required)")
	cmd.Flags().StringVarP(&secret.value, "storage-key", "s", "", "key of the storage account; rather use --storage-key-file")
	cmd.Flags().StringVar(&secret.file, "storage-key-file", "", "file with the key of the storage account, - for the standard input; without a key the Profile has the identity of the pods (Azure workload identity)")
	cmd.Flags().StringVar(&environment, "storage-env", "", "Azure cloud, for example AzureUSGovernmentCloud (default: the public one)")
	return cmd
}

// extra is a third field of a Secret, which only one of a whole type may have.
type extra struct {
	field, value string
	whole        corev1.SecretType
}

// keyed creates a Profile that is opened with an id and a secret.
func (c *creator) keyed(ctx context.Context, secret *secretFlag, id string, e extra, x *access) error {
	value, err := secret.read(c.app)
	if err != nil {
		return err
	}
	x.data = map[string]string{x.idField: id, x.secretField: value}
	if e.value != "" {
		x.data[e.field] = e.value
		x.whole = e.whole
	}
	return c.create(ctx, x)
}

// azureKeyless names the storage account, and leaves the key to the identity of the pods.
func (c *creator) azureKeyless(ctx context.Context, account, environment string) error {
	data := map[string]string{wire.AzureStorageAccount: account, wire.AzureFederatedIdentity: "true"}
	if environment != "" {
		data[wire.AzureStorageEnvironment] = environment
	}
	return c.create(ctx, &access{location: kanister.LocationTypeAzure, short: "azure", whole: wire.SecretAzure, ambient: true, data: data})
}

func (c *creator) create(ctx context.Context, x *access) error {
	if err := c.where.validate(x.location); err != nil {
		return err
	}
	if c.where.forRDS(x.location) {
		c.app.Warnf("without --bucket the Profile is for the functions of RDS alone")
	}
	namespace, err := c.app.Kube.CurrentNamespace()
	if err != nil {
		return err
	}
	secret, profile := build(namespace, &c.where, x)
	if !*c.shared.SkipValidation {
		if err := c.check(ctx, x); err != nil {
			return err
		}
	}
	if *c.shared.DryRun {
		return c.print(secret, profile)
	}
	clients, err := c.app.Kube.Clients()
	if err != nil {
		return err
	}
	return c.apply(ctx, clients, secret, profile)
}

func (c *creator) print(secret *corev1.Secret, profile *kanister.Profile) error {
	second, err := yaml.Marshal(profile)
	if err != nil {
		return fmt.Errorf("print the Profile: %w", err)
	}
	if secret == nil {
		c.app.Printf("%s", second)
		return nil
	}
	first, err := yaml.Marshal(secret)
	if err != nil {
		return fmt.Errorf("print the Secret: %w", err)
	}
	c.app.Warnf("the output holds the keys in clear text")
	c.app.Printf("%s---\n%s", first, second)
	return nil
}

// apply creates both or none.
func (c *creator) apply(ctx context.Context, clients *kube.Clients, secret *corev1.Secret, profile *kanister.Profile) error {
	options := metav1.CreateOptions{FieldManager: "salvor-cli"}
	if secret == nil {
		if _, err := clients.Profiles(profile.Namespace).Create(ctx, profile, options); err != nil {
			return fmt.Errorf("create Profile %s/%s: %w", profile.Namespace, profile.Name, err)
		}
		c.app.Printf("profile '%s' created\n", profile.Name)
		return nil
	}
	secrets := clients.Kube.CoreV1().Secrets(secret.Namespace)
	if _, err := secrets.Create(ctx, secret, options); err != nil {
		return fmt.Errorf("create Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	if _, err := clients.Profiles(profile.Namespace).Create(ctx, profile, options); err != nil {
		err = fmt.Errorf("create Profile %s/%s: %w", profile.Namespace, profile.Name, err)
		if undo := secrets.Delete(context.WithoutCancel(ctx), secret.Name, metav1.DeleteOptions{}); undo != nil {
			err = fmt.Errorf("%w; its Secret %s could not be removed again: %w", err, secret.Name, undo)
		}
		return err
	}
	c.app.Printf("secret '%s' created\nprofile '%s' created\n", secret.Name, profile.Name)
	return nil
}
