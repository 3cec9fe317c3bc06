//! Shards and scripted clients, joined by a network in virtual time.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use engine::command::{
    Codec, Command, Extension, Kind, SrtpProfile, SubscriptionDescription, SubscriptionId, TrackDescription, TrackId,
    TransportId,
};
use engine::{Batch, Config, Counters, Event, Path, Shard};

use super::camera::{Camera, RIDS, RTX, VP8};
use super::client::Client;
use super::microphone::{LISTENER_OPUS, LISTENER_RED, Listener, Microphone, OPUS, RED};
use super::network::{Datagram, Network, Weather};
use super::peer::{EXTENSIONS, Peer, credentials, keys};
use super::random::Random;
use super::scalable::{Decoder, Mode, ScalableCamera};
use super::viewer::{VIEWER_RTX, VIEWER_VP8, Viewer};

pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Datagrams that the runtime takes from a socket before it sends what they lead to.
const TURN: u32 = 64;

/// A camera or microphone: the client that sends it and its track.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) client: usize,
    pub(crate) track: TrackId,
}

/// What a client receives: the client and the place among its viewers or listeners.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscribed {
    pub(crate) client: usize,
    pub(crate) place: usize,
}

/// Everything of one scenario.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) shards: Vec<Shard>,
    pub(crate) clients: Vec<Client>,
    /// By client: to the server, and from it.
    pub(crate) weather: Vec<[Weather; 2]>,
    pub(crate) events: Vec<(Instant, Event)>,
    /// Datagrams to addresses that no client has.
    pub(crate) strays: Vec<Datagram>,
    /// How long a datagram that ends in an odd byte has waited in the server's socket when it is read.
    pub(crate) waited: Duration,
    /// Where there is one, what arrives at the server is kept here too.
    pub(crate) recording: Option<Vec<Datagram>>,
    pub(crate) server: SocketAddr,
    profile: SrtpProfile,
    pub(crate) network: Network,
    random: Random,
    addresses: HashMap<SocketAddr, usize>,
    /// The addresses from which clients hold connections.
    connections: HashSet<SocketAddr>,
    tracks: u64,
    subscriptions: u64,
    /// Who comes from now on knows no packet trailers.
    pub(crate) cuts_trailers: bool,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
    pub(crate) fn new(seed: u64, shards: u16) -> Self {
        let now = Instant::now();
        let shard = |index| {
            let config = Config { idle_timeout: IDLE_TIMEOUT, seed: seed + u64::from(index), now };
            Shard::new(index, shards, config)
        };
        Self {
            now,
            shards: (0..shards).map(shard).collect(),
            clients: Vec::new(),
            weather: Vec::new(),
            events: Vec::new(),
            strays: Vec::new(),
            waited: Duration::ZERO,
            recording: None,
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, 7882)),
            profile: SrtpProfile::AeadAes128Gcm,
            network: Network::new(seed),
            random: Random::new(seed ^ 0x5eed),
            addresses: HashMap::new(),
            connections: HashSet::new(),
            tracks: 0,
            subscriptions: 0,
            cuts_trailers: false,
        }
    }

    pub(crate) fn with_profile(mut self, profile: SrtpProfile) -> Self {
        self.profile = profile;
        self
    }

    /// A new client, its transport open and its keys set; it connects as time passes.
    pub(crate) fn join(&mut self, weather: Weather) -> usize {
        let number = self.join_without_keys(weather);
        self.set_keys(number);
        number
    }

    /// DTLS of a client ends.
    pub(crate) fn set_keys(&mut self, client: usize) {
        let transport = self.clients[client].peer.transport;
        self.command(Command::SetKeys { transport, keys: keys(self.profile, transport) });
    }

    /// A new client whose DTLS has not ended yet.
    pub(crate) fn join_without_keys(&mut self, weather: Weather) -> usize {
        let number = self.clients.len();
        let transport = TransportId(number as u64);
        let address = SocketAddr::from((Ipv4Addr::new(127, 0, 1, number as u8), 40_000 + number as u16));
        let (local_ufrag, local_pwd) = credentials(transport, 0);
        self.command(Command::OpenTransport { transport, local_ufrag, local_pwd });
        self.command(Command::SetExtensions { transport, extensions: extensions() });
        let peer = Peer::new(self.now, self.profile, transport, address, self.random.draw());
        self.clients.push(Client::new(peer));
        self.weather.push([weather; 2]);
        self.network.add(self.now, [weather; 2]);
        self.addresses.insert(address, number);
        number
    }

    /// Lets a client use another address of its own.
    pub(crate) fn give_address(&mut self, client: usize, port: u16) -> SocketAddr {
        let address = SocketAddr::from((Ipv4Addr::new(127, 0, 2, client as u8), port));
        self.addresses.insert(address, client);
        address
    }

    /// From now on a client's address is the end of a connection (ICE-TCP).
    pub(crate) fn connect(&mut self, address: SocketAddr) {
        self.connections.insert(address);
    }

    /// A connection closes: the shard that has it is told, and nothing more is carried.
    pub(crate) fn disconnect(&mut self, address: SocketAddr) {
        let shard = self.shard_of_connection(address);
        self.shards[shard].handle_closed_path(Path::tcp(self.server, address));
        self.connections.remove(&address);
        self.addresses.remove(&address);
        self.settle();
    }

    /// A connection lives on the shard that owns its client's transport.
    fn shard_of_connection(&self, address: SocketAddr) -> usize {
        let transport = self.clients[self.addresses[&address]].peer.transport;
        usize::from(transport.owner(self.shards.len() as u16))
    }

    pub(crate) fn publish_camera(&mut self, client: usize, layers: usize) -> Published {
        self.tracks += 1;
        let track = TrackId(self.tracks);
        let camera = Camera::new(self.now, track, layers);
        self.clients[client].cameras.push(camera);
        let published = Published { client, track };
        self.describe_camera(published, vec![codec(VP8, "video/VP8", 90_000, Some(RTX))]);
        published
    }

    /// A camera whose one stream holds all layers, in AV1 or VP9.
    pub(crate) fn publish_scalable(&mut self, client: usize, mode: Mode) -> Published {
        self.tracks += 1;
        let track = TrackId(self.tracks);
        let camera = ScalableCamera::new(self.now, track, mode);
        self.command(Command::AddTrack(TrackDescription {
            transport: self.clients[client].peer.transport,
            track,
            kind: Kind::Video,
            mid: camera.mid.clone(),
            codecs: vec![codec(VP8, mode.mime(), 90_000, Some(RTX))],
            layers: Vec::new(),
            streams: Vec::new(),
            measure_loudness: false,
        }));
        self.clients[client].scalable_cameras.push(camera);
        Published { client, track }
    }

    /// Lets a client see a camera whose one stream holds all layers.
    pub(crate) fn view_scalable(&mut self, client: usize, of: Published) -> Subscribed {
        let mode = self.scalable(of).mode;
        let codecs = vec![codec(VIEWER_VP8, mode.mime(), 90_000, Some(VIEWER_RTX))];
        let (subscription, ssrc) = self.subscribe(client, of, Kind::Video, codecs);
        let mut viewer = Viewer::new(self.now, subscription, ssrc, ssrc + 1);
        viewer.decoder = Some(Decoder::default());
        self.clients[client].viewers.push(viewer);
        Subscribed { client, place: self.clients[client].viewers.len() - 1 }
    }

    pub(crate) fn scalable(&mut self, of: Published) -> &mut ScalableCamera {
        let cameras = &mut self.clients[of.client].scalable_cameras;
        cameras.iter_mut().find(|camera| camera.track == of.track).expect("it was published")
    }

    /// Describes a camera's track to the server, at first or anew.
    pub(crate) fn describe_camera(&mut self, of: Published, codecs: Vec<Codec>) {
        let transport = self.clients[of.client].peer.transport;
        let camera = self.camera(of);
        let layers = camera.encodings.len();
        let description = TrackDescription {
            transport,
            track: of.track,
            kind: Kind::Video,
            mid: camera.mid.clone(),
            codecs,
            layers: if layers > 1 { RIDS[..layers].iter().map(ToString::to_string).collect() } else { Vec::new() },
            streams: Vec::new(),
            measure_loudness: false,
        };
        self.command(Command::AddTrack(description));
    }

    pub(crate) fn publish_microphone(&mut self, client: usize) -> Published {
        self.tracks += 1;
        let track = TrackId(self.tracks);
        let microphone = Microphone::new(self.now, track);
        self.command(Command::AddTrack(TrackDescription {
            transport: self.clients[client].peer.transport,
            track,
            kind: Kind::Audio,
            mid: microphone.mid.clone(),
            // As livekit-client negotiates it: Opus is asked for again, RED repairs itself.
            codecs: vec![
                Codec { nack: true, ..codec(OPUS, "audio/opus", 48_000, None) },
                codec(RED, "audio/red", 48_000, None),
            ],
            layers: Vec::new(),
            streams: Vec::new(),
            measure_loudness: true,
        }));
        self.clients[client].microphones.push(microphone);
        Published { client, track }
    }

    /// Lets a client see a camera.
    pub(crate) fn view(&mut self, client: usize, of: Published) -> Subscribed {
        let codecs = vec![codec(VIEWER_VP8, "video/VP8", 90_000, Some(VIEWER_RTX))];
        let (subscription, ssrc) = self.subscribe(client, of, Kind::Video, codecs);
        self.clients[client].viewers.push(Viewer::new(self.now, subscription, ssrc, ssrc + 1));
        Subscribed { client, place: self.clients[client].viewers.len() - 1 }
    }

    /// Lets a client hear a microphone; with `takes_red` also by RED.
    pub(crate) fn listen(&mut self, client: usize, of: Published, takes_red: bool) -> Subscribed {
        let mut codecs = vec![codec(LISTENER_OPUS, "audio/opus", 48_000, None)];
        if takes_red {
            codecs.push(codec(LISTENER_RED, "audio/red", 48_000, None));
        }
        let (_, ssrc) = self.subscribe(client, of, Kind::Audio, codecs);
        self.clients[client].listeners.push(Listener::new(self.now, ssrc));
        Subscribed { client, place: self.clients[client].listeners.len() - 1 }
    }

    /// Lets a viewer get another camera, as its publisher's other codec.
    pub(crate) fn move_view(&mut self, view: Subscribed, of: Published) {
        let (transport, viewer) =
            (self.clients[view.client].peer.transport, &self.clients[view.client].viewers[view.place]);
        let (subscription, ssrc, rtx_ssrc) = (viewer.subscription, viewer.ssrc, Some(viewer.rtx_ssrc));
        self.command(Command::AddSubscription(SubscriptionDescription {
            subscription,
            ssrc,
            rtx_ssrc,
            extensions: extensions(),
            codecs: vec![codec(VIEWER_VP8, "video/VP8", 90_000, Some(VIEWER_RTX))],
            ..plain_subscription(transport, 0, self.clients[of.client].peer.transport, of.track)
        }));
    }

    fn subscribe(&mut self, client: usize, of: Published, kind: Kind, codecs: Vec<Codec>) -> (SubscriptionId, u32) {
        self.subscriptions += 1;
        let subscription = SubscriptionId(self.subscriptions);
        let ssrc = 0x5000_0000 + 2 * self.subscriptions as u32;
        let (to, from) = (self.clients[client].peer.transport, self.clients[of.client].peer.transport);
        self.command(Command::AddSubscription(SubscriptionDescription {
            subscription,
            kind,
            mid: format!("s{}", self.subscriptions),
            ssrc,
            rtx_ssrc: (kind == Kind::Video).then_some(ssrc + 1),
            codecs: self.clients[client].peer.negotiate(codecs),
            extensions: extensions(),
            cut_trailers: self.cuts_trailers,
            ..plain_subscription(to, 0, from, of.track)
        }));
        (subscription, ssrc)
    }

    /// Lets the server pause a client's video where its path has no room.
    pub(crate) fn allow_pauses(&mut self, client: usize) {
        let transport = self.clients[client].peer.transport;
        self.command(Command::AllowPauses { transport, allowed: true });
    }

    /// Sends a client at most so many bits a second; 0 ends that.
    pub(crate) fn limit_bandwidth(&mut self, client: usize, bits_per_second: u64) {
        let transport = self.clients[client].peer.transport;
        self.command(Command::LimitBandwidth { transport, bits_per_second });
    }

    /// The 95th percentile of the time that datagrams to a client waited for its line since the last call.
    pub(crate) fn queue(&mut self, client: usize) -> Duration {
        Duration::from_millis(self.network.line(client, 1).take_queue_delays().quantile(0.95))
    }

    /// Says what a viewer wants.
    pub(crate) fn want(&mut self, of: Subscribed, enabled: bool, spatial_layer: u8, temporal_layer: u8) {
        let transport = self.clients[of.client].peer.transport;
        let subscription = self.viewer(of).subscription;
        self.command(Command::SetSubscription {
            transport,
            subscription,
            enabled,
            spatial_layer,
            temporal_layer,
            priority: 1,
        });
    }

    pub(crate) fn viewer(&mut self, of: Subscribed) -> &mut Viewer {
        &mut self.clients[of.client].viewers[of.place]
    }

    pub(crate) fn listener(&mut self, of: Subscribed) -> &mut Listener {
        &mut self.clients[of.client].listeners[of.place]
    }

    pub(crate) fn camera(&mut self, of: Published) -> &mut Camera {
        let cameras = &mut self.clients[of.client].cameras;
        cameras.iter_mut().find(|camera| camera.track == of.track).expect("it was published")
    }

    pub(crate) fn microphone(&mut self, of: Published) -> &mut Microphone {
        let microphones = &mut self.clients[of.client].microphones;
        microphones.iter_mut().find(|microphone| microphone.track == of.track).expect("it was published")
    }

    pub(crate) fn command(&mut self, command: Command) {
        command.check().expect("scenarios send sound commands");
        let owner = command.transport().owner(self.shards.len() as u16);
        self.shards[usize::from(owner)].handle_command(self.now, command);
        self.settle();
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.network.change(self.now, &self.weather);
        while let Some(due) = self.next().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let mut delivered = 0;
            while let Some(datagram) = self.network.take(self.now) {
                self.deliver(datagram);
                delivered += 1;
                if delivered % TURN == 0 {
                    self.settle();
                }
            }
            for client in 0..self.clients.len() {
                if self.clients[client].poll_timeout().is_some_and(|due| due <= self.now) {
                    self.clients[client].handle_timeout(self.now);
                    self.collect(client);
                }
            }
            for shard in &mut self.shards {
                if shard.poll_timeout().is_some_and(|due| due <= self.now) {
                    shard.handle_timeout(self.now);
                }
            }
            self.settle();
        }
        self.now = end;
    }

    fn next(&self) -> Option<Instant> {
        let shards = self.shards.iter().filter_map(Shard::poll_timeout);
        let clients = self.clients.iter().filter_map(Client::poll_timeout);
        shards.chain(clients).chain(self.network.next()).min()
    }

    fn deliver(&mut self, mut datagram: Datagram) {
        if datagram.to == self.server {
            self.recording.iter_mut().for_each(|recording| recording.push(datagram.clone()));
            self.hand_in(datagram.from, &mut datagram.bytes);
        } else if let Some(&client) = self.addresses.get(&datagram.to) {
            self.clients[client].handle_datagram(self.now, &mut datagram.bytes);
            self.collect(client);
        }
    }

    /// Gives the server a datagram, by its connection or by the shard that the kernel's hash of the address would choose.
    pub(crate) fn receive(&mut self, from: SocketAddr, bytes: &mut [u8]) {
        self.hand_in(from, bytes);
        self.settle();
    }

    /// The same, without taking yet what it leads to: what arrives together is answered together.
    fn hand_in(&mut self, from: SocketAddr, bytes: &mut [u8]) {
        let (shard, path) = if self.connections.contains(&from) {
            (self.shard_of_connection(from), Path::tcp(self.server, from))
        } else {
            let shard = Random::new(u64::from(from.port())).below(self.shards.len() as u64) as usize;
            (shard, Path::udp(self.server, from))
        };
        let arrived = self.now - self.waited * u32::from(bytes.last().is_some_and(|byte| byte % 2 == 1));
        self.shards[shard].handle_datagram(self.now, arrived, path, bytes);
    }

    /// Sends what a client has to send.
    pub(crate) fn collect(&mut self, client: usize) {
        for (from, bytes) in std::mem::take(&mut self.clients[client].peer.outbox) {
            let datagram = Datagram { from, to: self.server, bytes };
            self.network.line(client, 0).send(self.now, datagram);
        }
    }

    /// Takes all that the shards have to give.
    pub(crate) fn settle(&mut self) {
        let mut batch = Batch::new();
        let mut is_settled = false;
        while !std::mem::replace(&mut is_settled, true) {
            for index in 0..self.shards.len() {
                let mut has_more = true;
                while has_more {
                    has_more = self.shards[index].poll_transmit(self.now, &mut batch);
                    for (path, bytes) in batch.datagrams() {
                        let datagram = Datagram { from: path.local, to: path.remote, bytes: bytes.to_vec() };
                        match self.addresses.get(&path.remote) {
                            Some(&client) => self.network.line(client, 1).send(self.now, datagram),
                            None => self.strays.push(datagram),
                        }
                    }
                    batch.clear();
                }
                while let Some(event) = self.shards[index].poll_event() {
                    self.events.push((self.now, event));
                }
                while let Some((owner, handoff)) = self.shards[index].poll_handoff() {
                    is_settled = false;
                    self.shards[usize::from(owner)].handle_handoff(self.now, handoff);
                }
            }
        }
    }

    /// A total over all shards.
    pub(crate) fn total(&self, of: impl Fn(&Counters) -> u64) -> u64 {
        self.shards.iter().map(|shard| of(shard.counters())).sum()
    }
}

