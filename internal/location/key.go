package location

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxKey is the longest key, in bytes, that every supported store takes.
const maxKey = 1024

var errNoPath = errors.New("the path is empty; name the object or folder to delete (is a variable in the script unset?)")

// clean brings a path into the form it has in a key.
func clean(p string) string {
	return strings.TrimPrefix(path.Clean("/"+p), "/")
}

// Key returns the key of the object at path: the profile's prefix joined with it.
func (l *Location) Key(p string) (string, error) {
	for _, part := range []string{l.prefix, p} {
		if err := checkPath(part); err != nil {
			return "", err
		}
	}
	key := clean(path.Join(l.prefix, p))
	switch {
	case key == "":
		return "", errors.New("the path is empty and the profile has no prefix; pass --path")
	case len(key) > maxKey:
		return "", fmt.Errorf("path %.40q… has a key of %d bytes; the limit is %d", p, len(key), maxKey)
	}
	return key, nil
}

// CheckPrefix says what is wrong with the prefix of a profile.
func CheckPrefix(prefix string) error { return checkPath(prefix) }

// checkPath refuses what a driver would escape, so that a key is the same
// everywhere, and what would leave the prefix.
func checkPath(p string) error {
	switch {
	case !utf8.ValidString(p):
		return fmt.Errorf("path %q is not UTF-8", p)
	case strings.ContainsFunc(p, unicode.IsControl):
		return fmt.Errorf("path %q holds a control character; remove it (a line break from a command's output?)", p)
	}
	for element := range strings.SplitSeq(p, "/") {
		if strings.HasSuffix(element, "..") {
			return fmt.Errorf("path %q has an element that ends in \"..\"; write the path without it", p)
		}
	}
	return nil
}

// What gocloud's drivers write in another way into an object's name, beside what
// checkPath refuses. Reading and listing go through them, so writing has to agree.
var (
	s3Special    = regexp.MustCompile(`__0x[0-9a-fA-F]+__`)
	azureSpecial = regexp.MustCompile(`[\\"#%?]|__0x[0-9a-fA-F]+__`)
)

// nameIn returns the name an object has in the store; special is one of the above.
func nameIn(special *regexp.Regexp, key string) string {
	return special.ReplaceAllStringFunc(key, func(found string) string {
		return fmt.Sprintf("__0x%x__%s", found[0], found[1:])
	})
}
