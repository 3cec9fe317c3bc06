//! What a shard does with a command.

use std::time::Instant;

use crate::capture::Capture;
use crate::command::{Command, SubscriptionDescription, SubscriptionId, TrackDescription, TrackId, TransportId};
use crate::handoff::Handoff;
use crate::ice::Ice;
use crate::keyframe;
use crate::selection::Layers;
use crate::shard::Shard;
use crate::source::Source;
use crate::subscription::Subscription;
use crate::transport::{Outgoing, TICK, Transport};

impl Shard {
    pub(crate) fn carry_out(&mut self, now: Instant, command: Command) {
        match command {
            Command::OpenTransport { transport, local_ufrag, local_pwd } => {
                self.open_transport(now, transport, local_ufrag, &local_pwd);
            }
            Command::RestartIce { transport, local_ufrag, local_pwd } => {
                if let Some(&place) = self.transport_places.get(&transport) {
                    self.transports[place].ice.restart(local_ufrag, &local_pwd);
                }
            }
            Command::SendDatagram { transport, data } => {
                if let Some(&place) = self.transport_places.get(&transport) {
                    self.enqueue(now, place, Outgoing::Datagram(data));
                }
            }
            Command::SetKeys { transport, keys } => {
                if let Some(&place) = self.transport_places.get(&transport) {
                    self.transports[place].set_keys(&keys);
                    if self.transports[place].is_secured() {
                        self.open_subscriptions(now, place);
                    }
                }
            }
            Command::SetExtensions { transport, extensions } => {
                if let Some(&place) = self.transport_places.get(&transport) {
                    self.transports[place].intake.set_extensions(&extensions);
                }
            }
            Command::AddTrack(description) => self.add_track(now, &description),
            Command::BlockTrack { transport, track, blocked } => self.block_track(now, transport, track, blocked),
            Command::SilenceTrack { transport, track, trailer } => {
                if let Some(&place) = self.transport_places.get(&transport) {
                    self.silence_track(now, place, track, &trailer);
                }
            }
            Command::RemoveTrack { transport, track } => {
                if let Some(&place) = self.transport_places.get(&transport)
                    && self.transports[place].intake.remove_track(track).is_some()
                {
                    self.end_track(track);
                }
            }
            Command::AddSubscription(description) => self.add_subscription(now, &description),
            Command::SetSubscription { transport, subscription, enabled, spatial_layer, temporal_layer, priority } => {
                if let Some(&number) = self.subscription_places.get(&subscription) {
                    let source = self.subscriptions[number].source;
                    let live = self.sources[source].live;
                    let wanted = Layers { spatial: spatial_layer, temporal: temporal_layer };
                    self.subscriptions[number].want(enabled, wanted, priority, live);
                    self.thin(number);
                    if let Some(&place) = self.transport_places.get(&transport) {
                        self.allocate(now, place);
                    }
                    self.wish_for(now, number);
                }
            }
            Command::AllowPauses { transport, allowed } => {
                if let Some(&place) = self.transport_places.get(&transport) {
                    self.transports[place].may_pause = allowed;
                }
            }
            Command::LimitBandwidth { transport, bits_per_second } => {
                if let Some(&place) = self.transport_places.get(&transport) {
                    self.limit_bandwidth(now, place, bits_per_second);
                }
            }
            Command::RemoveSubscription { subscription, trailer, .. } => {
                self.close_subscription(now, subscription, &trailer);
            }
            Command::StartCapture { transport, capture, limits } => {
                if let Some(&place) = self.transport_places.get(&transport) {
                    self.end_capture(place);
                    self.transports[place].capture = Some(Box::new(Capture::new(now, capture, &limits)));
                }
            }
            Command::StopCapture { transport } => {
                if let Some(&place) = self.transport_places.get(&transport) {
                    self.end_capture(place);
                }
            }
            Command::CloseTransport { transport } => self.close_transport(transport),
        }
    }

    fn open_transport(&mut self, now: Instant, id: TransportId, local_ufrag: String, local_pwd: &str) {
        if id.owner(self.shards) != self.index || self.transport_places.contains_key(&id) {
            return;
        }
        let ice = Ice::new(now, local_ufrag, local_pwd);
        let place = self.transports.insert(Transport::new(now, self.epoch, id, ice));
        self.transport_places.insert(id, place);
        self.alarms.arm(place, now + TICK);
    }

    fn close_transport(&mut self, id: TransportId) {
        let Some(&place) = self.transport_places.get(&id) else { return };
        self.end_capture(place);
        for number in self.transports[place].subscriptions.clone() {
            self.remove_subscription(self.subscriptions[number].id);
        }
        for pair in self.transports[place].ice.pairs().to_vec() {
            self.release(place, pair.path, pair.via);
        }
        let transport = self.transports.remove(place);
        self.transport_places.remove(&id);
        self.alarms.disarm(place);
        self.forget_ready(place);
        for (_, track) in &transport.intake.tracks {
            self.end_track(track.id);
        }
    }

    fn add_track(&mut self, now: Instant, description: &TrackDescription) {
        let Some(&place) = self.transport_places.get(&description.transport) else { return };
        if !self.transports[place].intake.add_track(description) {
            self.counters.track_limit += 1;
            return;
        }
        self.alarms.arm(place, now + TICK);
    }

