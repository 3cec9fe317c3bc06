//! A capture of one transport's packets for a support case: headers only, written as a pcap file.
//!
//! No sound, picture, text or secret gets in. Of RTP there is the header with its extensions, of RTCP the reports and
//! the feedback without descriptions (SDES), reasons (BYE) and what applications add (APP), of DTLS and STUN the
//! first bytes. Each is shown as a UDP datagram of its true length that was cut; RTCP as it was before it was sealed.
//!
//! What a connection carries is shown as TCP: each datagram in its frame (RFC 4571) as a segment of its own, so that tools
//! find the frames. What the kernel made of them is not known here: the numbers count from 1 what the capture has seen.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::batch::{Carrier, Path};
use crate::command::{CaptureId, CaptureLimits};
use crate::event::Event;
use crate::rtcp::{
    EXTENDED_REPORT, PAYLOAD_SPECIFIC_FEEDBACK, RECEIVER_REPORT, SENDER_REPORT, TRANSPORT_LAYER_FEEDBACK,
};
use crate::rtp::Header;
use crate::shard::Shard;

/// Nanosecond pcap, little-endian: magic number, version 2.4, no time zone, frames up to 65,535 bytes, LINKTYPE_RAW (101):
/// each packet begins with its IP header.
const FILE_HEADER: [u8; 24] =
    [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0];
/// Record header, IPv6 header, TCP header and that of the frame.
const LARGEST_HEADERS: usize = 16 + 40 + TCP_HEADER + FRAME_HEADER;
/// RFC 768, RFC 9293 section 3.1, RFC 4571.
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;
const FRAME_HEADER: usize = 2;
/// The header of a DTLS record (RFC 6347 section 4.1).
const DTLS_HEADER: usize = 13;
/// The header of a STUN message (RFC 8489 section 5).
const STUN_HEADER: usize = 20;
/// What waits is handed on in pieces of about this size.
const PIECE: usize = 32 * 1024;
/// Protocol numbers (RFC 791).
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Connections of one transport that are told apart: more than one at a time is a client changing over.
const MAX_CONNECTIONS: usize = 8;

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Received,
    Sent,
}

/// A connection as the capture has seen it: the numbers of the next bytes to and from the client.
#[derive(Debug)]
struct Connection {
    path: Path,
    sent: u32,
    received: u32,
}

/// A capture under way.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) id: CaptureId,
    began: Instant,
    /// Unix time of the beginning.
    wall_clock: Duration,
    until: Instant,
    /// Bytes that may still be written.
    left: usize,
    records: Vec<u8>,
    /// The latest last.
    connections: Vec<Connection>,
}

impl Capture {
    pub(crate) fn new(now: Instant, id: CaptureId, limits: &CaptureLimits) -> Self {
        let mut records = Vec::with_capacity(PIECE + LARGEST_HEADERS);
        records.extend_from_slice(&FILE_HEADER);
        let left = usize::try_from(limits.bytes).unwrap_or(usize::MAX).saturating_sub(FILE_HEADER.len());
        Self {
            id,
            began: now,
            wall_clock: limits.wall_clock,
            until: now + limits.duration,
            left,
            records,
            connections: Vec::new(),
        }
    }

