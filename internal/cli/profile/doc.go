// Package profile makes Profiles and their Secrets from a command line: "salvor
// create profile s3compliant|gcp|azure", with the flags of kanctl.
//
// Keys can be read from a file or the standard input, because what stands on a
// command line is seen by everybody who may list processes, and stays in the
// shell's history. The resources are checked for form only; whether the bucket
// can be reached is a question for the cluster, where the endpoint is.
package profile
