package rds

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/awsconf"
	"github.com/salvor-io/salvor/internal/profile"
	"github.com/salvor-io/salvor/runner/function"
)

// credentials are the arguments that say who asks AWS.
type credentials struct {
	Source string `mapstructure:"credentialsSource"`
	Secret string `mapstructure:"credentialsSecret"`
	Region string `mapstructure:"region"`
}

// The values of credentialsSource.
const (
	sourceProfile        = "profile"
	sourceSecret         = "secret"
	sourceServiceAccount = "serviceaccount"
)

// config is the configuration of a client.
func (c *credentials) config(ctx context.Context, call *function.Call) (aws.Config, error) {
	p, err := call.Values.Profile()
	if err != nil {
		return aws.Config{}, err
	}
	o := awsconf.Options{Region: c.Region, Endpoint: call.RDSEndpoint}
	if o.Region == "" && p != nil {
		o.Region = p.Location.Region
	}
	switch strings.ToLower(c.Source) {
	case "", sourceProfile:
		if p == nil {
			return aws.Config{}, function.Errorf(event.ReasonInvalid,
				"the action has no profile to take the credential of AWS from; set profile in the ActionSet, or credentialsSource to secret or serviceAccount")
		}
		o.Credential = p.Credential
	case sourceSecret:
		if o.Credential, err = c.ofSecret(call); err != nil {
			return aws.Config{}, err
		}
	case sourceServiceAccount: // the zero credential
	default:
		return aws.Config{}, function.Errorf(event.ReasonInvalid, "argument credentialsSource must be profile, secret or serviceAccount")
	}
	if err := call.MayUse(o.Credential); err != nil {
		return aws.Config{}, err
	}
	cfg, err := awsconf.Load(ctx, o)
	if err != nil {
		return aws.Config{}, &function.Error{Reason: event.ReasonInvalid, Err: err}
	}
	return cfg, nil
}

func (c *credentials) ofSecret(call *function.Call) (profile.Credential, error) {
	if c.Secret == "" {
		return profile.Credential{}, function.Errorf(event.ReasonInvalid,
			"argument credentialsSecret is missing; with credentialsSource secret it names one of the ActionSet's secrets or of the phase's objects")
	}
	secret, err := call.Values.Secret(c.Secret)
	if err != nil {
		return profile.Credential{}, err
	}
	if secret == nil {
		return profile.Credential{}, function.Errorf(event.ReasonInvalid,
			"argument credentialsSecret: neither the ActionSet's secrets nor the phase's objects have %q", c.Secret)
	}
	return profile.Credential{Type: profile.CredentialSecret, Secret: &profile.Secret{
		ObjectMeta: profile.ObjectMeta{Namespace: secret.Namespace, Name: secret.Name}, Type: string(secret.Type), Data: secret.Data,
	}}, nil
}
