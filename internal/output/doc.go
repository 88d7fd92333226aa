// Package output reads and writes phase outputs: how a program in a pod hands
// values to the phases after it. The only transport is the program's log. A
// line
//
//	###Phase-output###: {"key":"K","value":"V"}
//
// publishes one value, and every other line is a log line. Blueprints and the
// kando tool of Kanister speak this protocol, so its corners are kept as they
// were measured there: the marker may stand anywhere in a line, what is before
// it is logged, no space is needed after it, nothing after it is ignored, the
// last value of a key wins, a missing key is the key "", and what is not one
// JSON object with a string value fails the phase.
//
// The log of a pod arrives in pieces that end anywhere, also inside a marker, and
// has no end that one could wait for. So Parser takes bytes as they come and
// keeps three things only: the line being assembled, the last lines for error
// messages, and the values. Each has a bound:
//
//   - A line without a marker is handed on whole or, above MaxLine, replaced by a
//     note. It is never cut, because the caller replaces secret values in whole
//     lines, and half of one would slip through.
//   - A marker with its value may be MaxValue long, and all values together
//     MaxTotal. More is an error and not a cut value: a backup whose manifest is
//     truncated in silence cannot be restored.
//
// Errors name the number of the line and, where it is known, the key, but never
// a part of the value.
package output