    fn block_track(&mut self, now: Instant, transport: TransportId, id: TrackId, blocked: bool) {
        let Some(&place) = self.transport_places.get(&transport) else { return };
        let Some(at) = self.transports[place].intake.find_track(id) else { return };
        let track = &mut self.transports[place].intake.tracks[at];
        if track.is_blocked == blocked {
            return;
        }
        track.block(blocked);
        if !blocked {
            for layer in track.layers.iter_mut().filter(|layer| layer.is_live) {
                layer.key_frame.want(now, keyframe::ONCE);
            }
            self.send_requests(now, place);
        }
    }

    /// The subscriptions of a track go silent.
    fn end_track(&mut self, track: TrackId) {
        self.note_track_end(track);
        for shard in self.audiences.get(&track).cloned().unwrap_or_default() {
            self.hand(shard, Handoff::TrackEnded { track });
        }
    }

    pub(crate) fn note_track_end(&mut self, track: TrackId) {
        if let Some(&place) = self.source_places.get(&track) {
            self.sources[place].end();
        }
    }

    fn add_subscription(&mut self, now: Instant, description: &SubscriptionDescription) {
        let Some(&place) = self.transport_places.get(&description.transport) else { return };
        if let Some(&number) = self.subscription_places.get(&description.subscription) {
            self.subscriptions[number].describe(description);
            self.move_subscription(now, number, description);
            self.begin_control(now, place, number);
            return;
        }
        let source = self.source(description);
        // Below 2^15: a receiver takes its first number for the first lap of the rollover count (RFC 3711 3.3.1).
        let sequence = 1 + self.draw() % 0x7000;
        let rtx_sequence = 1 + self.draw() % 0x7000;
        let subscription = Subscription::new(description, place, source, sequence, rtx_sequence);
        let number = self.subscriptions.insert(subscription);
        self.subscription_places.insert(description.subscription, number);
        self.sources[source].subscriptions.push(number);
        let transport = &mut self.transports[place];
        transport.subscriptions.push(number);
        transport.by_ssrc.insert(description.ssrc, number);
        if let Some(rtx_ssrc) = description.rtx_ssrc {
            transport.by_ssrc.insert(rtx_ssrc, number);
        }
        self.alarms.arm(place, now + TICK);
        self.subscriptions[number].retarget(self.sources[source].live);
        self.thin(number);
        if self.transports[place].is_secured() {
            self.subscriptions[number].open();
        }
        self.begin_control(now, place, number);
        self.wish_for(now, number);
    }

    /// Lets a subscription get another track, under the numbers that it has: its publisher's other codec.
    fn move_subscription(&mut self, now: Instant, number: usize, description: &SubscriptionDescription) {
        let former = self.subscriptions[number].source;
        if self.sources[former].track == description.track {
            return;
        }
        let source = self.source(description);
        self.sources[source].subscriptions.push(number);
        self.subscriptions[number].change_source(source, self.sources[source].live);
        self.leave_source(former, number);
        self.wish_for(now, number);
    }

    /// A transport can send: each of its subscriptions begins.
    fn open_subscriptions(&mut self, now: Instant, place: usize) {
        for at in 0..self.transports[place].subscriptions.len() {
            let number = self.transports[place].subscriptions[at];
            self.subscriptions[number].open();
        }
        self.allocate(now, place);
        for at in 0..self.transports[place].subscriptions.len() {
            self.wish_for(now, self.transports[place].subscriptions[at]);
        }
    }

    /// The place of the track's source, which is made for the first subscription of this shard.
    fn source(&mut self, description: &SubscriptionDescription) -> usize {
        let track = description.track;
        if let Some(&place) = self.source_places.get(&track) {
            return place;
        }
        let source = self.sources.insert(Source::new(track, description.track_transport));
        self.source_places.insert(track, source);
        let owner = description.track_transport.owner(self.shards);
        if owner != self.index {
            let transport = description.track_transport;
            self.hand(owner, Handoff::Subscribe { transport, track, shard: self.index });
            return source;
        }
        let arrives_at = self.transport_places.get(&description.track_transport).copied();
        if let Some((_, state)) = arrives_at.and_then(|place| self.track_state(place, track)) {
            self.sources[source].live = state.live;
            self.sources[source].clocks = state.clocks;
        }
        source
    }

    pub(crate) fn remove_subscription(&mut self, id: SubscriptionId) {
        let Some(number) = self.subscription_places.remove(&id) else { return };
        let subscription = self.subscriptions.remove(number);
        let transport = &mut self.transports[subscription.transport];
        transport.subscriptions.retain(|&other| other != number);
        transport.by_ssrc.retain(|_, other| *other != number);
        transport.forget(number);
        self.leave_source(subscription.source, number);
    }

    /// A subscription gets nothing of a source any more; one that nobody gets anything of is given up.
    fn leave_source(&mut self, place: usize, number: usize) {
        let source = &mut self.sources[place];
        source.subscriptions.retain(|&other| other != number);
        if !source.subscriptions.is_empty() {
            return;
        }
        let source = self.sources.remove(place);
        self.source_places.remove(&source.track);
        let owner = source.transport.owner(self.shards);
        if owner != self.index {
            let Source { transport, track, .. } = source;
            self.hand(owner, Handoff::Unsubscribe { transport, track, shard: self.index });
        }
    }
}
