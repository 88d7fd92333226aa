// Package admission generates what the chart's ValidatingAdmissionPolicies know of the
// functions: deploy/chart/files/admission/functions.cel, from the catalogue of package
// blueprint. The policies themselves are deploy/chart/templates/admission.yaml; their
// tests, on a real API server, are here.
//
// The API server evaluates the policies itself, so there is no webhook whose certificate
// can run out, and that must be up for a blueprint to be changed (Kanister's has both).
// The price is what CEL can do: it reads no template. What it refuses is therefore less
// than what "salvor validate" finds, and the dispatcher looks at everything again.
//
// Two rules keep the policies harmless. What Kanister would run is admitted. And only a
// change of the spec is looked at: whoever writes a status, a label or a finalizer of an
// object that was there before the policies is never refused.
package admission
