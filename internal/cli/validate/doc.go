// Package validate checks a Blueprint, a Profile or an ActionTrigger before it is used: "salvor
// validate", with the flags of kanctl.
package validate
