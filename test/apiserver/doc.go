// Package apiserver proves the generated CRDs on a real API server: what a
// Kanister user has is accepted, what can never run is refused with a message.
package apiserver
