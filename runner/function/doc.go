// Package function is the seam between the runner and the functions that a
// blueprint can call. Each family of functions is a package below; each call
// gets a new value (a Factory), because Kanister's process-wide singletons mix
// the arguments of concurrent calls. The runner recovers panics, enforces
// cancel and reports; a function only does its work and returns.
//
// A function must be safe to call again for the same Key after its runner died
// at any instant, in the way that its blueprint.Signature declares.
package function
