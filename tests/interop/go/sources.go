package main

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// A camera without an encoder: VP8 frames (RFC 6386, 9.1) whose header is right and whose rest is filling.
type camera struct {
	lksdk.BaseSampleProvider
	width, height uint16
	asked         atomic.Bool // for a key frame
}

func (c *camera) NextSample(context.Context) (media.Sample, error) {
	frame := make([]byte, 600)
	frame[0] = 0x11 // shown, and not a key frame
	if c.asked.Swap(false) {
		frame[0] = 0x10
		copy(frame[3:], []byte{0x9d, 0x01, 0x2a})
		binary.LittleEndian.PutUint16(frame[6:], c.width)
		binary.LittleEndian.PutUint16(frame[8:], c.height)
	}
	return media.Sample{Data: frame, Duration: time.Second / 30}, nil
}

// A microphone in a silent room: Opus's own frame for that.
type microphone struct{ lksdk.BaseSampleProvider }

func (*microphone) NextSample(context.Context) (media.Sample, error) {
	return media.Sample{Data: []byte{0xf8, 0xff, 0xfe}, Duration: 20 * time.Millisecond}, nil
}

func (*microphone) CurrentAudioLevel() uint8 { return 20 }

// One layer of a simulcast camera, sent once it is bound to a connection.
func layer(quality livekit.VideoQuality, width, height uint16) (*lksdk.LocalTrack, error) {
	source := &camera{width: width, height: height}
	source.asked.Store(true)
	described := &livekit.VideoLayer{Quality: quality, Width: uint32(width), Height: uint32(height)}
	track, err := lksdk.NewLocalTrack(
		webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90_000},
		lksdk.WithSimulcast("camera", described),
		lksdk.WithRTCPHandler(func(packet rtcp.Packet) {
			if _, asks := packet.(*rtcp.PictureLossIndication); asks {
				source.asked.Store(true)
			}
		}),
	)
	if err == nil {
		err = track.StartWrite(source, nil)
	}
	return track, err
}

func simulcast() ([]*lksdk.LocalTrack, error) {
	low, err := layer(livekit.VideoQuality_LOW, 320, 180)
	if err != nil {
		return nil, err
	}
	high, err := layer(livekit.VideoQuality_HIGH, 1280, 720)
	return []*lksdk.LocalTrack{low, high}, err
}

func sound() (*lksdk.LocalTrack, error) {
	track, err := lksdk.NewLocalTrack(
		webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48_000, Channels: 2},
	)
	if err == nil {
		err = track.StartWrite(&microphone{}, nil)
	}
	return track, err
}
