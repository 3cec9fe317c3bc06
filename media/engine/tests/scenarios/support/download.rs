//! A download over TCP that shares somebody's line: a window that grows until something is lost (CUBIC, RFC 9438).

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::network::Datagram;
use super::world::World;

/// A full segment on Ethernet, less what the line counts as headers.
const SEGMENT: usize = 1472;
/// RFC 9438 section 5: what is left of the window after a loss, and how fast it grows, in segments and seconds.
const LEFT: f64 = 0.7;
const GROWTH: f64 = 0.4;
const FIRST_WINDOW: f64 = 10.0;
/// RFC 6298: without an answer for so long it begins anew.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The way back.
const BACK: Duration = Duration::from_millis(25);
const STEP: Duration = Duration::from_millis(1);

pub(crate) struct Download {
    /// Whose line it shares.
    client: usize,
    /// In segments.
    window: f64,
    is_starting: bool,
    /// The window and the time of the last loss.
    lost: Option<(f64, Instant)>,
    /// When the answer to each segment comes, and whether it tells of a loss.
    flying: VecDeque<(Instant, Instant, bool)>,
    answered: Instant,
    pub(crate) bytes: u64,
}

impl Download {
    pub(crate) fn new(world: &World, client: usize) -> Self {
        Self {
            client,
            window: FIRST_WINDOW,
            is_starting: true,
            lost: None,
            flying: VecDeque::new(),
            answered: world.now,
            bytes: 0,
        }
    }

    /// Lets time pass with it.
    pub(crate) fn run(&mut self, world: &mut World, span: Duration) {
        let end = world.now + span;
        while world.now < end {
            self.step(world);
            world.run(STEP);
        }
    }

    fn step(&mut self, world: &mut World) {
        let now = world.now;
        while let Some((due, sent, is_lost)) = self.flying.front().copied().filter(|(due, _, _)| *due <= now) {
            self.flying.pop_front();
            self.answered = due;
            if is_lost {
                self.note_loss(now, sent);
            } else {
                self.bytes += SEGMENT as u64;
                self.grow(now, now - sent);
            }
        }
        if now - self.answered > TIMEOUT {
            (self.window, self.is_starting, self.answered) = (FIRST_WINDOW, true, now);
            self.flying.clear();
        }
        let server = world.server;
        let line = world.network.line(self.client, 1);
        while (self.flying.len() as f64) < self.window {
            let dropped = line.statistics().dropped;
            let to = SocketAddr::from((Ipv4Addr::new(127, 0, 3, 1), 80));
            line.send(now, Datagram { from: server, to, bytes: vec![0; SEGMENT] });
            let due = now + line.queue_delay(now) + line.weather().delay + BACK;
            self.flying.push_back((due, now, line.statistics().dropped > dropped));
        }
    }

    /// One loss for each window counts: the others are of the same queue.
    fn note_loss(&mut self, now: Instant, sent: Instant) {
        if self.lost.is_some_and(|(_, last)| sent < last) {
            return;
        }
        self.lost = Some((self.window, now));
        self.window = (self.window * LEFT).max(2.0);
        self.is_starting = false;
    }

    fn grow(&mut self, now: Instant, round_trip: Duration) {
        let Some((most, last)) = self.lost.filter(|_| !self.is_starting) else {
            self.window += 1.0;
            return;
        };
        let since = (now - last + round_trip).as_secs_f64();
        let inflection = (most * (1.0 - LEFT) / GROWTH).cbrt();
        let cubic = GROWTH * (since - inflection).powi(3) + most;
        // As fast as TCP without CUBIC grows (section 4.3).
        let steady = most * LEFT + 3.0 * (1.0 - LEFT) / (1.0 + LEFT) * since / round_trip.as_secs_f64();
        let target = cubic.max(steady).min(1.5 * self.window);
        if target > self.window {
            self.window += (target - self.window) / self.window;
        }
    }
}
