package app

import (
	"fmt"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/salvor-io/salvor/internal/kube"
)

// Kube finds the cluster as kubectl does: --kubeconfig, $KUBECONFIG,
// ~/.kube/config, and inside a pod its service account.
type Kube struct {
	Kubeconfig string
	Context    string
	Namespace  string
}

// BindFlags defines the flags of the root command.
func (k *Kube) BindFlags(fs *pflag.FlagSet) {
	fs.StringVar(&k.Kubeconfig, "kubeconfig", "", "path of the kubeconfig (default: $KUBECONFIG, then ~/.kube/config, then the pod's service account)")
	fs.StringVar(&k.Context, "context", "", "context of the kubeconfig (default: its current context)")
	fs.StringVarP(&k.Namespace, "namespace", "n", "", "namespace (default: that of the kubeconfig's context, else \"default\")")
}

func (k *Kube) config() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = k.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{
		CurrentContext: k.Context,
		Context:        clientcmdapi.Context{Namespace: k.Namespace},
	}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
}

// Clients makes the clients, with the default rate limit.
func (k *Kube) Clients() (*kube.Clients, error) { return k.ClientsAt(0, 0) }

// Config is what the clients are made from.
func (k *Kube) Config() (*rest.Config, error) {
	config, err := k.config().ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, fmt.Errorf("no cluster is configured: set --kubeconfig or KUBECONFIG, or run inside a pod: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	return config, nil
}

// ClientsAt makes the clients with a rate limit in requests per second; 0 means
// the default.
func (k *Kube) ClientsAt(qps float32, burst int) (*kube.Clients, error) {
	config, err := k.Config()
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = qps, burst
	clients, err := kube.New(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return clients, nil
}

// CurrentNamespace is --namespace, else the context's, else "default".
func (k *Kube) CurrentNamespace() (string, error) {
	namespace, _, err := k.config().Namespace()
	if clientcmd.IsEmptyConfig(err) {
		return metav1.NamespaceDefault, nil // no kubeconfig at all; what needs a cluster says so
	}
	if err != nil {
		return "", fmt.Errorf("read the namespace of the kubeconfig: %w", err)
	}
	return namespace, nil
}
