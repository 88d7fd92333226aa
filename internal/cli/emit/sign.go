package emit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"
)

// keyPrefix marks a key of Standard Webhooks; what follows is base64.
const keyPrefix = "whsec_"

// signingKey reads a key in the form of Standard Webhooks.
func signingKey(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, keyPrefix)
	if !ok {
		return nil, errors.New("a key is written as " + keyPrefix + "<base64>, as Standard Webhooks has it; make one with: echo " +
			keyPrefix + "$(head -c 32 /dev/urandom | base64 -w0)")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("what follows " + keyPrefix + " is not base64") // the error would show a part of the key
	}
	if len(key) == 0 {
		return nil, errors.New("the key is empty")
	}
	return key, nil
}

// sign adds the headers of Standard Webhooks. Each request has an id of its own: a
// signature counts once, and an event that is sent again (which its own id makes
// harmless) must not look like one that somebody recorded.
func sign(h http.Header, key, body []byte, now time.Time) {
	id, at := "msg_"+string(uuid.NewUUID()), strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	for _, part := range [][]byte{[]byte(id), []byte("."), []byte(at), []byte("."), body} {
		_, _ = mac.Write(part) // never fails
	}
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", at)
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
