//! The media of many scripted clients: ICE, SRTP, RTP and RTCP on one thread, told what to do by lines on stdin.
//!
//! `crowd SERVER FIRST`: the server's address with port, and the address of transport 0. `tests/load/` does the
//! signalling and DTLS. Lines in: `open N USERNAME PASSWORD`, `dtls N HEX`, `keys N PROFILE` with four of hex (ours to
//! send, ours to receive), `receive N KIND SSRC RTX_SSRC EXTENSION`, `forget N SSRC`, `camera N MID SSRC
//! temporal|plain RID:BITS:RATE` with the last for each encoding, `microphone N MID SSRC BITS`, `want N MID MASK`,
//! `close N`, `begin`, `report`. Lines out:
//! `reachable N`, `dtls N HEX`, `report JSON`.

mod camera;
mod crowd;
mod figures;
mod microphone;
mod receiver;
mod socket;
mod transport;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crowd::Crowd;

/// All clients' port: their addresses tell them apart.
const PORT: u16 = 40_000;
/// After each wake-up: so that a burst is taken at once, and who sends is not charged with waking us for each packet.
const GATHER: Duration = Duration::from_micros(300);

fn now() -> Instant {
    Instant::now()
}

fn gather() {
    std::thread::sleep(GATHER);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, first] = &arguments[..] else {
        return Err("usage: crowd SERVER:PORT FIRST_ADDRESS".into());
    };
    let (server, first): (SocketAddrV4, Ipv4Addr) = (server.parse()?, first.parse()?);
    let (inbox, socket) = socket::bind(PORT, server)?;
    let mut crowd = Crowd::new(now(), inbox, socket, first);
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    let mut lines = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let mut back = String::new();
    loop {
        let wait = crowd.poll_timeout().map_or(Duration::from_secs(1), |at| at.saturating_duration_since(now()));
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        let is_told = {
            let mut files = [PollFd::new(crowd.socket(), PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
            match poll(&mut files, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            !files[1].revents().is_empty()
        };
        if is_told {
            let count = stdin.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            lines.extend_from_slice(&buffer[..count]);
            while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
                let rest = lines.split_off(end + 1);
                let line = std::mem::replace(&mut lines, rest);
                if let Some(answer) = crowd.command(now(), str::from_utf8(&line)?.trim_end())? {
                    back.push_str(&answer);
                    back.push('\n');
                }
            }
        } else {
            gather();
        }
        crowd.receive(now(), &mut back)?;
        crowd.handle_timeout(now());
        if !back.is_empty() {
            stdout.write_all(back.as_bytes())?;
            stdout.flush()?;
            back.clear();
        }
    }
}
