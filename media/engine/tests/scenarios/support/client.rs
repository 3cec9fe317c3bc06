//! A scripted client: one transport with its cameras, microphones, viewers and listeners.

use std::time::Instant;

use engine::rtcp::{self, ExtendedBlock, Packet as Rtcp, ReportBlock};
use engine::rtcp_writer::write_delay_since_reference;

use super::camera::Camera;
use super::microphone::{Listener, Microphone};
use super::peer::{Incoming, Peer};
use super::scalable::ScalableCamera;
use super::viewer::Viewer;

/// A client.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) cameras: Vec<Camera>,
    pub(crate) scalable_cameras: Vec<ScalableCamera>,
    pub(crate) microphones: Vec<Microphone>,
    pub(crate) viewers: Vec<Viewer>,
    pub(crate) listeners: Vec<Listener>,
    /// Reports that the server sent about what this client publishes.
    pub(crate) reception: Vec<ReportBlock>,
    /// Transport-wide numbers that were told to have arrived, with the time in microseconds, and how many to be lost.
    pub(crate) told_arrived: Vec<(u16, i64)>,
    pub(crate) told_lost: u64,
    /// When transport-wide feedback came.
    pub(crate) feedback_at: Vec<Instant>,
    /// How often the server asked for the round trip.
    pub(crate) questions: u64,
    /// Packets of SSRCs that nobody here expects.
    pub(crate) strangers: u64,
}

impl Client {
    pub(crate) fn new(peer: Peer) -> Self {
        Self {
            peer,
            cameras: Vec::new(),
            scalable_cameras: Vec::new(),
            microphones: Vec::new(),
            viewers: Vec::new(),
            listeners: Vec::new(),
            reception: Vec::new(),
            told_arrived: Vec::new(),
            told_lost: 0,
            feedback_at: Vec::new(),
            questions: 0,
            strangers: 0,
        }
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, bytes: &mut [u8]) {
        if self.peer.is_gone {
            return;
        }
        match self.peer.handle_datagram(now, bytes) {
            Incoming::Nothing => {}
            Incoming::Rtp(header, plain) => {
                let ssrc = header.ssrc;
                let viewer = self.viewers.iter_mut().find(|viewer| viewer.ssrc == ssrc || viewer.rtx_ssrc == ssrc);
                if let Some(viewer) = viewer {
                    viewer.handle_rtp(now, &header, &plain);
                } else if let Some(listener) = self.listeners.iter_mut().find(|listener| listener.ssrc == ssrc) {
                    listener.handle_rtp(now, &header, &plain);
                } else {
                    self.strangers += 1;
                }
            }
            Incoming::Rtcp(compound) => {
                let mut packets = rtcp::packets(&compound);
                for packet in packets.by_ref() {
                    self.handle_rtcp(now, &packet);
                }
                assert!(!packets.is_broken(), "the server sends sound RTCP");
            }
        }
    }

    fn handle_rtcp(&mut self, now: Instant, packet: &Rtcp<'_>) {
        self.cameras.iter_mut().for_each(|camera| camera.handle_rtcp(now, packet, &mut self.peer));
        self.scalable_cameras.iter_mut().for_each(|camera| camera.handle_rtcp(now, packet, &mut self.peer));
        self.microphones.iter_mut().for_each(|microphone| microphone.handle_rtcp(packet, &mut self.peer));
        self.viewers.iter_mut().for_each(|viewer| viewer.handle_rtcp(now, packet));
        match packet {
            Rtcp::ReceiverReport(report) => self.reception.extend(report.blocks),
            // Browsers answer in their next report; only the time between tells.
            Rtcp::ExtendedReport(report) => {
                let mut answer = Vec::new();
                for block in report.blocks() {
                    if let ExtendedBlock::ReferenceTime(time) = block {
                        write_delay_since_reference(&mut answer, 1, report.sender, (time >> 16) as u32, 0);
                        self.questions += 1;
                    }
                }
                self.peer.send_rtcp(answer);
            }
            Rtcp::TransportFeedback(feedback) => {
                self.feedback_at.push(now);
                for (number, arrival) in feedback.statuses() {
                    match arrival {
                        Some(arrival) => self.told_arrived.push((number, arrival)),
                        None => self.told_lost += 1,
                    }
                }
            }
            _ => {}
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.peer.is_gone {
            return None;
        }
        let cameras = self.cameras.iter().map(Camera::poll_timeout);
        let cameras = cameras.chain(self.scalable_cameras.iter().map(ScalableCamera::poll_timeout));
        let microphones = self.microphones.iter().map(Microphone::poll_timeout);
        let viewers = self.viewers.iter().map(Viewer::poll_timeout);
        let listeners = self.listeners.iter().map(Listener::poll_timeout);
        cameras.chain(microphones).chain(viewers).chain(listeners).chain(self.peer.poll_timeout()).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.peer.handle_timeout(now);
        self.cameras.iter_mut().for_each(|camera| camera.handle_timeout(now, &mut self.peer));
        self.scalable_cameras.iter_mut().for_each(|camera| camera.handle_timeout(now, &mut self.peer));
        self.microphones.iter_mut().for_each(|microphone| microphone.handle_timeout(now, &mut self.peer));
        for viewer in &mut self.viewers {
            if viewer.poll_timeout() <= now {
                let compound = viewer.handle_timeout(now);
                self.peer.send_rtcp(compound);
            }
        }
        for listener in &mut self.listeners {
            if listener.poll_timeout() <= now {
                let compound = listener.handle_timeout(now);
                self.peer.send_rtcp(compound);
            }
        }
    }
}