    /// Whether nothing more will be written.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.until || self.left == 0
    }

    /// Whether enough waits to be handed on.
    pub(crate) fn has_piece(&self) -> bool {
        self.records.len() >= PIECE
    }

    /// What was written since the last time.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.records)
    }

    /// A datagram that is sealed or none of SRTP's: RTP, DTLS or STUN.
    pub(crate) fn note_datagram(&mut self, now: Instant, path: Path, direction: Direction, datagram: &[u8]) {
        // RFC 7983.
        let kept = match datagram.first() {
            Some(0..=3) => STUN_HEADER,
            Some(20..=63) => DTLS_HEADER,
            Some(128..=191) => match Header::parse(datagram) {
                Ok(header) => header.length,
                Err(_) => return,
            },
            _ => return,
        };
        self.write(now, path, direction, &datagram[..kept.min(datagram.len())], datagram.len());
    }

    /// A plain RTCP compound.
    pub(crate) fn note_control(&mut self, now: Instant, path: Path, direction: Direction, compound: &[u8]) {
        let mut kept = Vec::with_capacity(compound.len());
        let mut rest = compound;
        while let [_, packet_type, high, low, ..] = rest {
            let length = 4 + 4 * usize::from(u16::from_be_bytes([*high, *low]));
            let Some((packet, next)) = rest.split_at_checked(length) else { break };
            let is_figures = matches!(
                *packet_type,
                SENDER_REPORT
                    | RECEIVER_REPORT
                    | TRANSPORT_LAYER_FEEDBACK
                    | PAYLOAD_SPECIFIC_FEEDBACK
                    | EXTENDED_REPORT
            );
            if is_figures {
                kept.extend_from_slice(packet);
            }
            rest = next;
        }
        if !kept.is_empty() {
            self.write(now, path, direction, &kept, kept.len());
        }
    }

    fn write(&mut self, now: Instant, path: Path, direction: Direction, kept: &[u8], length: usize) {
        if self.left < LARGEST_HEADERS + kept.len() {
            self.left = 0;
        }
        if self.is_over(now) {
            return;
        }
        let (from, to) = match direction {
            Direction::Received => (path.remote, path.local),
            Direction::Sent => (path.local, path.remote),
        };
        let before = self.records.len();
        let at = self.wall_clock + now.saturating_duration_since(self.began);
        let ip_header: usize = if from.is_ipv4() { 20 } else { 40 };
        let (protocol, header) = match path.carrier {
            Carrier::Udp => (UDP, UDP_HEADER),
            Carrier::Tcp => (TCP, TCP_HEADER + FRAME_HEADER),
        };
        let headers = ip_header + header;
        let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        self.records.extend_from_slice(&word(at.as_secs() as usize));
        self.records.extend_from_slice(&at.subsec_nanos().to_le_bytes());
        self.records.extend_from_slice(&word(headers + kept.len()));
        self.records.extend_from_slice(&word(headers + length));
        write_ip_header(&mut self.records, from, to, protocol, header + length);
        self.records.extend_from_slice(&from.port().to_be_bytes());
        self.records.extend_from_slice(&to.port().to_be_bytes());
        match path.carrier {
            Carrier::Udp => {
                self.records.extend_from_slice(&half(UDP_HEADER + length));
                // No checksum: of a datagram that was cut there is none.
                self.records.extend_from_slice(&[0, 0]);
            }
            Carrier::Tcp => self.write_segment_header(path, direction, length),
        }
        self.records.extend_from_slice(kept);
        self.left -= self.records.len() - before;
    }

    /// The rest of a TCP header behind its ports, and that of a frame of `length` bytes.
    fn write_segment_header(&mut self, path: Path, direction: Direction, length: usize) {
        /// Five words of header; PSH and ACK.
        const OFFSET_AND_FLAGS: [u8; 2] = [5 << 4, 0x18];
        let connection = self.connection(path);
        let (next, acknowledged) = match direction {
            Direction::Sent => (&mut connection.sent, connection.received),
            Direction::Received => (&mut connection.received, connection.sent),
        };
        let sequence = *next;
        *next = next.wrapping_add((FRAME_HEADER + length) as u32);
        self.records.extend_from_slice(&sequence.to_be_bytes());
        self.records.extend_from_slice(&acknowledged.to_be_bytes());
        self.records.extend_from_slice(&OFFSET_AND_FLAGS);
        // The window is not known, of what was cut there is no checksum, and nothing is urgent.
        self.records.extend_from_slice(&[0xff, 0xff, 0, 0, 0, 0]);
        self.records.extend_from_slice(&half(length));
    }

    fn connection(&mut self, path: Path) -> &mut Connection {
        let place = self.connections.iter().position(|known| known.path == path).unwrap_or_else(|| {
            if self.connections.len() == MAX_CONNECTIONS {
                self.connections.remove(0);
            }
            self.connections.push(Connection { path, sent: 1, received: 1 });
            self.connections.len() - 1
        });
        &mut self.connections[place]
    }
}

impl Shard {
    /// Hands on what was captured of the transport at `place`, and ends what is over.
    pub(crate) fn hand_on_capture(&mut self, now: Instant, place: usize) {
        let transport = &mut self.transports[place];
        let Some(capture) = &mut transport.capture else { return };
        if capture.is_over(now) {
            self.end_capture(place);
        } else if capture.has_piece() {
            let (transport, capture, data) = (transport.id, capture.id, capture.take());
            self.tell(Event::CaptureGrew { transport, capture, data, ended: false });
        }
    }

    /// Ends the capture of the transport at `place`, where there is one.
    pub(crate) fn end_capture(&mut self, place: usize) {
        if let Some(mut capture) = self.transports[place].capture.take() {
            let (transport, data) = (self.transports[place].id, capture.take());
            self.tell(Event::CaptureGrew { transport, capture: capture.id, data, ended: true });
        }
    }
}

fn half(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes()
}

/// RFC 791, RFC 8200; `length` is that of the UDP datagram or TCP segment.
fn write_ip_header(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, protocol: u8, length: usize) {
    const HOPS: u8 = 64;
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let [high, low] = half(20 + length);
            out.extend_from_slice(&[0x45, 0, high, low, 0, 0, 0, 0, HOPS, protocol, 0, 0]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
        }
        (from, to) => {
            let [high, low] = half(length);
            out.extend_from_slice(&[0x60, 0, 0, 0, high, low, protocol, HOPS]);
            for address in [from, to] {
                let mapped = match address {
                    IpAddr::V4(address) => address.to_ipv6_mapped(),
                    IpAddr::V6(address) => address,
                };
                out.extend_from_slice(&mapped.octets());
            }
        }
    }
}
