package main

import (
	"context"
	"errors"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/twitchtv/twirp"
)

// All that a program can ask of a room, in order; what was answered.
func administer(given []string) (any, error) {
	url, key, secret, name := given[0], given[1], given[2], given[3]
	rooms, ctx, found := lksdk.NewRoomServiceClient(url, key, secret), context.Background(), map[string]any{}
	made, err := rooms.CreateRoom(ctx, &livekit.CreateRoomRequest{Name: name, EmptyTimeout: 77, Metadata: "first"})
	if err != nil {
		return nil, err
	}
	found["made"] = []any{made.Name, made.EmptyTimeout, made.Metadata}
	listed, err := rooms.ListRooms(ctx, &livekit.ListRoomsRequest{Names: []string{name}})
	if err != nil {
		return nil, err
	}
	found["listed"] = len(listed.Rooms) == 1 && listed.Rooms[0].Sid == made.Sid
	changed, err := rooms.UpdateRoomMetadata(ctx, &livekit.UpdateRoomMetadataRequest{Room: name, Metadata: "second"})
	if err != nil {
		return nil, err
	}
	found["changed"] = changed.Metadata

	token, err := auth.NewAccessToken(key, secret).SetIdentity("carol").
		SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: name}).ToJWT()
	if err != nil {
		return nil, err
	}
	carol, err := lksdk.ConnectToRoomWithToken(url, token, lksdk.NewRoomCallback())
	if err != nil {
		return nil, err
	}
	defer carol.Disconnect()
	voice, err := sound()
	if err != nil {
		return nil, err
	}
	track, err := carol.LocalParticipant.PublishTrack(voice, &lksdk.TrackPublicationOptions{Name: "microphone"})
	if err != nil {
		return nil, err
	}
	who := &livekit.RoomParticipantIdentity{Room: name, Identity: "carol"}
	if err := until(func() bool {
		info, err := rooms.GetParticipant(ctx, who)
		return err == nil && len(info.Tracks) == 1
	}, "the track is there"); err != nil {
		return nil, err
	}
	muted, err := rooms.MutePublishedTrack(ctx, &livekit.MuteRoomTrackRequest{
		Room: name, Identity: "carol", TrackSid: track.SID(), Muted: true,
	})
	if err != nil {
		return nil, err
	}
	found["muted"] = muted.Track.Muted
	renamed, err := rooms.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{
		Room: name, Identity: "carol", Name: "Caroline", Attributes: map[string]string{"a": "1"},
	})
	if err != nil {
		return nil, err
	}
	found["renamed"] = []any{renamed.Name, renamed.Attributes["a"]}
	people, err := rooms.ListParticipants(ctx, &livekit.ListParticipantsRequest{Room: name})
	if err != nil {
		return nil, err
	}
	found["people"] = len(people.Participants)
	if _, err := rooms.SendData(ctx, &livekit.SendDataRequest{Room: name, Data: []byte("x")}); err != nil {
		return nil, err
	}
	if err := dispatched(ctx, url, key, secret, name, found); err != nil {
		return nil, err
	}
	if _, err := rooms.RemoveParticipant(ctx, who); err != nil {
		return nil, err
	}
	found["absent"] = refusal(func() error { _, err := rooms.GetParticipant(ctx, who); return err })
	stranger := lksdk.NewRoomServiceClient(url, key, "another-secret-0123456789abcdef0123456789")
	found["forged"] = stranger != nil && refusal(func() error {
		_, err := stranger.ListRooms(ctx, &livekit.ListRoomsRequest{})
		return err
	}) != ""
	recorder := lksdk.NewEgressClient(url, key, secret)
	found["recorded"] = refusal(func() error { _, err := recorder.ListEgress(ctx, &livekit.ListEgressRequest{}); return err })
	_, err = rooms.DeleteRoom(ctx, &livekit.DeleteRoomRequest{Room: name})
	return found, err
}

// An agent for the room is asked for, found, and taken back.
func dispatched(ctx context.Context, url, key, secret, name string, found map[string]any) error {
	agents := lksdk.NewAgentDispatchServiceClient(url, key, secret)
	made, err := agents.CreateDispatch(ctx, &livekit.CreateAgentDispatchRequest{Room: name, AgentName: "guide"})
	if err != nil {
		return err
	}
	listed, err := agents.ListDispatch(ctx, &livekit.ListAgentDispatchRequest{Room: name})
	if err != nil {
		return err
	}
	names := []string{}
	for _, one := range listed.AgentDispatches {
		names = append(names, one.AgentName)
	}
	found["dispatched"] = names
	_, err = agents.DeleteDispatch(ctx, &livekit.DeleteAgentDispatchRequest{Room: name, DispatchId: made.Id})
	return err
}

// The code of Twirp with which a call was refused, "" for none.
func refusal(call func() error) string {
	var refused twirp.Error
	if errors.As(call(), &refused) {
		return string(refused.Code())
	}
	return ""
}
