//! What forwarding allocates, and what transports and subscriptions hold: counted by an allocator of this test's own.
//! `cargo test -p engine --test memory -- --nocapture` prints the figures.
#![allow(clippy::print_stdout)]

#[allow(dead_code, reason = "the scenarios use the rest")]
#[path = "scenarios/support/mod.rs"]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use engine::command::{Command, SubscriptionId, TransportId};
use engine::stun::Role;
use engine::{Batch, Path};

use support::peer::{Peer, credentials, keys};
use support::viewer::{VIEWER_RTX, VIEWER_VP8};
use support::world::{Published, codec, extensions, plain_subscription};
use support::{Weather, World, seconds};

/// What one thread has allocated while it counted.
#[derive(Clone, Copy)]
struct Account {
    counts: bool,
    allocations: u64,
    /// Allocated and not freed.
    bytes: i64,
}

thread_local! {
    static ACCOUNT: Cell<Account> = const { Cell::new(Account { counts: false, allocations: 0, bytes: 0 }) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn note(allocations: u64, bytes: i64) {
    ACCOUNT.with(|account| {
        let mut known = account.get();
        if known.counts {
            known.allocations += allocations;
            known.bytes += bytes;
            account.set(known);
        }
    });
}

// SAFETY: everything is the system allocator's; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        note(0, -(layout.size() as i64));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

/// Does `work`; gives how often it allocated, and how many bytes more are held after it.
fn counted<T>(work: impl FnOnce() -> T) -> (T, u64, i64) {
    ACCOUNT.set(Account { counts: true, allocations: 0, bytes: 0 });
    let done = work();
    let Account { allocations, bytes, .. } = ACCOUNT.replace(Account { counts: false, allocations: 0, bytes: 0 });
    (done, allocations, bytes)
}

const VIEWERS: u64 = 100;

/// A world with a camera that is sent to `VIEWERS` transports, which are the shard's alone: no client stands behind them.
struct Stage {
    world: World,
    camera: Published,
    batch: Batch,
    peers: Vec<Peer>,
}

impl Stage {
    fn new() -> Self {
        let mut world = World::new(611, 1);
        let alice = world.join(Weather::clear());
        let camera = world.publish_camera(alice, 1);
        world.run(seconds(1));
        let (now, profile) = (world.now, engine::command::SrtpProfile::AeadAes128Gcm);
        let peer = |number| {
            let address = ([127, 0, 3, number as u8], 5000).into();
            Peer::new(now, profile, TransportId(1000 + number), address, number)
        };
        let peers = (0..VIEWERS).map(peer).collect();
        Self { world, camera, batch: Batch::new(), peers }
    }

    /// Opens and connects the transports; gives the bytes that they hold.
    fn connect(&mut self) -> i64 {
        let mut held = 0;
        for peer in &mut self.peers {
            let (shard, now, transport) = (&mut self.world.shards[0], self.world.now, peer.transport);
            let path = Path::udp(self.world.server, peer.address);
            let (local_ufrag, local_pwd) = credentials(transport, 0);
            let keys = keys(engine::command::SrtpProfile::AeadAes128Gcm, transport);
            let mut check = peer.check(Role::Controlling(7), true);
            let batch = &mut self.batch;
            let ((), _, bytes) = counted(|| {
                shard.handle_command(now, Command::OpenTransport { transport, local_ufrag, local_pwd });
                shard.handle_command(now, Command::SetKeys { transport, keys });
                shard.handle_datagram(now, now, path, &mut check);
                while shard.poll_transmit(now, batch) {
                    batch.clear();
                }
                while shard.poll_event().is_some() {}
            });
            batch.clear();
            held += bytes;
        }
        held
    }

    /// Lets each transport see the camera; gives the bytes that the subscriptions hold.
    fn subscribe(&mut self) -> i64 {
        let publisher = self.world.clients[self.camera.client].peer.transport;
        let mut held = 0;
        for number in 0..VIEWERS {
            let transport = TransportId(1000 + number);
            let mut description = plain_subscription(transport, number, publisher, self.camera.track);
            description.subscription = SubscriptionId(1000 + number);
            description.rtx_ssrc = Some(description.ssrc + 1);
            description.codecs = vec![codec(VIEWER_VP8, "video/VP8", 90_000, Some(VIEWER_RTX))];
            description.extensions = extensions();
            let (shard, now) = (&mut self.world.shards[0], self.world.now);
            held += counted(|| shard.handle_command(now, Command::AddSubscription(description))).2;
        }
        held
    }

    /// Lets the camera send frames; gives the packets that came, those that left, how often that allocated, and the bytes
    /// that are held after it.
    fn send_frames(&mut self, frames: u32) -> (u64, u64, u64, i64) {
        let before = self.world.shards[0].counters().clone();
        let spacing = self.world.camera(self.camera).spacing;
        let (mut allocations, mut held) = (0, 0);
        for _ in 0..frames {
            self.world.now += spacing;
            let now = self.world.now;
            let publisher = &mut self.world.clients[self.camera.client];
            publisher.cameras[0].handle_timeout(now, &mut publisher.peer);
            let mut arriving = std::mem::take(&mut publisher.peer.outbox);
            let (shard, batch, local) = (&mut self.world.shards[0], &mut self.batch, self.world.server);
            let ((), allocated, bytes) = counted(|| {
                for (remote, datagram) in &mut arriving {
                    shard.handle_datagram(now, now, Path::udp(local, *remote), datagram);
                }
                while shard.poll_transmit(now, batch) {
                    batch.clear();
                }
                batch.clear();
            });
            allocations += allocated;
            held += bytes;
            // What time brings (reports, feedback) is not a packet's doing.
            shard.handle_timeout(now);
            while shard.poll_transmit(now, batch) {
                batch.clear();
            }
            batch.clear();
            while shard.poll_event().is_some() {}
        }
        let after = self.world.shards[0].counters();
        let came = after.packets_in - before.packets_in;
        (came, after.packets_forwarded - before.packets_forwarded, allocations, held)
    }
}

#[test]
fn a_forwarded_packet_allocates_nothing() {
    let mut stage = Stage::new();
    stage.connect();
    stage.subscribe();
    // The history is full, and every queue has grown.
    stage.world.camera(stage.camera).encodings[0].needs_key_frame = true;
    stage.send_frames(240);
    let (came, left, allocations, held) = stage.send_frames(60);
    assert_eq!((came, left), (300, 300 * VIEWERS));
    println!("{came} packets came, {left} left: {allocations} allocations");
    // A packet that comes is kept for all receivers in two pieces of memory. What waits for another moment may grow.
    assert!(allocations <= 2 * came + 20, "{allocations}");
    assert!(held.abs() < 100_000, "{held}");
}

#[test]
fn transports_and_histories_are_small() {
    let mut stage = Stage::new();
    let transports = stage.connect() / VIEWERS as i64;
    let subscriptions = stage.subscribe();
    stage.world.camera(stage.camera).encodings[0].needs_key_frame = true;
    let (.., sent) = stage.send_frames(240);
    let subscriptions = (subscriptions + sent) / VIEWERS as i64;
    println!(
        "a transport holds {transports} bytes, a video subscription {subscriptions} with its share of the packets"
    );
    assert!(transports <= 60_000, "{transports}");
    assert!(subscriptions <= 100_000, "{subscriptions}");
}
