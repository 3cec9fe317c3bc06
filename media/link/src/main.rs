//! `link SEED`: a bad network between the network namespace in which it is started and a new one of its own.
//!
//! Makes the device `link0` where it is started and `link1` in a new namespace, which others enter by
//! `/proc/PID/ns/net`; addresses are given by who starts it. Says `{}` when both exist, then answers each line of standard
//! input with one of standard output (see `orders.rs`), and ends with standard input.

mod ip_packet;
mod orders;
mod tun;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use link::Line;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use ip_packet::IpPacket;
use tun::Tun;

/// Reads of one device before the other gets its turn: a burst of a key frame at once.
const TURN: usize = 64;

fn main() -> io::Result<()> {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok());
    let seed = seed.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "usage: link SEED"))?;
    let near = Tun::open("link0")?;
    tun::enter_new_namespace()?;
    let far = Tun::open("link1")?;
    answer("{}")?;
    carry([near, far], orders::lines(clock(), seed))
}

#[expect(clippy::disallowed_methods, reason = "the one clock")]
fn clock() -> Instant {
    Instant::now()
}

/// Carries packets and obeys until standard input ends. The first line leads from the first device to the second.
fn carry(mut devices: [Tun; 2], mut lines: [Line<IpPacket>; 2]) -> io::Result<()> {
    let mut unread = Vec::new();
    loop {
        let now = clock();
        for (line, device) in lines.iter_mut().zip(devices.iter_mut().rev()) {
            while let Some(packet) = line.take(now) {
                device.write(&packet.0);
            }
        }
        let patience = lines.iter().filter_map(Line::next).min().map(|due| due.saturating_duration_since(clock()));
        let has_orders = wait(&devices, patience)?;
        for (line, device) in lines.iter_mut().zip(&mut devices) {
            for _ in 0..TURN {
                let Some(packet) = device.read()? else { break };
                line.send(clock(), IpPacket(packet));
            }
        }
        if has_orders {
            if !read_orders(&mut unread)? {
                return Ok(());
            }
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let order: Vec<u8> = unread.drain(..=end).collect();
                answer(&orders::obey(&String::from_utf8_lossy(&order), clock(), &mut lines))?;
            }
        }
    }
}

/// Waits for a packet, an order or the end of `patience`; true where there is an order.
fn wait(devices: &[Tun; 2], patience: Option<Duration>) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut waited = [
        PollFd::new(&stdin, PollFlags::IN),
        PollFd::from_borrowed_fd(devices[0].as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(devices[1].as_fd(), PollFlags::IN),
    ];
    let patience = patience
        .map(|patience| Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: i64::from(patience.subsec_nanos()) });
    match poll(&mut waited, patience.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(!waited[0].revents().is_empty()),
        Err(problem) => Err(problem.into()),
    }
}

/// Reads what there is; false at the end.
fn read_orders(unread: &mut Vec<u8>) -> io::Result<bool> {
    let mut bytes = [0; 4096];
    // Not by the buffer of `stdin`, in which an order could wait unseen by `poll`.
    let length = rustix::io::read(io::stdin(), &mut bytes)?;
    unread.extend_from_slice(&bytes[..length]);
    Ok(length > 0)
}

fn answer(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{text}")?;
    output.flush()
}
