//! What a shard does with a datagram: whose it is, whether it is authentic, and who gets it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use crate::batch::{Carrier, Path};
use crate::capture::Direction;
use crate::command::{TransportId, parse_owner};
use crate::demux::{self, Protocol};
use crate::event::Event;
use crate::handoff::Handoff;
use crate::history::Refusal as NackRefusal;
use crate::ice::{Checked, Refusal as CheckRefusal};
use crate::keyframe;
use crate::packet::Packet;
use crate::paths::Owner;
use crate::rtcp::{self, Packet as Rtcp, ReportBlock};
use crate::rtp::Header;
use crate::shard::Shard;
use crate::srtp::Refusal as SrtpRefusal;
use crate::stun::Message;
use crate::subscription::{LayerClock, Offered};
use crate::transport::Outgoing;

/// The transport that a STUN check names by its USERNAME; whether it is authentic only the transport can tell.
pub fn named_transport(datagram: &[u8]) -> Option<TransportId> {
    if demux::classify(datagram) != Ok(Protocol::Stun) {
        return None;
    }
    let (local, _) = Message::parse(datagram).ok()?.ufrags()?;
    parse_owner(local.as_bytes())
}

/// Whether nobody can have sent from `address`, so that an answer would go to somebody else: port 0, no host, a group, or
/// IPv4 written as IPv6, which no wire carries (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5).
fn is_no_source(address: SocketAddr) -> bool {
    let ip = address.ip();
    let is_broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    let is_mapped = ip.to_canonical() != ip;
    address.port() == 0 || ip.is_unspecified() || ip.is_multicast() || is_broadcast || is_mapped
}

impl Shard {
    /// Takes a datagram that a socket of this shard received, or that of shard `via`.
    pub(crate) fn receive_datagram(
        &mut self,
        now: Instant,
        arrived: Instant,
        path: Path,
        via: Option<u16>,
        datagram: &mut [u8],
    ) {
        let protocol = match demux::classify(datagram) {
            Ok(protocol) => protocol,
            Err(demux::Refusal::Short) => return self.counters.udp_short += 1,
            Err(demux::Refusal::Long) => return self.counters.udp_long += 1,
            Err(demux::Refusal::Unassigned) => return self.counters.udp_unknown += 1,
        };
        if protocol == Protocol::Stun {
            return self.receive_check(now, arrived, path, via, datagram);
        }
        let place = match self.paths.find(now, path) {
            Some(Owner::Here(place)) => place,
            Some(Owner::Shard(shard)) if via.is_none() => {
                let bytes = Box::from(&*datagram);
                return self.hand(shard, Handoff::Datagram { path, bytes, shard: self.index, arrived });
            }
            _ => return self.counters.path_unknown += 1,
        };
        match protocol {
            Protocol::Dtls => self.receive_dtls(now, place, path, datagram),
            Protocol::Rtp => self.receive_rtp(now, arrived, place, path, datagram),
            Protocol::Rtcp => self.receive_rtcp(now, place, path, datagram),
            Protocol::Stun => {}
        }
    }

    fn receive_check(&mut self, now: Instant, arrived: Instant, path: Path, via: Option<u16>, datagram: &[u8]) {
        let Ok(message) = Message::parse(datagram) else { return self.counters.stun_malformed += 1 };
        let owner = message.ufrags().and_then(|(local, _)| parse_owner(local.as_bytes()));
        let Some(transport) = owner else { return self.counters.stun_unknown_transport += 1 };
        let shard = transport.owner(self.shards);
        if shard != self.index {
            // A connection lives on the shard of the transport that its first check named, and serves no other.
            if via.is_none() && path.carrier == Carrier::Udp {
                self.hand(shard, Handoff::Datagram { path, bytes: Box::from(datagram), shard: self.index, arrived });
            }
            return;
        }
        let Some(&place) = self.transport_places.get(&transport) else {
            return self.counters.stun_unknown_transport += 1;
        };
        if is_no_source(path.remote) {
            return self.counters.stun_malformed += 1;
        }
        let mut answer = Vec::new();
        let result = self.transports[place].ice.handle_check(now, path, via, &message, &mut answer);
        if !answer.is_empty() {
            self.answer(path, answer);
        }
        match result {
            Ok(checked) => {
                if let Some(capture) = &mut self.transports[place].capture {
                    capture.note_datagram(now, path, Direction::Received, datagram);
                }
                self.note_check(now, place, path, via, &checked);
            }
            Err(CheckRefusal::Forged) => self.counters.stun_forged += 1,
            Err(CheckRefusal::RoleConflict) => self.counters.stun_role_conflict += 1,
            Err(CheckRefusal::Replayed) => self.counters.path_kept += 1,
            Err(CheckRefusal::Unusable) => self.counters.stun_malformed += 1,
        }
    }

