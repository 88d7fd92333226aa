package blueprint

import "strings"

// FunctionGroup is a list of functions that templates may call. docs/templates.md is
// made from these, and a test compares them with what the engine knows.
type FunctionGroup struct {
	Title string
	Names []string
	// New: Kanister does not have them.
	New bool
}

// TemplateFunctions are all functions of templates, but for text/template's own.
func TemplateFunctions() []FunctionGroup {
	return []FunctionGroup{
		{Title: "text", Names: strings.Fields(`abbrev abbrevboth camelcase cat contains hasPrefix hasSuffix indent initials
			kebabcase lower nindent nospace plural quote repeat replace shuffle snakecase squote substr swapcase title trim
			trimAll trimPrefix trimSuffix trimall trunc untitle upper wrap wrapWith toString toStrings regexFind regexFindAll
			regexMatch regexReplaceAll regexReplaceAllLiteral regexSplit`)},
		{Title: "time", Names: strings.Fields(`ago date dateInZone dateModify date_in_zone date_modify htmlDate htmlDateInZone
			now toDate unixEpoch`)},
		{Title: "data", Names: strings.Fields(`toJson toPrettyJson b64enc b64dec b32enc b32dec dict set unset hasKey keys values
			pick omit pluck merge mergeOverwrite deepCopy list tuple append push prepend concat first last rest initial reverse
			uniq without has join split splitList splitn sortAlpha slice compact default empty coalesce ternary`)},
		{Title: "numbers", Names: strings.Fields(`int int64 float64 atoi toDecimal add add1 sub mul div mod max biggest min ceil
			floor round until untilStep`)},
		{Title: "other", Names: strings.Fields(`base dir ext clean isAbs urlParse urlJoin semver semverCompare uuidv4 randAlpha
			randAlphaNum randAscii randNumeric sha1sum sha256sum adler32sum fail hello typeOf typeIs typeIsLike kindOf kindIs
			deepEqual genPrivateKey genCA genSignedCert genSelfSignedCert buildCustomCert encryptAES decryptAES`)},
		{Title: "not in Kanister", Names: strings.Fields(extra), New: true},
	}
}
