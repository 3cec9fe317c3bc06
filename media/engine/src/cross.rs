//! What shards tell each other: paths claimed, tracks wanted, layers, clocks and key frames.

use std::time::{Duration, Instant};

use crate::command::{MAX_LAYERS, TrackId};
use crate::event::Event;
use crate::handoff::{ClockMapping, Handoff};
use crate::keyframe;
use crate::paths::Owner;
use crate::shard::Shard;
use crate::subscription::LayerClock;

/// What the owner of a track knows of it that a new source must know.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TrackState {
    pub(crate) live: u8,
    pub(crate) clocks: [Option<LayerClock>; MAX_LAYERS],
}

impl Shard {
    pub(crate) fn take_over(&mut self, now: Instant, handoff: Handoff) {
        match handoff {
            Handoff::Datagram { path, mut bytes, shard, arrived } => {
                self.receive_datagram(now, arrived, path, Some(shard), &mut bytes);
            }
            Handoff::Claim { path, shard } => self.paths.claim(now, path, Owner::Shard(shard)),
            Handoff::Release { path, shard } => self.paths.release(path, Owner::Shard(shard)),
            Handoff::Subscribe { transport, track, shard } => {
                let audience = self.audiences.entry(track).or_default();
                if !audience.contains(&shard) {
                    audience.push(shard);
                }
                let place = self.transport_places.get(&transport).copied();
                if let Some((_, state)) = place.and_then(|place| self.track_state(place, track)) {
                    self.hand_state(shard, track, &state);
                }
            }
            Handoff::Unsubscribe { track, shard, .. } => {
                if let Some(audience) = self.audiences.get_mut(&track) {
                    audience.retain(|&other| other != shard);
                    if audience.is_empty() {
                        self.audiences.remove(&track);
                    }
                }
            }
            Handoff::Packet(packet) => self.distribute(now, &packet),
            Handoff::Layers { track, live } => self.note_layers(now, track, live),
            Handoff::Clock { track, layer, stream, clock_rate, mapping } => {
                if let Some(&place) = self.source_places.get(&track) {
                    self.note_clock(place, layer, LayerClock { stream, clock_rate, mapping });
                }
            }
            Handoff::RequestKeyFrame { transport, track, layer, patience } => {
                if let Some(&place) = self.transport_places.get(&transport) {
                    self.want_key_frame(now, place, track, layer, patience);
                }
            }
            Handoff::TrackEnded { track } => self.note_track_end(track),
            Handoff::Restarted { shard } => self.meet_again(shard),
        }
    }

    /// Tells a shard that has begun anew which of the paths that it receives are ours; what it wanted is past.
    fn meet_again(&mut self, shard: u16) {
        self.audiences.retain(|_, audience| {
            audience.retain(|&other| other != shard);
            !audience.is_empty()
        });
        let pairs = self.transports.iter().flat_map(|(_, transport)| transport.ice.pairs());
        let paths: Vec<_> = pairs.filter(|pair| pair.via == Some(shard)).map(|pair| pair.path).collect();
        for path in paths {
            self.hand(shard, Handoff::Claim { path, shard: self.index });
        }
    }

    fn hand_state(&mut self, shard: u16, track: TrackId, state: &TrackState) {
        if state.live != 0 {
            self.hand(shard, Handoff::Layers { track, live: state.live });
        }
        for (layer, clock) in (0..).zip(&state.clocks) {
            if let Some(LayerClock { stream, clock_rate, mapping }) = *clock {
                self.hand(shard, Handoff::Clock { track, layer, stream, clock_rate, mapping });
            }
        }
    }

    /// The place of a track in the intake of the transport at `place`, and its state.
    pub(crate) fn track_state(&self, place: usize, id: TrackId) -> Option<(usize, TrackState)> {
        let intake = &self.transports[place].intake;
        let at = intake.find_track(id)?;
        let track = &intake.tracks[at];
        let mut state = TrackState { live: track.live(), ..TrackState::default() };
        for (known, layer) in state.clocks.iter_mut().zip(&track.layers) {
            let (stream, clock_rate) = (layer.stream, layer.clock_rate);
            *known = layer.clock.map(|mapping| LayerClock { stream, clock_rate, mapping });
        }
        Some((at, state))
    }

    /// The layers of a track that arrives here have changed: Python and all who subscribe hear of it.
    pub(crate) fn tell_layers(&mut self, now: Instant, place: usize, at: usize) {
        let transport = self.transports[place].id;
        let track = &self.transports[place].intake.tracks[at];
        let (id, live) = (track.id, track.live());
        let layers = (0..MAX_LAYERS as u8).filter(|layer| live & 1 << layer != 0).collect();
        self.tell(Event::LayersChanged { transport, track: id, layers });
        for shard in self.audiences.get(&id).cloned().unwrap_or_default() {
            self.hand(shard, Handoff::Layers { track: id, live });
        }
        self.note_layers(now, id, live);
    }

    /// The layers of a track have changed: each subscription of this shard chooses anew.
    fn note_layers(&mut self, now: Instant, track: TrackId, live: u8) {
        let Some(&place) = self.source_places.get(&track) else { return };
        self.sources[place].live = live;
        for at in 0..self.sources[place].subscriptions.len() {
            let number = self.sources[place].subscriptions[at];
            self.subscriptions[number].retarget(live);
            self.wish_for(now, number);
        }
    }

    /// A sender report came for a layer of a track that arrives here.
    pub(crate) fn tell_clock(&mut self, place: usize, at: usize, layer: u8, mapping: ClockMapping) {
        let track = &self.transports[place].intake.tracks[at];
        let state = &track.layers[usize::from(layer)];
        let (id, stream, clock_rate) = (track.id, state.stream, state.clock_rate);
        for shard in self.audiences.get(&id).cloned().unwrap_or_default() {
            self.hand(shard, Handoff::Clock { track: id, layer, stream, clock_rate, mapping });
        }
        if let Some(&source) = self.source_places.get(&id) {
            self.note_clock(source, layer, LayerClock { stream, clock_rate, mapping });
        }
    }

    /// Asks for the key frame that a subscription waits for, where it does.
    pub(crate) fn wish_for(&mut self, now: Instant, number: usize) {
        let source = self.subscriptions[number].source;
        if let Some(layer) = self.subscriptions[number].wish(now, self.sources[source].live) {
            self.wish_key_frame(now, source, layer, keyframe::REPEATED);
        }
    }

    /// Asks the owner of a source's track for a key frame.
    pub(crate) fn wish_key_frame(&mut self, now: Instant, source: usize, layer: u8, patience: Duration) {
        self.counters.key_frame_wanted += 1;
        let (transport, track) = (self.sources[source].transport, self.sources[source].track);
        let owner = transport.owner(self.shards);
        if owner != self.index {
            self.hand(owner, Handoff::RequestKeyFrame { transport, track, layer, patience });
        } else if let Some(&place) = self.transport_places.get(&transport) {
            self.want_key_frame(now, place, track, layer, patience);
        }
    }

    fn want_key_frame(&mut self, now: Instant, place: usize, track: TrackId, layer: u8, patience: Duration) {
        let intake = &mut self.transports[place].intake;
        let Some(at) = intake.find_track(track) else { return };
        let at_layer = intake.tracks[at].scalable_layer().unwrap_or(layer.into());
        let Some(layer) = intake.tracks[at].layers.get_mut(at_layer) else { return };
        layer.key_frame.want(now, patience);
        self.send_requests(now, place);
    }
}
