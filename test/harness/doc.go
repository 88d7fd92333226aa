// Package harness drives a cluster the way a person does: with the kubectl, helm
// and salvor programs. The demo and the end-to-end tests are written on it.
package harness