    fn note_check(&mut self, now: Instant, place: usize, path: Path, via: Option<u16>, checked: &Checked) {
        self.counters.stun_checks += 1;
        self.counters.path_kept += u64::from(checked.kept);
        self.counters.path_moved += u64::from(checked.moved);
        self.paths.claim(now, path, Owner::Here(place));
        if let Some(shard) = via {
            self.hand(shard, Handoff::Claim { path, shard: self.index });
        }
        for pair in &checked.ended {
            self.release(place, pair.path, pair.via);
        }
        if checked.selected || checked.moved || checked.returned {
            self.tell_reachable(place);
        }
        if checked.selected {
            // The first probe goes before any picture.
            self.allocate(now, place);
        }
    }

    /// Forgets a path of the transport at `place`, here and on the shard that receives it.
    pub(crate) fn release(&mut self, place: usize, path: Path, via: Option<u16>) {
        self.paths.release(path, Owner::Here(place));
        if let Some(shard) = via {
            self.hand(shard, Handoff::Release { path, shard: self.index });
        }
    }

    fn tell_reachable(&mut self, place: usize) {
        let transport = &self.transports[place];
        let (id, selected) = (transport.id, transport.ice.sending_path());
        if let Some(path) = selected {
            self.tell(Event::TransportReachable { transport: id, carrier: path.carrier, address: path.remote });
        }
    }

    fn receive_dtls(&mut self, now: Instant, place: usize, path: Path, datagram: &[u8]) {
        self.counters.dtls_in += 1;
        if let Some(capture) = &mut self.transports[place].capture {
            capture.note_datagram(now, path, Direction::Received, datagram);
        }
        let transport = self.transports[place].id;
        self.tell(Event::DatagramReceived { transport, data: datagram.to_vec() });
    }

    fn receive_rtp(&mut self, now: Instant, arrived: Instant, place: usize, path: Path, datagram: &mut [u8]) {
        let transport = &mut self.transports[place];
        let Some(receiver) = &mut transport.receiver else { return self.counters.no_keys += 1 };
        let Ok(header) = Header::parse(datagram) else { return self.counters.rtp_malformed += 1 };
        if !transport.intake.admits(header.ssrc) {
            return self.counters.ssrc_limit += 1;
        }
        let intake = &transport.intake;
        let opened = match receiver.open_rtp_keeping(datagram, &header, |ssrc| intake.is_bound(ssrc)) {
            Ok(opened) => opened,
            Err(SrtpRefusal::Malformed) => return self.counters.rtp_malformed += 1,
            Err(SrtpRefusal::Replayed) => return self.counters.srtp_replayed += 1,
            Err(SrtpRefusal::Unauthentic) => return self.counters.srtp_forged += 1,
        };
        if let Some(capture) = &mut transport.capture {
            capture.note_datagram(now, path, Direction::Received, datagram);
        }
        let returned = transport.ice.handle_authentic(now, path);
        let plain = &datagram[..opened.length];
        let (received, due) = transport.intake.handle_rtp(now, arrived, &header, plain, &mut self.counters);
        if let Some(due) = due {
            self.alarms.arm(place, due);
        }
        if returned {
            self.tell_reachable(place);
        }
        if let Some(received) = received {
            if received.layers_changed {
                self.tell_layers(now, place, received.track);
            }
            received.recovered.into_iter().for_each(|packet| self.publish(now, Arc::new(packet)));
            self.publish(now, received.packet);
            received.followers.into_iter().for_each(|packet| self.publish(now, packet));
        }
    }

