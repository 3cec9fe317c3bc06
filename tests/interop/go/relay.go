package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/pion/turn/v5"
)

// relay is a TURN server until its standard input ends: it prints where it listens, and then for whom it has relayed.
func relay(given []string) (any, error) {
	address, port, protocol, secret := given[0], given[1], given[2], given[3]
	at := net.JoinHostPort(address, port)
	generator := &turn.RelayAddressGeneratorStatic{RelayAddress: net.ParseIP(address), Address: address}
	var lock sync.Mutex
	relayed := map[string]bool{}
	config := turn.ServerConfig{
		Realm:       "veche",
		AuthHandler: turn.LongTermTURNRESTAuthHandler(secret, nil),
		EventHandler: turn.EventHandler{
			OnAllocationCreated: func(_, _ net.Addr, _, user, _ string, _ net.Addr, _ int) {
				lock.Lock()
				defer lock.Unlock()
				relayed[user] = true
			},
		},
	}
	switch protocol {
	case "udp":
		socket, err := net.ListenPacket("udp4", at)
		if err != nil {
			return nil, err
		}
		config.PacketConnConfigs = []turn.PacketConnConfig{{PacketConn: socket, RelayAddressGenerator: generator}}
	case "tcp":
		socket, err := net.Listen("tcp4", at)
		if err != nil {
			return nil, err
		}
		config.ListenerConfigs = []turn.ListenerConfig{{Listener: socket, RelayAddressGenerator: generator}}
	default:
		return nil, fmt.Errorf("got %q, takes udp or tcp", protocol)
	}
	server, err := turn.NewServer(config)
	if err != nil {
		return nil, err
	}
	if err := write(os.Stdout, at); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return nil, err
	}
	if err := server.Close(); err != nil {
		return nil, err
	}
	lock.Lock()
	defer lock.Unlock()
	users := []string{}
	for user := range relayed {
		users = append(users, user)
	}
	return users, nil
}
