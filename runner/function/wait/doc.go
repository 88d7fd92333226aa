// Package wait has the functions Wait and WaitV2: the phase ends when conditions
// on objects hold.
//
// The conditions under anyOf are asked first: one that holds ends the phase. Then
// those under allOf, which must all hold. The functions differ in how a condition
// is written:
//
//   - Wait: every { $.json.path } in the text is replaced by the value in the
//     object, as text, and what comes out is executed as a Go template with the
//     sprig functions and no data. "$.x" without braces is no path but a text.
//     Without a value at the path the condition does not hold.
//   - WaitV2: a Go template as kubectl's -o go-template, executed on the object,
//     with kubectl's functions exists and base64decode. Numbers are floats there.
//
// A condition holds if its output, without the space around it, is "true".
//
// Conditions are asked again and again of objects that anybody may write, so all
// of it is bounded: the templates by package blueprint, as those of arguments are,
// the paths here (path.go).
//
// Each object is followed by a watch (package object), and the conditions are
// asked when one changes; Kanister polls up to every ten seconds. A condition that
// cannot be evaluated does not hold, since the object, its fields and even its kind
// may still come; the error at the timeout says what was wrong last. What can never
// become right fails at once: a template or path with broken syntax, no condition
// at all, and what RBAC forbids.
//
// Nothing is written, so the functions may be run again; the timeout then begins
// anew.
package wait
