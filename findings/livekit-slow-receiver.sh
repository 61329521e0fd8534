#!/usr/bin/env bash
# A receiver answers every webhook that it gets with success, two seconds after it came. When
# twenty-five of one room happen at once, LiveKit's sender drops the last ones and never sends them,
# since it sends a room's webhooks one after another and drops each that has waited for thirty
# seconds.
#
# Why it matters: no request fails and no request is late by itself, so the receiver's log and its
# metrics show nothing. The people whose join was dropped were never there.
#
# What Rollcall does: it stores a webhook and answers within milliseconds, and all that takes longer
# is a worker's (webhooks/receiver.py). It asks LiveKit later who is inside
# (worker/reconcile/reconcile.py).

set -u

cannot() {
  echo "This cannot be tried here: $1." >&2
  exit 2
}

folder=$(mktemp -d) || cannot "no temporary folder can be made"
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
cd "$folder" || cannot "the temporary folder cannot be entered"
command -v go >/dev/null || cannot "Go 1.26 or newer is needed"
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=mod GOWORK=off

cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/webhook"
)

const (
	events = 25
	pause  = 2 * time.Second
)

func main() {
	webhook.InitWebhookStats(nil)
	var answered, dropped, sent atomic.Int32
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		time.Sleep(pause)
		answer.WriteHeader(http.StatusNoContent)
		answered.Add(1)
	}))

	config := webhook.WebHookConfig{
		URLs:   []string{"http://" + listener.Addr().String()},
		APIKey: "key",
	}
	sender, err := webhook.NewDefaultNotifier(config, auth.NewSimpleKeyProvider("key", "secret"))
	must(err)
	sender.RegisterProcessedHook(func(_ context.Context, info *livekit.WebhookInfo) {
		if info.IsDropped {
			dropped.Add(1)
		} else {
			sent.Add(1)
		}
	})
	for number := range events {
		must(sender.QueueNotify(context.Background(), &livekit.WebhookEvent{
			Event: webhook.EventParticipantJoined,
			Id:    fmt.Sprintf("EV_%d", number),
			Room:  &livekit.Room{Name: "a-class"},
		}))
	}
	for sent.Load()+dropped.Load() < events {
		time.Sleep(50 * time.Millisecond)
	}
	tell(
		fmt.Sprintf("all %d webhooks come, the last one after %s", events, events*pause),
		fmt.Sprintf("%d came and were answered with 204, %d were dropped", answered.Load(), dropped.Load()),
		answered.Load() == sent.Load() && answered.Load() >= 10 && dropped.Load() >= 5,
	)
}

// tell prints what came of it and ends.
func tell(expected, seen string, holds bool) {
	version := "unknown"
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/livekit/protocol" {
			version = module.Version
		}
	}
	fmt.Printf("versions: livekit/protocol %s, %s\n", version, runtime.Version())
	fmt.Printf("expected: %s\nseen:     %s\n", expected, seen)
	if !holds {
		fmt.Println("CHANGED")
		os.Exit(3)
	}
	fmt.Println("as stated")
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
GO
{
  go mod init trial && go mod edit -go=1.26 &&
    timeout --foreground 60 go get github.com/livekit/protocol/webhook@v1.50.5-0.20260728075222-28e604c046c6
} >go.log 2>&1 || cannot "Go does not get the module: $(tail -n 1 go.log)"
timeout --foreground 200 go build -ldflags='-s -w' -o trial . >go.log 2>&1 ||
  cannot "Go does not build the trial: $(tail -n 1 go.log)"

timeout --foreground --kill-after=10 120 ./trial 2>trial.log
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status: $(tail -n 1 trial.log)" ;;
esac
