package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtcp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// A camera without an encoder: frames whose headers are right and whose rest is filling.
type camera struct {
	lksdk.BaseSampleProvider
	codec         string
	width, height uint16
	asked         atomic.Bool // for a key frame
}

func (c *camera) NextSample(context.Context) (media.Sample, error) {
	frame := c.vp8
	if c.codec == webrtc.MimeTypeH264 {
		frame = c.h264
	}
	return media.Sample{Data: frame(c.asked.Swap(false)), Duration: time.Second / 30}, nil
}

// RFC 6386, 9.1.
func (c *camera) vp8(key bool) []byte {
	frame := make([]byte, 600)
	frame[0] = 0x11 // shown, and not a key frame
	if key {
		frame[0] = 0x10
		copy(frame[3:], []byte{0x9d, 0x01, 0x2a})
		binary.LittleEndian.PutUint16(frame[6:], c.width)
		binary.LittleEndian.PutUint16(frame[8:], c.height)
	}
	return frame
}

// Annex B: parameter sets and an IDR slice, or another slice; the width stands at the end.
func (c *camera) h264(key bool) []byte {
	start := []byte{0, 0, 0, 1}
	var frame []byte
	if key {
		frame = append(append(frame, start...), 0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0xd0)
		frame = append(append(frame, start...), 0x68, 0xce, 0x3c, 0x80)
		frame = append(append(frame, start...), 0x65)
	} else {
		frame = append(append(frame, start...), 0x41)
	}
	frame = append(frame, bytes.Repeat([]byte{0xaa}, 600)...)
	return binary.LittleEndian.AppendUint16(frame, c.width)
}

// The width that a packet of a key frame tells, 0 for others.
func widthIn(codec string, payload []byte) int64 {
	if codec == webrtc.MimeTypeH264 {
		if len(payload) > 2 && payload[0]&0x1f == 5 {
			return int64(binary.LittleEndian.Uint16(payload[len(payload)-2:]))
		}
		return 0
	}
	var vp8 codecs.VP8Packet
	frame, err := vp8.Unmarshal(payload)
	if err == nil && vp8.S == 1 && len(frame) > 9 && frame[0]&1 == 0 {
		return int64(binary.LittleEndian.Uint16(frame[6:]) & 0x3fff)
	}
	return 0
}

// A microphone in a silent room: Opus's own frame for that.
type microphone struct{ lksdk.BaseSampleProvider }

func (*microphone) NextSample(context.Context) (media.Sample, error) {
	return media.Sample{Data: []byte{0xf8, 0xff, 0xfe}, Duration: 20 * time.Millisecond}, nil
}

func (*microphone) CurrentAudioLevel() uint8 { return 20 }

// One layer of a simulcast camera, sent once it is bound to a connection.
func layer(codec string, quality livekit.VideoQuality, width, height uint16) (*lksdk.LocalTrack, error) {
	source := &camera{codec: codec, width: width, height: height}
	source.asked.Store(true)
	described := &livekit.VideoLayer{Quality: quality, Width: uint32(width), Height: uint32(height)}
	track, err := lksdk.NewLocalTrack(
		webrtc.RTPCodecCapability{MimeType: codec, ClockRate: 90_000},
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

func simulcast(codec string) ([]*lksdk.LocalTrack, error) {
	low, err := layer(codec, livekit.VideoQuality_LOW, 320, 180)
	if err != nil {
		return nil, err
	}
	high, err := layer(codec, livekit.VideoQuality_HIGH, 1280, 720)
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
