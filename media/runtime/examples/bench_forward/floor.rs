//! The least that any forwarder must do: recvmmsg, open once, copy and seal for each receiver, sendmmsg.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use _engine::{Datagrams, Sender, Socket};
use engine::rtp::Header;
use engine::{BATCH_DATAGRAMS, Entry, Path, srtp};

use crate::traffic::{Publisher, Scene, TAG};
use crate::{Forwarder, Outcome, SUBSCRIBERS, cpu_of, key, salt, threads_named, wait_for};

/// More than any datagram of the scenes.
const SPACE: usize = 1280;

pub(crate) struct Floor {
    address: SocketAddr,
    thread: String,
    forwarded: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    /// Open, so that the kernel has someone to deliver to.
    _receivers: Vec<UdpSocket>,
}

impl Floor {
    pub(crate) fn start(scene: Scene, segments: bool) -> Outcome<(Self, Vec<Publisher>)> {
        let publishers =
            (0..scene.tracks()).map(|number| Publisher::new(scene, number)).collect::<Outcome<Vec<_>>>()?;
        let receivers =
            (0..SUBSCRIBERS).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<Vec<_>, _>>()?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        let socket = Socket::new(socket.into())?;
        let remotes = receivers.iter().map(UdpSocket::local_addr).collect::<Result<Vec<_>, _>>()?;
        let forwarded = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let before = threads_named("bench-floor")?;
        let forward = run(scene, segments, socket, remotes, Arc::clone(&forwarded), Arc::clone(&stop))?;
        thread::Builder::new().name("bench-floor".into()).spawn(forward)?;
        let thread =
            wait_for(|| Ok(threads_named("bench-floor")?.into_iter().find(|thread| !before.contains(thread))))?;
        Ok((Self { address, thread, forwarded, stop, _receivers: receivers }, publishers))
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Forwarder for Floor {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn forwarded(&self) -> u64 {
        self.forwarded.load(Ordering::Relaxed)
    }

    fn cpu(&self) -> Outcome<u64> {
        cpu_of(&self.thread)
    }
}

/// A packet that was opened.
struct Plain {
    bytes: [u8; SPACE],
    length: usize,
    header: usize,
    index: u64,
}

/// Sleeps only where nothing waits, as the engine does. What one read brought goes to one receiver after the other; with
/// `segments` what differs by a byte is sent as if it did not.
fn run(
    scene: Scene,
    segments: bool,
    socket: Socket,
    remotes: Vec<SocketAddr>,
    forwarded: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Outcome<impl FnOnce() + Send> {
    let profile = srtp::Profile::AeadAes128Gcm;
    let opener = |number| srtp::Receiver::new(profile, &key(number), &salt(number));
    let mut openers = (0..scene.tracks()).map(opener).collect::<Result<Vec<_>, _>>()?;
    let sealer = |number| srtp::Sender::new(profile, &key(number), &salt(number));
    let sealers = (1..=SUBSCRIBERS).map(sealer).collect::<Result<Vec<_>, _>>()?;
    Ok(move || {
        let sockets = [socket];
        let local = sockets[0].local();
        let mut datagrams = Datagrams::new();
        let mut sender = if segments { Sender::new() } else { Sender::without_segmentation() };
        let mut opened: Vec<Plain> = Vec::new();
        let mut batch = vec![0; BATCH_DATAGRAMS * SPACE];
        let mut entries: Vec<Entry> = Vec::with_capacity(BATCH_DATAGRAMS);
        while !stop.load(Ordering::Relaxed) {
            if datagrams.receive(&sockets[0]) == 0 {
                let patience = rustix::event::Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
                let mut polled = [rustix::event::PollFd::new(&sockets[0], rustix::event::PollFlags::IN)];
                let _ = rustix::event::poll(&mut polled, Some(&patience));
                continue;
            }
            opened.clear();
            datagrams.each(|_, _, datagram| {
                let Ok(header) = Header::parse(datagram) else { return };
                let opener = &mut openers[(header.ssrc & 0xff) as usize];
                let Ok(plain) = opener.open_rtp(datagram, &header) else { return };
                let mut bytes = [0; SPACE];
                bytes[..plain.length].copy_from_slice(&datagram[..plain.length]);
                let length = plain.length + usize::from(segments) * (plain.length & 1);
                opened.push(Plain { bytes, length, header: header.length, index: plain.index });
            });
            let mut end = 0;
            for (sealer, remote) in sealers.iter().zip(&remotes) {
                for plain in &opened {
                    let space = &mut batch[end..end + plain.length + TAG];
                    space[..plain.length].copy_from_slice(&plain.bytes[..plain.length]);
                    let _ = sealer.seal_rtp_slice(space, plain.length, plain.header, plain.index);
                    let range = end..end + space.len();
                    end = range.end;
                    entries.push(Entry { path: Path::udp(local, *remote), range });
                    if entries.len() == BATCH_DATAGRAMS {
                        sender.send(&sockets, &batch, &entries);
                        entries.clear();
                        end = 0;
                    }
                }
            }
            sender.send(&sockets, &batch, &entries);
            entries.clear();
            forwarded.fetch_add((opened.len() * remotes.len()) as u64, Ordering::Relaxed);
        }
    })
}
