package serve

import (
	"fmt"

	"github.com/spf13/pflag"
)

// bindRoles defines the flags of all roles on fs. A flag that two roles define
// under one name means the same to both, and sets both.
func bindRoles(fs *pflag.FlagSet, roles []Constructor) error {
	owner := map[string]string{}
	fs.VisitAll(func(f *pflag.Flag) { owner[f.Name] = "serve" })
	for _, role := range roles {
		if role.BindFlags == nil {
			continue
		}
		own := pflag.NewFlagSet(role.Name, pflag.ContinueOnError)
		role.BindFlags(own)
		var err error
		own.VisitAll(func(f *pflag.Flag) {
			existing := fs.Lookup(f.Name)
			switch {
			case existing == nil:
				owner[f.Name] = role.Name
				fs.AddFlag(f)
			case existing.Value.Type() != f.Value.Type() || existing.DefValue != f.DefValue:
				err = fmt.Errorf("the flag --%s means one thing to %s (%s, default %q) and another to %s (%s, default %q)", f.Name,
					owner[f.Name], existing.Value.Type(), existing.DefValue, role.Name, f.Value.Type(), f.DefValue)
			default:
				existing.Value = both{existing.Value, f.Value}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// both is a value that sets two.
type both struct {
	pflag.Value

	other pflag.Value
}

// Set sets the two values.
func (b both) Set(text string) error {
	if err := b.Value.Set(text); err != nil {
		return err // pflag names the flag
	}
	return b.other.Set(text) // pflag names the flag
}
