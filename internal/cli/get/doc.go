// Package get lists ActionSets for a person or a program: "salvor get".
package get