    /// Gives a packet that arrived here to the subscriptions of this shard and to the others that want it.
    pub(crate) fn publish(&mut self, now: Instant, packet: Arc<Packet>) {
        let mut told = 0;
        while let Some(&shard) = self.audiences.get(&packet.track).and_then(|audience| audience.get(told)) {
            self.hand(shard, Handoff::Packet(Arc::clone(&packet)));
            told += 1;
        }
        self.distribute(now, &packet);
    }

    /// Offers a packet to each subscription of its track on this shard.
    pub(crate) fn distribute(&mut self, now: Instant, packet: &Arc<Packet>) {
        let Some(&place) = self.source_places.get(&packet.track) else { return };
        let send_time = self.send_time(now);
        let mut forwarding = self.forwarding(now);
        forwarding.sources[place].note(packet);
        let mut wish = false;
        for at in 0..forwarding.sources[place].subscriptions.len() {
            let source = &forwarding.sources[place];
            let number = source.subscriptions[at];
            let subscription = &mut forwarding.subscriptions[number];
            let transport = subscription.transport;
            match subscription.offer(send_time, packet, &source.clocks, forwarding.counters) {
                Offered::Sent(sent) => {
                    forwarding.counters.note_forwarded(packet);
                    forwarding.enqueue(transport, Outgoing::Media { subscription: number, sent, rtx: None });
                }
                Offered::Began(sent) => {
                    forwarding.counters.note_forwarded(packet);
                    forwarding.enqueue(transport, Outgoing::Media { subscription: number, sent, rtx: None });
                    for late in forwarding.sources[place].overtaken(packet) {
                        let clocks = &forwarding.sources[place].clocks;
                        let subscription = &mut forwarding.subscriptions[number];
                        let offered = subscription.offer(send_time, &late, clocks, forwarding.counters);
                        if let Offered::Sent(sent) = offered {
                            forwarding.counters.note_forwarded(&late);
                            forwarding.enqueue(transport, Outgoing::Media { subscription: number, sent, rtx: None });
                        }
                    }
                }
                Offered::Nothing => wish |= subscription.needs_key_frame(now, packet),
            }
        }
        if wish {
            self.wish_key_frame(now, place, packet.layer, keyframe::REPEATED);
        }
    }

