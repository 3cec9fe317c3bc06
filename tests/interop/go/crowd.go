package main

import (
	"fmt"
	"sync"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
)

// How many packets came of each track that one participant receives, by sid.
type counts struct {
	sync.Mutex
	packets map[string]int
}

func (c *counts) read(track *webrtc.TrackRemote, of *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
	go func() {
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			c.Lock()
			c.packets[of.SID()]++
			c.Unlock()
		}
	}()
}

// How many tracks have brought more than a few packets.
func (c *counts) flowing() int {
	c.Lock()
	defer c.Unlock()
	found := 0
	for _, packets := range c.packets {
		if packets > 10 {
			found++
		}
	}
	return found
}

// Six people come one after the other, every second with a single PeerConnection, each with camera and microphone, and
// receive all of each other; how many tracks each receives.
func crowd(given []string) (any, error) {
	url, key, secret, room := given[0], given[1], given[2], given[3]
	const people = 6
	received := make([]*counts, people)
	for number := range people {
		token, err := auth.NewAccessToken(key, secret).SetIdentity(fmt.Sprintf("person%d", number)).
			SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: room}).ToJWT()
		if err != nil {
			return nil, err
		}
		received[number] = &counts{packets: map[string]int{}}
		told := lksdk.NewRoomCallback()
		told.OnTrackSubscribed = received[number].read
		var options []lksdk.ConnectOption
		if number%2 == 0 {
			options = append(options, lksdk.WithSinglePeerConnection())
		}
		person, err := lksdk.ConnectToRoomWithToken(url, token, told, options...)
		if err != nil {
			return nil, fmt.Errorf("person %d joins: %w", number, err)
		}
		defer person.Disconnect()
		layers, err := simulcast(webrtc.MimeTypeVP8)
		if err != nil {
			return nil, err
		}
		voice, err := sound()
		if err != nil {
			return nil, err
		}
		me := person.LocalParticipant
		speech := &lksdk.TrackPublicationOptions{Name: "microphone", Source: livekit.TrackSource_MICROPHONE}
		if _, err := me.PublishTrack(voice, speech); err != nil {
			return nil, fmt.Errorf("person %d publishes sound: %w", number, err)
		}
		picture := &lksdk.TrackPublicationOptions{Name: "camera", Source: livekit.TrackSource_CAMERA}
		if _, err := me.PublishSimulcastTrack(layers, picture); err != nil {
			return nil, fmt.Errorf("person %d publishes video: %w", number, err)
		}
	}
	flowing := make([]int, people)
	err := until(func() bool {
		all := true
		for number, one := range received {
			flowing[number] = one.flowing()
			all = all && flowing[number] == 2*(people-1)
		}
		return all
	}, "everybody receives everybody")
	if err != nil {
		return nil, fmt.Errorf("%w: %v tracks", err, flowing)
	}
	return flowing, nil
}
