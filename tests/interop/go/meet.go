package main

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
)

// For each step; far above what any takes.
const deadline = 60 * time.Second

// How Alice publishes.
var (
	picture = &lksdk.TrackPublicationOptions{Name: "camera", Source: livekit.TrackSource_CAMERA}
	speech  = &lksdk.TrackPublicationOptions{Name: "microphone", Source: livekit.TrackSource_MICROPHONE}
)

// What Bob has of Alice.
type reception struct {
	sound, video atomic.Int64 // packets
	width        atomic.Int64 // of the last key frame
	publication  atomic.Pointer[lksdk.RemoteTrackPublication]
	muted        atomic.Bool
	left         atomic.Bool
	data         atomic.Int64 // bytes of the last packet
	text         atomic.Int64 // bytes of the last stream
	resumed      atomic.Int64 // times that Alice came back
	ended        atomic.Int64 // tracks that are over
}

func until(holds func() bool, what string) error {
	for end := time.Now().Add(deadline); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("not within %s: %s", deadline, what)
		}
	}
	return nil
}

// Counts packets of a track, and reads the size in key frames.
func (r *reception) read(track *webrtc.TrackRemote) {
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			r.ended.Add(1)
			return
		}
		if track.Kind() == webrtc.RTPCodecTypeAudio {
			r.sound.Add(1)
			continue
		}
		r.video.Add(1)
		if width := widthIn(track.Codec().MimeType, packet.Payload); width > 0 {
			r.width.Store(width)
		}
	}
}

func (r *reception) callbacks() *lksdk.RoomCallback {
	told := lksdk.NewRoomCallback()
	told.OnTrackSubscribed = func(track *webrtc.TrackRemote, of *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
		if track.Kind() == webrtc.RTPCodecTypeVideo {
			r.publication.Store(of)
		}
		go r.read(track)
	}
	told.OnTrackMuted = func(lksdk.TrackPublication, lksdk.Participant) { r.muted.Store(true) }
	told.OnTrackUnmuted = func(lksdk.TrackPublication, lksdk.Participant) { r.muted.Store(false) }
	told.OnParticipantDisconnected = func(*lksdk.RemoteParticipant) { r.left.Store(true) }
	told.OnDataPacket = func(packet lksdk.DataPacket, _ lksdk.DataReceiveParams) {
		if user, is := packet.(*lksdk.UserDataPacket); is {
			r.data.Store(int64(len(user.Payload)))
		}
	}
	return told
}

// More packets come from now on.
func (r *reception) goesOn(what string) error {
	sound, video := r.sound.Load(), r.video.Load()
	return until(func() bool { return r.sound.Load() > sound+20 && r.video.Load() > video+20 }, what)
}

func speak(room *lksdk.Room, voice *lksdk.LocalTrack) error {
	if _, err := room.LocalParticipant.PublishTrack(voice, speech); err != nil {
		return fmt.Errorf("publish sound: %w", err)
	}
	return nil
}

func show(room *lksdk.Room, codec string) (*lksdk.LocalTrackPublication, error) {
	layers, err := simulcast(codec)
	if err != nil {
		return nil, err
	}
	shown, err := room.LocalParticipant.PublishSimulcastTrack(layers, picture)
	if err != nil {
		return nil, fmt.Errorf("publish video: %w", err)
	}
	return shown, nil
}

