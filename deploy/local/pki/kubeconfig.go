package pki

import (
	"encoding/base64"
	"fmt"
)

// Kubeconfig renders a kubeconfig with everything inside, so that the file can
// be copied anywhere on the machine.
func Kubeconfig(server, user string, ca []byte, client Pair) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: salvor-local
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %[3]s
  user:
    client-certificate-data: %[4]s
    client-key-data: %[5]s
contexts:
- name: salvor-local
  context:
    cluster: salvor-local
    user: %[3]s
current-context: salvor-local
`, server, encode(ca), user, encode(client.Cert), encode(client.Key))
}