    fn receive_rtcp(&mut self, now: Instant, place: usize, path: Path, datagram: &mut [u8]) {
        let transport = &mut self.transports[place];
        let Some(receiver) = &mut transport.receiver else { return self.counters.no_keys += 1 };
        let length = match receiver.open_rtcp(datagram) {
            Ok(length) => length,
            Err(SrtpRefusal::Malformed) => return self.counters.rtcp_malformed += 1,
            Err(SrtpRefusal::Replayed) => return self.counters.srtcp_replayed += 1,
            Err(SrtpRefusal::Unauthentic) => return self.counters.srtcp_forged += 1,
        };
        if let Some(capture) = &mut transport.capture {
            capture.note_control(now, path, Direction::Received, &datagram[..length]);
        }
        if transport.ice.handle_authentic(now, path) {
            self.tell_reachable(place);
        }
        let mut packets = rtcp::packets(&datagram[..length]);
        for packet in packets.by_ref() {
            match packet {
                Rtcp::SenderReport(report) => {
                    let clock = self.transports[place].intake.handle_sender_report(now, &report);
                    if let Some((track, layer, mapping)) = clock {
                        self.tell_clock(place, track, layer, mapping);
                    }
                    report.blocks.for_each(|block| self.receive_report(now, place, &block));
                }
                Rtcp::ReceiverReport(report) => report.blocks.for_each(|block| self.receive_report(now, place, &block)),
                Rtcp::Nack(nack) => self.receive_nack(now, place, nack.media, nack.sequences()),
                Rtcp::PictureLoss(loss) => {
                    self.counters.pli_received += 1;
                    if let Some(number) = self.find_subscription(place, loss.media) {
                        self.subscriptions[number].totals.requests.plis += 1;
                        self.refresh(now, number);
                    }
                }
                Rtcp::FullIntraRequest(request) => {
                    self.counters.fir_received += 1;
                    for (media, sequence) in request.entries() {
                        let Some(number) = self.find_subscription(place, media) else { continue };
                        self.subscriptions[number].totals.requests.firs += 1;
                        if self.subscriptions[number].note_fir(sequence) {
                            self.refresh(now, number);
                        }
                    }
                }
                Rtcp::ExtendedReport(report) => {
                    self.transports[place].intake.round_trip.note(now, self.ssrc, &report);
                }
                Rtcp::TransportFeedback(feedback) => self.receive_feedback(now, place, &feedback),
                Rtcp::Remb(remb) => self.receive_estimate(now, place, remb.bitrate),
                Rtcp::SourceDescription(_) | Rtcp::Goodbye(_) | Rtcp::Other { .. } => {}
            }
        }
        self.counters.rtcp_malformed += u64::from(packets.is_broken());
    }

    /// The subscription of this transport that sends under an SSRC: nobody reaches those of others.
    fn find_subscription(&mut self, place: usize, ssrc: u32) -> Option<usize> {
        let found = self.transports[place].by_ssrc.get(&ssrc).copied();
        self.counters.rtcp_foreign += u64::from(found.is_none());
        found
    }

    fn receive_report(&mut self, now: Instant, place: usize, block: &ReportBlock) {
        if let Some(number) = self.find_subscription(place, block.ssrc) {
            let subscription = &mut self.subscriptions[number];
            if subscription.ssrc == block.ssrc {
                subscription.note_report(now, block);
                if let (Some(rtt), Some(bandwidth)) =
                    (subscription.reports.reception.rtt, &mut self.transports[place].bandwidth)
                {
                    bandwidth.note_rtt(rtt);
                }
            }
        }
    }

    fn receive_nack(&mut self, now: Instant, place: usize, media: u32, sequences: impl Iterator<Item = u16>) {
        let Some(number) = self.find_subscription(place, media) else { return };
        let mut forwarding = self.forwarding(now);
        for sequence in sequences {
            forwarding.counters.nack_received += 1;
            let subscription = &mut forwarding.subscriptions[number];
            subscription.totals.requests.nacks += 1;
            match subscription.answer(now, sequence) {
                Ok(answer) => forwarding.send_again(place, number, answer),
                Err(NackRefusal::Unknown) => forwarding.counters.nack_unknown += 1,
                Err(NackRefusal::Repeated) => forwarding.counters.nack_repeated += 1,
                Err(NackRefusal::Budget) => forwarding.counters.nack_budget += 1,
                Err(NackRefusal::Refreshed) => forwarding.counters.nack_refreshed += 1,
            }
        }
    }

    /// A receiver asks for a key frame of what it gets.
    fn refresh(&mut self, now: Instant, number: usize) {
        let subscription = &mut self.subscriptions[number];
        if let Some(layer) = subscription.refreshed_layer() {
            subscription.note_refresh(now);
            let source = subscription.source;
            self.wish_key_frame(now, source, layer, keyframe::ONCE);
        }
    }

    /// Notes the clock of a layer for the source at `place`.
    pub(crate) fn note_clock(&mut self, place: usize, layer: u8, clock: LayerClock) {
        if let Some(known) = self.sources[place].clocks.get_mut(usize::from(layer)) {
            *known = Some(clock);
        }
    }
}