func meet(given []string) (any, error) {
	url, alices, bobs, mode := given[0], given[1], given[2], given[3]
	var r reception
	codec := webrtc.MimeTypeVP8
	if mode == "single" {
		codec = webrtc.MimeTypeH264
	}
	voice, err := sound()
	if err != nil {
		return nil, err
	}
	var options, joining []lksdk.ConnectOption
	if mode == "single" {
		options = append(options, lksdk.WithSinglePeerConnection())
		// Offered within the request to join.
		joining = append(options, lksdk.WithTrack(voice, speech))
	}
	bob, err := lksdk.ConnectToRoomWithToken(url, bobs, r.callbacks(), options...)
	if err != nil {
		return nil, fmt.Errorf("bob joins: %w", err)
	}
	defer bob.Disconnect()
	told := lksdk.NewRoomCallback()
	told.OnReconnected = func() { r.resumed.Add(1) }
	alice, err := lksdk.ConnectToRoomWithToken(url, alices, told, joining...)
	if err != nil {
		return nil, fmt.Errorf("alice joins: %w", err)
	}
	if mode != "single" {
		if err := speak(alice, voice); err != nil {
			return nil, err
		}
	}
	shown, err := show(alice, codec)
	if err != nil {
		return nil, err
	}
	seen := map[string]any{}
	steps := []func() error{
		func() error { return r.goesOn("media") },
		func() error { return r.shows(1280) },
		func() error {
			if err := r.publication.Load().SetVideoQuality(livekit.VideoQuality_LOW); err != nil {
				return err
			}
			return r.shows(320)
		},
		func() error {
			shown.SetMuted(true)
			if err := until(r.muted.Load, "mute"); err != nil {
				return err
			}
			shown.SetMuted(false)
			return until(func() bool { return !r.muted.Load() }, "unmute")
		},
		func() error { return talk(alice, bob, &r, seen) },
		func() error { return publishesAnew(alice, &r, codec) },
		func() error { return comesBack(alice, &r) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	r.left.Store(false)
	alice.Disconnect()
	if err := until(r.left.Load, "leave"); err != nil {
		return nil, err
	}
	seen["data"], seen["text"] = r.data.Load(), r.text.Load()
	return seen, nil
}

// Joins again and again; the number of times.
func comeAndGo(given []string) (any, error) {
	url, token, mode := given[0], given[1], given[2]
	times, err := strconv.Atoi(given[3])
	if err != nil {
		return nil, err
	}
	var options []lksdk.ConnectOption
	if mode == "single" {
		options = append(options, lksdk.WithSinglePeerConnection())
	}
	for time := range times {
		room, err := lksdk.ConnectToRoomWithToken(url, token, lksdk.NewRoomCallback(), options...)
		if err != nil {
			return nil, fmt.Errorf("join %d of %d: %w", time+1, times, err)
		}
		room.Disconnect()
	}
	return times, nil
}

// Alice ends her tracks one after the other, so that Bob hears twice that the first is over, and publishes others.
func publishesAnew(alice *lksdk.Room, r *reception, codec string) error {
	me := alice.LocalParticipant
	for _, source := range []livekit.TrackSource{livekit.TrackSource_MICROPHONE, livekit.TrackSource_CAMERA} {
		ended := r.ended.Load()
		if err := me.UnpublishTrack(me.GetTrackPublication(source).SID()); err != nil {
			return fmt.Errorf("unpublish: %w", err)
		}
		if err := until(func() bool { return r.ended.Load() > ended }, "the end of a track"); err != nil {
			return err
		}
	}
	voice, err := sound()
	if err != nil {
		return err
	}
	if err := speak(alice, voice); err != nil {
		return err
	}
	if _, err := show(alice, codec); err != nil {
		return err
	}
	return r.goesOn("media of other tracks")
}

// Alice loses her connection in every way that the SDK can ask for, and each time she is back with her tracks.
func comesBack(alice *lksdk.Room, r *reception) error {
	for number, scenario := range []lksdk.SimulateScenario{
		lksdk.SimulateSignalReconnect,
		lksdk.SimulateNodeFailure,
		lksdk.SimulateLeaveRequestFullReconnect,
		lksdk.SimulateMigration,
		lksdk.SimulateSignalReconnect,
	} {
		alice.Simulate(scenario)
		what := fmt.Sprintf("after fault %d", number+1)
		if err := until(func() bool { return r.resumed.Load() > int64(number) }, what+" a connection"); err != nil {
			return err
		}
		if err := r.goesOn(what + " media"); err != nil {
			return err
		}
	}
	return nil
}

func (r *reception) shows(width int64) error {
	return until(func() bool { return r.width.Load() == width }, fmt.Sprintf("a picture %d wide", width))
}

// Data, text and a call, from Alice to Bob.
func talk(alice, bob *lksdk.Room, r *reception, seen map[string]any) error {
	if err := bob.RegisterTextStreamHandler("chat", func(reader *lksdk.TextStreamReader, _ string) {
		r.text.Store(int64(len(reader.ReadAll())))
	}); err != nil {
		return err
	}
	if err := bob.RegisterRpcMethod("greet", func(call lksdk.RpcInvocationData) (string, error) {
		return "hello " + call.CallerIdentity, nil
	}); err != nil {
		return err
	}
	me := alice.LocalParticipant
	if err := me.PublishDataPacket(lksdk.UserData(make([]byte, 1000)), lksdk.WithDataPublishReliable(true)); err != nil {
		return err
	}
	me.SendText(string(make([]byte, 50_000)), lksdk.StreamTextOptions{Topic: "chat"})
	answer, err := me.PerformRpc(lksdk.PerformRpcParams{DestinationIdentity: "bob", Method: "greet"})
	if err != nil {
		return fmt.Errorf("call: %w", err)
	}
	seen["answer"] = *answer
	return until(func() bool { return r.data.Load() > 0 && r.text.Load() > 0 }, "data and text")
}
