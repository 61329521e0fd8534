#!/usr/bin/env bash
# LiveKit's sender of webhooks never reads what it is answered. An answer with two bytes of text
# therefore costs it the connection: fifty webhooks need fifty connections, and one when the answer
# is 204, without a body.
#
# Why it matters: "ok" or a small JSON is what most receivers answer. Each webhook then waits for a
# new connection, and with TLS for its handshake, while the room's next webhook waits for it.
#
# What Rollcall does: it answers 204 with no body (webhooks/receiver.py).

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

const events = 50

func main() {
	webhook.InitWebhookStats(nil)
	with, without := connections("ok"), connections("")
	fmt.Printf("answered with 204: %d webhooks, %d connections\n", events, without)
	tell(
		"with a body as few connections as without: they are kept alive",
		fmt.Sprintf("%d webhooks, %d connections", events, with),
		with == events && without <= 5,
	)
}

// connections is how many the sender opens when it is always answered with this body.
func connections(body string) int32 {
	var opened, answered atomic.Int32
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer listener.Close()
	receiver := &http.Server{
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		},
		Handler: http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
			if body == "" {
				answer.WriteHeader(http.StatusNoContent)
			} else {
				fmt.Fprint(answer, body)
			}
			answered.Add(1)
		}),
	}
	go receiver.Serve(listener)

	config := webhook.WebHookConfig{
		URLs:   []string{"http://" + listener.Addr().String()},
		APIKey: "key",
	}
	sender, err := webhook.NewDefaultNotifier(config, auth.NewSimpleKeyProvider("key", "secret"))
	must(err)
	for number := range events {
		must(sender.QueueNotify(context.Background(), &livekit.WebhookEvent{
			Event: webhook.EventParticipantJoined,
			Id:    fmt.Sprintf("EV_%d", number),
			Room:  &livekit.Room{Name: "a-class"},
		}))
	}
	for answered.Load() < events {
		time.Sleep(10 * time.Millisecond)
	}
	sender.Stop(false)
	return opened.Load()
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

timeout --foreground --kill-after=10 60 ./trial 2>trial.log
status=$?
case $status in
  0) exit 0 ;;
  3) exit 1 ;;
  *) cannot "the trial ended with status $status: $(tail -n 1 trial.log)" ;;
esac
