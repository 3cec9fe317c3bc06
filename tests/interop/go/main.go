// The clients of LiveKit's Go SDK that tests run, and a TURN server: each prints what it saw to stdout as JSON.
//
//	go-client meet URL TOKEN-OF-ALICE TOKEN-OF-BOB single|two	(with H264, or with VP8)
//	go-client administer URL KEY SECRET ROOM
//	go-client come-and-go URL TOKEN single|two TIMES
//	go-client crowd URL KEY SECRET ROOM
//	go-client relay ADDRESS PORT udp|tcp SECRET	(until its standard input ends)
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
)

func main() {
	// What an SDK warns of goes to stderr, where the tests read it.
	log, err := logger.NewZapLogger(&logger.Config{JSON: true, Level: "warn"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lksdk.SetLogger(log)
	run := map[string]func([]string) (any, error){
		"meet": meet, "administer": administer, "come-and-go": comeAndGo, "crowd": crowd,
		"relay": relay,
	}
	given := os.Args[1:]
	if len(given) != 5 || run[given[0]] == nil {
		fmt.Fprintf(os.Stderr, "got %q, takes meet, administer, come-and-go, crowd or relay with four arguments\n", given)
		os.Exit(2)
	}
	seen, err := run[given[0]](given[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := write(os.Stdout, seen); err != nil {
		os.Exit(1)
	}
}

func write(to io.Writer, seen any) error {
	return json.NewEncoder(to).Encode(seen)
}
