// Package schema prints JSON Schemas of Salvor's resources: "salvor schema".
package schema
