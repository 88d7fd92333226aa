// Package validate checks a Blueprint or a Profile before it is used: "salvor
// validate", with the flags of kanctl.
package validate
