// Package schema makes JSON Schemas of Salvor's resources, for editors and for whoever
// checks manifests without Salvor: "salvor schema".
//
// They are of draft 7, which every editor's YAML support takes. The form of the
// resources comes from the CRDs (crds/, written by "make generate"); what each function
// takes is added from the catalogue of package blueprint, so a new argument is known to
// editors at once. Arguments are as lenient as the functions are: a number for text, one
// value for a list, and a template for anything.
package schema
