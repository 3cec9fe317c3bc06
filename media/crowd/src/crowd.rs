//! All transports of the crowd, and when each wants to be looked at.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt::Write;
use std::io;
use std::net::Ipv4Addr;
use std::time::Instant;

use crate::camera::Camera;
use crate::microphone::Microphone;
use crate::receiver::Kind;
use crate::socket::{Inbox, Socket};
use crate::transport::{Figures, Heard, Transport};

/// Batches after which cameras and microphones get their turn, whatever else has come.
const BATCHES: usize = 64;

/// All transports, by the number in their addresses.
pub(crate) struct Crowd {
    inbox: Inbox,
    socket: Socket,
    /// The address of transport 0; the others follow.
    first: Ipv4Addr,
    transports: HashMap<u32, Transport>,
    alarms: BinaryHeap<Reverse<(Instant, u32)>>,
    /// For each transport the alarm that counts: others in the heap are stale.
    alarm_of: HashMap<u32, Instant>,
    figures: Figures,
    begun: Instant,
}

impl Crowd {
    pub(crate) fn new(now: Instant, inbox: Inbox, socket: Socket, first: Ipv4Addr) -> Self {
        Self {
            inbox,
            socket,
            first,
            transports: HashMap::new(),
            alarms: BinaryHeap::new(),
            alarm_of: HashMap::new(),
            figures: Figures::default(),
            begun: now,
        }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Carries out one line of the control channel; what it gives is to be written back. Errors name what was wrong.
    pub(crate) fn command(&mut self, now: Instant, line: &str) -> Result<Option<String>, String> {
        let mut words = line.split(' ');
        let wrong = || format!("not a command: {line}");
        let name = words.next().unwrap_or_default();
        match name {
            "begin" => {
                self.begin(now);
                return Ok(None);
            }
            "report" => return Ok(Some(self.report(now))),
            _ => {}
        }
        let number: u32 = words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
        let words: Vec<&str> = words.collect();
        if let ("open", [username, password]) = (name, &words[..]) {
            let address = Ipv4Addr::from(u32::from(self.first) + number);
            let transport = Transport::new(now, address, (*username).to_owned(), password);
            self.transports.insert(number, transport);
            self.set_alarm(number, now);
            return Ok(None);
        }
        if name == "close" {
            self.transports.remove(&number);
            self.alarm_of.remove(&number);
            return Ok(None);
        }
        // What a transport that is closed already was still to get is of no use.
        let Some(transport) = self.transports.get_mut(&number) else { return Ok(None) };
        match (name, &words[..]) {
            ("dtls", [hex]) => {
                let bytes = bytes_of(hex).ok_or_else(wrong)?;
                self.socket.queue(transport.address, |out| out.extend_from_slice(&bytes));
            }
            ("keys", [profile, keys @ ..]) => {
                let keys: Option<Vec<Vec<u8>>> = keys.iter().map(|hex| bytes_of(hex)).collect();
                if !transport.set_keys(now, profile, &keys.ok_or_else(wrong)?) {
                    return Err(wrong());
                }
            }
            ("receive", [kind, ssrc, rtx_ssrc, extension]) => {
                let kind = if *kind == "video" { Kind::Video } else { Kind::Audio };
                let (Ok(ssrc), Ok(rtx_ssrc), Ok(extension)) = (ssrc.parse(), rtx_ssrc.parse(), extension.parse())
                else {
                    return Err(wrong());
                };
                transport.receive(now, kind, ssrc, rtx_ssrc, extension);
            }
            ("forget", [ssrc]) => transport.forget(ssrc.parse().map_err(|_| wrong())?),
            ("camera", [mid, ssrc, temporal, encodings @ ..]) => {
                let encodings: Option<Vec<_>> = encodings.iter().map(|text| encoding_of(text)).collect();
                let ssrc = ssrc.parse().map_err(|_| wrong())?;
                let (mid, is_temporal) = ((*mid).to_owned(), *temporal == "temporal");
                transport.cameras.push(Camera::new(now, mid, ssrc, is_temporal, encodings.ok_or_else(wrong)?));
            }
            ("microphone", [mid, ssrc, bitrate]) => {
                let (Ok(ssrc), Ok(bitrate)) = (ssrc.parse(), bitrate.parse()) else { return Err(wrong()) };
                transport.microphones.push(Microphone::new(now, (*mid).to_owned(), ssrc, bitrate));
            }
            ("want", [mid, mask]) => {
                let mask = mask.parse().map_err(|_| wrong())?;
                let cameras = transport.cameras.iter_mut().filter(|camera| camera.mid == *mid);
                cameras.for_each(|camera| camera.want(now, mask));
            }
            _ => return Err(wrong()),
        }
        self.look_again(number);
        Ok(None)
    }

    fn begin(&mut self, now: Instant) {
        let waits = std::mem::take(&mut self.figures.video.key_frame_waits);
        self.figures = Figures::default();
        self.figures.video.key_frame_waits = waits;
        self.begun = now;
        for transport in self.transports.values_mut() {
            transport.receivers.iter_mut().for_each(|receiver| receiver.begin());
        }
    }

    /// What was counted since `begin`, as JSON.
    fn report(&mut self, now: Instant) -> String {
        let figures = &mut self.figures;
        for received in [&mut figures.audio, &mut figures.video] {
            (received.subscriptions, received.silent, received.expected, received.lost) = (0, 0, 0, 0);
        }
        let (mut frames, mut key_frames, mut retransmitted) = (0, 0, 0);
        for transport in self.transports.values() {
            for receiver in &transport.receivers {
                let received = match receiver.kind {
                    Kind::Audio => &mut figures.audio,
                    Kind::Video => &mut figures.video,
                };
                let (expected, lost) = receiver.balance();
                received.subscriptions += 1;
                received.silent += u64::from(expected == 0);
                received.expected += expected;
                received.lost += lost;
            }
            for camera in &transport.cameras {
                frames += camera.frames;
                key_frames += camera.key_frames;
                retransmitted += camera.retransmitted;
            }
        }
        let mut out = format!("report {{\"seconds\":{:.3},", (now - self.begun).as_secs_f64());
        figures.audio.write(&mut out, "audio");
        out.push(',');
        figures.video.write(&mut out, "video");
        let _ = write!(
            out,
            ",\"datagrams\":{},\"sent\":{},\"unopened\":{},\"strangers\":{},\"refused\":{},\"frames_sent\":{frames},\
             \"key_frames_sent\":{key_frames},\"retransmitted\":{retransmitted}}}",
            figures.datagrams, figures.sent, figures.unopened, figures.strangers, self.socket.refused,
        );
        out
    }

    /// Takes all that has come; writes back what Python is to know.
    pub(crate) fn receive(&mut self, now: Instant, back: &mut String) -> io::Result<()> {
        let mut touched: Vec<u32> = Vec::new();
        for _ in 0..BATCHES {
            let Self { inbox, socket, first, transports, figures, .. } = self;
            let count = inbox.receive(|address, time, bytes| {
                let number = u32::from(address).wrapping_sub(u32::from(*first));
                let Some(transport) = transports.get_mut(&number) else { return };
                match transport.handle_datagram(now, time, bytes, socket, figures) {
                    Heard::Nothing => {}
                    Heard::Reachable => {
                        let _ = writeln!(back, "reachable {number}");
                    }
                    Heard::Dtls => {
                        let _ = write!(back, "dtls {number} ");
                        for byte in &*bytes {
                            let _ = write!(back, "{byte:02x}");
                        }
                        back.push('\n');
                    }
                }
                touched.push(number);
            })?;
            figures.datagrams += count as u64;
            if count == 0 {
                break;
            }
        }
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().for_each(|number| self.look_again(number));
        self.socket.flush();
        Ok(())
    }

    fn look_again(&mut self, number: u32) {
        if let Some(transport) = self.transports.get(&number) {
            let at = transport.poll_timeout();
            self.set_alarm(number, at);
        }
    }

    fn set_alarm(&mut self, number: u32, at: Instant) {
        let known = self.alarm_of.insert(number, at);
        if known != Some(at) {
            self.alarms.push(Reverse((at, number)));
        }
    }

    /// When the next transport wants to be looked at.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.alarms.peek().map(|Reverse((at, _))| *at)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(Reverse((at, number))) = self.alarms.peek().copied()
            && at <= now
        {
            self.alarms.pop();
            if self.alarm_of.get(&number) != Some(&at) {
                continue;
            }
            self.alarm_of.remove(&number);
            if let Some(transport) = self.transports.get_mut(&number) {
                transport.handle_timeout(now, &mut self.socket, &mut self.figures);
            }
            self.look_again(number);
        }
        self.socket.flush();
    }
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect();
    if rest.is_empty() { bytes } else { None }
}

/// "rid:bits a second:frames a second".
fn encoding_of(text: &str) -> Option<(String, f64, f64)> {
    let mut parts = text.split(':');
    let (rid, bitrate, rate) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((rid.to_owned(), bitrate, rate))
}
