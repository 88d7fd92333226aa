package location

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"gocloud.dev/gcerrors"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"
)

// maxCause bounds the text of a cause: some SDKs print whole responses.
const maxCause = 800

// reply is what a store answered: the status and the provider's own code.
type reply struct {
	status int
	code   string
}

func replyOf(err error) reply {
	var r reply
	var aws *smithyhttp.ResponseError
	var azure *azcore.ResponseError
	var google *googleapi.Error
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		r.code = api.ErrorCode()
	}
	switch {
	case errors.As(err, &aws):
		r.status = aws.HTTPStatusCode()
	case errors.As(err, &azure):
		r.status, r.code = azure.StatusCode, azure.ErrorCode
	case errors.As(err, &google):
		r.status = google.Code
	}
	return r
}

// isNotFound reports whether err says that an object, or its bucket, is not
// there. gocloud's own code says so also for some refusals and unknown hosts.
func isNotFound(err error) bool {
	if err == nil || gcerrors.Code(err) != gcerrors.NotFound {
		return false
	}
	status := replyOf(err).status
	return status == http.StatusNotFound || (status == 0 && !isNetwork(err))
}

// isMissing is isNotFound without the cases where the store says that it is the
// bucket. (A HEAD on S3 cannot tell; the list that follows does.)
func isMissing(err error) bool {
	switch replyOf(err).code {
	case "NoSuchBucket", string(bloberror.ContainerNotFound):
		return false
	}
	return isNotFound(err)
}

// transient tells whether the same request may succeed later: the store or the
// network had a problem, and nobody refused anything.
func transient(err error) bool {
	switch r := replyOf(err); r.status {
	case 0:
		return !isCertificate(err) && !errors.Is(err, context.Canceled)
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	case http.StatusBadRequest:
		return r.code == "RequestTimeout" // S3: the body did not arrive in time
	case http.StatusNotImplemented:
		return false
	default:
		return r.status >= http.StatusInternalServerError
	}
}

func isNetwork(err error) bool {
	var dial *net.OpError
	var dns *net.DNSError
	return errors.As(err, &dial) || errors.As(err, &dns)
}

func isCertificate(err error) bool {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	return errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host)
}

// hintFor says what to check, as far as the error tells.
func hintFor(err error, op string) string {
	var record tls.RecordHeaderError
	var token *oauth2.RetrieveError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errNoPath):
		return ""
	case isCertificate(err):
		return "the server's certificate is not trusted: check the endpoint, add the authority to the image, or set skipSSLVerify in the Profile"
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the endpoint speaks http, not https: check its scheme"
	case errors.As(err, &token):
		return "Google refused the service account key: check the profile's credential"
	case errors.Is(err, fs.ErrPermission):
		return "check that the user of the process may write to the directory"
	}
	if hint := hintForReply(replyOf(err), op); hint != "" {
		return hint
	}
	if isNetwork(err) {
		return "the store cannot be reached: check the profile's endpoint, DNS and network policies"
	}
	if isNotFound(err) {
		return "check the path, the profile's prefix and the bucket"
	}
	return ""
}

func hintForReply(r reply, op string) string {
	switch r.code {
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException":
		return "the bucket is in another region: check the profile's region and endpoint"
	case "RequestTimeTooSkewed":
		return "the clock of this node is wrong"
	case "NoSuchBucket", string(bloberror.ContainerNotFound):
		return "the bucket does not exist: check the profile's bucket and endpoint, or create it"
	}
	switch r.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "the store refused the credential: check the profile's credential and what it may do in this bucket"
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect:
		return "the bucket is in another region: check the profile's region and endpoint"
	case http.StatusNotFound:
		if op == "pull" {
			return "check the path, the profile's prefix and the bucket"
		}
		return "check that the profile's bucket exists"
	}
	return ""
}

// causeText is the text of an error, shorter where an SDK prints a page.
func causeText(err error) string {
	text := err.Error()
	if azure, ok := errors.AsType[*azcore.ResponseError](err); ok {
		// Its own text is a page with the whole response.
		text = fmt.Sprintf("Azure answered %d %s", azure.StatusCode, azure.ErrorCode)
	}
	var failed *url.Error
	if errors.As(err, &failed) && strings.Contains(text, "?") {
		text = fmt.Sprintf("%s: %v", failed.Op, failed.Err) // without the query
	}
	return text
}

// oneLine brings text onto one line of bounded length. What must not be shown has
// to be taken out before: a secret cut in half is not found any more.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxCause {
		text = strings.ToValidUTF8(text[:maxCause], "") + "…"
	}
	return text
}