pub(crate) fn extensions() -> Vec<Extension> {
    EXTENSIONS.iter().map(|(id, kind)| Extension { id: *id, uri: kind.uri().into() }).collect()
}

/// A subscription of a transport that no client stands behind.
pub(crate) fn plain_subscription(
    transport: TransportId,
    number: u64,
    track_transport: TransportId,
    track: TrackId,
) -> SubscriptionDescription {
    SubscriptionDescription {
        transport,
        subscription: SubscriptionId(1_000_000 + number),
        track_transport,
        track,
        kind: Kind::Video,
        mid: "s".into(),
        ssrc: 0x6000_0000,
        rtx_ssrc: None,
        cname: "them".into(),
        codecs: vec![codec(VIEWER_VP8, "video/VP8", 90_000, None)],
        extensions: Vec::new(),
        cut_trailers: false,
    }
}

pub(crate) fn codec(payload_type: u8, mime: &str, clock_rate: u32, rtx_payload_type: Option<u8>) -> Codec {
    let is_video = mime.starts_with("video");
    Codec {
        payload_type,
        mime: mime.into(),
        clock_rate,
        channels: if is_video { 0 } else { 2 },
        fmtp: String::new(),
        rtx_payload_type,
        nack: is_video,
        pli: is_video,
        fir: is_video,
        transport_cc: true,
    }
}
