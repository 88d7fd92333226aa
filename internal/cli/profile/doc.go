// Package profile makes Profiles and their Secrets from a command line: "salvor
// create profile s3compliant|gcp|azure", with the flags of kanctl.
//
// Keys can be read from a file or the standard input, because what stands on a
// command line is seen by everybody who may list processes, and stays in the
// shell's history.
//
// Before anything is created the bucket is opened: listed, and written to below the
// prefix. An endpoint that only the cluster reaches needs --skip-validation. A Profile
// without keys is not checked: its identity is that of the pods, not of who creates it.
package profile
