// Package arg turns the rendered arguments of a phase into a function's own
// struct. It is as lenient as Kanister (mapstructure's weak decoding), because
// blueprints rely on it: one string is a list of one, "true" is a bool, "3" is a
// number and 3 is a text.
//
//	args := struct {
//		Image   string   `mapstructure:"image" arg:"required"`
//		Command []string `mapstructure:"command" arg:"required"`
//		Wait    bool     `mapstructure:"waitForReady"`
//	}{Wait: true} // defaults are what the struct holds before
//	err := arg.Decode(call.Args, &args)
//
// Names that the struct does not have are ignored: which arguments a function
// takes is its blueprint.Signature's matter and was checked before.
//
// An error names the argument and what it should be, but never its value, which
// may have been rendered from a Secret.
package arg
