// Package eventschema generates what describes Salvor's events to others, from the Go
// types and their comments: the JSON Schemas in api/event/schema and the AsyncAPI
// document docs/asyncapi.yaml. The list of types below is the register of both.
//
// `make generate` writes them, and a test fails when they are not what would be
// written.
package eventschema
