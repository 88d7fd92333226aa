package ingress

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// handshake answers the question of a sender whether it may deliver here at all, as
// the CloudEvents specification of webhooks has it. It needs no credentials, since
// the events themselves do, and the callback that a sender may offer is never
// called: whoever asks would make this server send requests of its choosing.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request) {
	if refused := s.limits.take(remote(r), 1); refused != nil {
		s.refuse(w, refused)
		return
	}
	if _, err := s.namespace(r); err != nil {
		s.refuseErr(w, err, "")
		return
	}
	w.Header().Set("Allow", allowed)
	origin := r.Header.Get("WebHook-Request-Origin")
	if origin == "" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if !s.allowsOrigin(origin) {
		s.refuse(w, refuse(http.StatusForbidden, reasonOrigin, "%q may not deliver here (--ingress-webhook-origins)", origin))
		return
	}
	rate, err := s.allowedRate(r.Header.Get("WebHook-Request-Rate"))
	if err != nil {
		s.refuse(w, err)
		return
	}
	w.Header().Set("WebHook-Allowed-Origin", origin)
	w.Header().Set("WebHook-Allowed-Rate", rate)
	w.WriteHeader(http.StatusOK)
}

func (s *Server) allowsOrigin(origin string) bool {
	return slices.ContainsFunc(s.Options.WebhookOrigins, func(allowed string) bool {
		return allowed == "*" || strings.EqualFold(allowed, origin)
	})
}

// allowedRate is in requests a minute: what was asked for, at most what one sender
// may send anyway.
func (s *Server) allowedRate(asked string) (string, *RefusedError) {
	most := math.Inf(1)
	if s.limits != nil {
		most = math.Max(math.Floor(float64(s.limits.rate)*60), 1)
	}
	switch asked {
	case "*":
	case "":
	default:
		rate, err := strconv.ParseUint(asked, 10, 31)
		if err != nil || rate == 0 {
			return "", refuse(http.StatusBadRequest, reasonMalformed, "WebHook-Request-Rate is no positive number of requests a minute")
		}
		most = math.Min(most, float64(rate))
	}
	if math.IsInf(most, 1) {
		return "*", nil
	}
	return strconv.FormatFloat(most, 'f', 0, 64), nil
}
