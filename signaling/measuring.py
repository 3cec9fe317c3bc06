"""Measuring: what the engine tells of layers and subscriptions becomes their readings and the node's figures."""

from __future__ import annotations

from media.events import SubscriptionMeasured, TrackMeasured
from signaling import readings
from signaling.participant import Participant
from signaling.room import Room


def layer_measured(room: Room, participant: Participant, event: TrackMeasured, now: float) -> None:
    """Takes the totals of a layer that the participant publishes."""
    for track in participant.tracks.values():
        if track.number == event.track:
            before = track.readings.get(event.layer)
            reading = track.readings[event.layer] = readings.of_layer(before, event, now)
            room.place.figures.layer_read(track, before, reading)


def subscription_measured(room: Room, participant: Participant, event: SubscriptionMeasured, now: float) -> None:
    """Takes the totals of a subscription of the participant's."""
    for subscription in participant.subscriptions.values():
        if subscription.number == event.subscription:
            before = subscription.reading
            subscription.reading = reading = readings.of_subscription(before, event, now)
            room.place.figures.subscription_read(subscription, before, reading)
