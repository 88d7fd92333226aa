package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/salvor-io/salvor/internal/broker"
)

const (
	// subjectBrokers is where embedded brokers say how they are set, all of them:
	// a client of a cluster cannot ask the server for it.
	subjectBrokers = "salvor.brokers"
	// subjectServers is where NATS says it, to clients of the system account only.
	subjectServers = "$SYS.REQ.SERVER.PING.JSZ"
	// askTimeout is how long answers are waited for.
	askTimeout = time.Second
	// natsSync is the default of sync_interval, which an embedded broker that does
	// not sync is left with.
	natsSync = 2 * time.Minute
)

// brokerInfo is an embedded broker's answer.
type brokerInfo struct {
	Name       string `json:"name"`
	SyncAlways bool   `json:"syncAlways"`
}

// answer lets the process of an embedded broker say how it is set.
func answer(nc *nats.Conn, b *broker.Broker) error {
	info, err := json.Marshal(brokerInfo{Name: b.Name(), SyncAlways: b.Synced()})
	if err != nil {
		return fmt.Errorf("describe the broker: %w", err)
	}
	if _, err := nc.Subscribe(subjectBrokers, func(msg *nats.Msg) { _ = msg.Respond(info) }); err != nil {
		return fmt.Errorf("describe the broker: %w", err)
	}
	return nil
}

// sysAnswer is what is of use in NATS' own answer.
type sysAnswer struct {
	Data *struct {
		Config struct {
			SyncAlways   bool          `json:"sync_always"`
			SyncInterval time.Duration `json:"sync_interval"`
		} `json:"config"`
	} `json:"data"`
}

// askSync asks the servers when they sync. The slowest of them counts. It is not
// known unless at least so many answer.
func askSync(ctx context.Context, nc *nats.Conn, atLeast int) syncing {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return syncing{}
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection is gone
	for _, subject := range []string{subjectBrokers, subjectServers} {
		if nc.PublishRequest(subject, inbox, nil) != nil {
			return syncing{}
		}
	}
	result, heard, refusals := syncing{always: true}, 0, 0
	for heard < atLeast && refusals < 2 {
		msg, err := sub.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) {
			refusals++
			continue
		}
		if err != nil {
			break
		}
		always, interval, ok := readSync(msg.Data)
		if !ok {
			continue
		}
		heard++
		result.always = result.always && always
		if !always {
			result.interval = max(result.interval, interval)
		}
	}
	if heard < atLeast {
		return syncing{}
	}
	result.known = true
	return result
}

func readSync(data []byte) (always bool, interval time.Duration, ok bool) {
	var own brokerInfo
	if json.Unmarshal(data, &own) == nil && own.Name != "" {
		return own.SyncAlways, natsSync, true
	}
	var sys sysAnswer
	if json.Unmarshal(data, &sys) == nil && sys.Data != nil {
		return sys.Data.Config.SyncAlways, sys.Data.Config.SyncInterval, true
	}
	return false, 0, false
}
