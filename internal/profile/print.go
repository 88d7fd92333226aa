package profile

import "fmt"

// hidden stands for a value that is not shown.
const hidden = "[hidden]"

// String describes the profile without its credential.
func (p Profile) String() string {
	return fmt.Sprintf("profile(%v, %v)", p.Location, p.Credential)
}

// GoString is String, so that %#v shows no more.
func (p Profile) GoString() string { return p.String() }

// String describes the location.
func (l Location) String() string {
	s := fmt.Sprintf("%s bucket %q", l.Type, l.Bucket)
	if l.Prefix != "" {
		s += fmt.Sprintf(" prefix %q", l.Prefix)
	}
	if l.Endpoint != "" {
		s += fmt.Sprintf(" endpoint %q", l.Endpoint)
	}
	return s
}

// String says which type of credential it is, and no more.
func (c Credential) String() string {
	if c.Ambient() {
		return "no credential"
	}
	return fmt.Sprintf("%s credential %s", c.Type, hidden)
}

// GoString is String, so that %#v shows no more.
func (c Credential) GoString() string { return c.String() }

// String hides both parts.
func (KeyPair) String() string { return hidden }

// GoString is String, so that %#v shows no more.
func (KeyPair) GoString() string { return hidden }

// String names the Secret and hides its data.
func (s Secret) String() string {
	return fmt.Sprintf("secret %s/%s %s", s.Namespace, s.Name, hidden)
}

// GoString is String, so that %#v shows no more.
func (s Secret) GoString() string { return s.String() }

// String hides everything.
func (KopiaServerSecret) String() string { return hidden }

// GoString is String, so that %#v shows no more.
func (KopiaServerSecret) GoString() string { return hidden }
