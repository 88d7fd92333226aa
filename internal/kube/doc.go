// Package kube makes the clients that talk to the API server: client-go's own,
// and typed ones for the resources of cr.kanister.io and salvor.io. One set of
// clients is made per process and shared, so that one rate limit and one set of
// connections hold for all.
package kube
