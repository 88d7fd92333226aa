package blueprint

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sprig2 are the functions of sprig 2.22, with which Kanister renders templates.
const sprig2 = `
	hello
	date date_in_zone date_modify now htmlDate htmlDateInZone dateInZone dateModify ago toDate unixEpoch
	abbrev abbrevboth trunc trim upper lower title untitle substr repeat trimall trimAll trimSuffix trimPrefix nospace initials
	randAlphaNum randAlpha randAscii randNumeric swapcase shuffle snakecase camelcase kebabcase wrap wrapWith
	contains hasPrefix hasSuffix quote squote cat indent nindent replace plural
	sha1sum sha256sum adler32sum toString
	atoi int64 int float64 toDecimal
	split splitList splitn toStrings until untilStep
	add1 add sub div mod mul biggest max min ceil floor round
	join sortAlpha
	default empty coalesce compact deepCopy toJson toPrettyJson ternary
	typeOf typeIs typeIsLike kindOf kindIs deepEqual
	base dir clean ext isAbs
	b64enc b64dec b32enc b32dec
	tuple list dict get set unset hasKey pluck keys pick omit merge mergeOverwrite values
	append push prepend first rest last initial reverse uniq without has slice concat
	genPrivateKey genCA genSelfSignedCert genSignedCert buildCustomCert encryptAES decryptAES
	uuidv4 semver semverCompare fail
	regexMatch regexFindAll regexFind regexReplaceAll regexReplaceAllLiteral regexSplit
	urlParse urlJoin`

// Whatever a blueprint may call in Kanister it may call here, but for the functions
// that docs/compatibility.md says are not there.
func TestFunctionsOfSprig2AreThere(t *testing.T) {
	t.Parallel()
	for name := range strings.FieldsSeq(sprig2) {
		_, err := newEngine().parse("{{ " + name + " }}")
		assert.NoError(t, err, name)
	}
	for name := range strings.FieldsSeq("env expandenv getHostByName bcrypt htpasswd derivePassword") {
		_, err := newEngine().parse("{{ " + name + " }}")
		require.ErrorContains(t, err, "not defined", name)
	}
}
