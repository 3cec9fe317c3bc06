//! Anything happens in any order on several shards; when it ends, everybody sees everybody. On the way each viewer judges
//! each frame.

use engine::command::Command;
use engine::rtcp_writer::write_picture_loss;

use crate::support::peer::credentials;
use crate::support::random::Random;
use crate::support::world::{Published, Subscribed};
use crate::support::{Weather, World, millis, seconds};

const CLIENTS: u64 = 5;
const DEEDS: u64 = 150;

/// One meeting, with what may be done to it.
struct Meeting {
    world: World,
    random: Random,
    cameras: Vec<Published>,
    /// Each with the camera that is seen.
    views: Vec<(Subscribed, Published)>,
    rounds: Vec<u32>,
    moves: u16,
}

impl Meeting {
    fn new(seed: u64, shards: u16) -> Self {
        let mut world = World::new(seed, shards);
        let cameras: Vec<Published> = (0..CLIENTS)
            .map(|number| {
                let client = world.join(Weather::stormy(0.01));
                let camera = world.publish_camera(client, 1 + 2 * (number as usize % 2));
                world.camera(camera).is_temporal = number % 3 == 0;
                camera
            })
            .collect();
        let rounds = vec![0; CLIENTS as usize];
        let mut meeting = Self { world, random: Random::new(seed), cameras, views: Vec::new(), rounds, moves: 0 };
        for client in 0..CLIENTS as usize {
            for camera in meeting.cameras.clone().into_iter().filter(|camera| camera.client != client) {
                let view = meeting.world.view(client, camera);
                meeting.views.push((view, camera));
            }
        }
        meeting
    }

    fn do_something(&mut self) {
        let world = &mut self.world;
        let client = self.random.below(CLIENTS) as usize;
        let camera = self.cameras[self.random.below(CLIENTS) as usize];
        let place = self.random.below(self.views.len() as u64) as usize;
        let (view, seen) = self.views[place];
        let transport = world.clients[client].peer.transport;
        let publishing = world.clients[camera.client].peer.transport;
        let now = world.now;
        match self.random.below(12) {
            0..=2 => world.want(view, true, self.random.below(3) as u8, self.random.below(3) as u8),
            3 => world.want(view, false, 2, 2),
            4 => world.camera(camera).is_muted ^= true,
            5 => world.camera(camera).restart(),
            6 => {
                let blocked = self.random.happens(0.5);
                world.command(Command::BlockTrack { transport: publishing, track: camera.track, blocked });
            }
            7 => {
                let transport = world.clients[view.client].peer.transport;
                let subscription = world.viewer(view).subscription;
                world.command(Command::RemoveSubscription { transport, subscription, trailer: Vec::new() });
                world.viewer(view).asks = false;
                self.views[place] = (world.view(view.client, seen), seen);
            }
            8 => {
                self.rounds[client] += 1;
                let (local_ufrag, local_pwd) = credentials(transport, self.rounds[client]);
                world.command(Command::RestartIce { transport, local_ufrag, local_pwd });
                world.clients[client].peer.restart(now, self.rounds[client]);
            }
            9 => {
                self.moves += 1;
                let address = world.give_address(client, 20_000 + self.moves);
                world.clients[client].peer.move_to(now, address);
            }
            10 => world.weather[client] = [Weather::stormy(0.15 * self.random.part()); 2],
            _ => {
                let mut loss = Vec::new();
                write_picture_loss(&mut loss, 1, world.viewer(view).ssrc);
                world.clients[view.client].peer.send_rtcp(loss);
                world.collect(view.client);
            }
        }
    }

    fn calm_down(&mut self) {
        let world = &mut self.world;
        world.weather.fill([Weather::clear(); 2]);
        for camera in self.cameras.clone() {
            let transport = world.clients[camera.client].peer.transport;
            world.command(Command::BlockTrack { transport, track: camera.track, blocked: false });
            world.camera(camera).is_muted = false;
        }
        for (view, _) in self.views.clone() {
            world.want(view, true, 2, 2);
        }
    }
}

#[test]
fn when_everything_has_happened_everybody_sees_everybody() {
    for seed in 0..6 {
        let mut meeting = Meeting::new(1000 + seed, 1 + seed as u16 % 3);
        for _ in 0..DEEDS {
            meeting.do_something();
            let pause = meeting.random.below(400);
            meeting.world.run(millis(pause));
        }
        meeting.calm_down();
        meeting.world.run(seconds(5));
        let start = meeting.world.now;
        meeting.world.run(seconds(3));
        let end = meeting.world.now;
        for (view, camera) in meeting.views.clone() {
            let layers = meeting.world.camera(camera).encodings.len();
            let viewer = meeting.world.viewer(view);
            let shown = viewer.shown(start, end);
            assert!((88..=91).contains(&shown), "seed {seed}: {shown} frames in 3 s");
            let last = viewer.frames.last().expect("frames");
            assert_eq!(usize::from(last.layer), layers - 1, "seed {seed}");
        }
    }
}
