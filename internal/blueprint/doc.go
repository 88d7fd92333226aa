// Package blueprint checks blueprints, resolves the parameters of their templates
// and renders them.
package blueprint
