//! Totals of one shard since its start: traffic and drops by reason.

use crate::packet::Packet;

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        /// Totals since the shard's start. A drop's name says its reason.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$meta])* pub $name: u64,)*
        }

        impl Counters {
            /// Each total with its name.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

impl Counters {
    /// A packet goes to one more receiver.
    pub(crate) fn note_forwarded(&mut self, packet: &Packet) {
        self.packets_forwarded += 1;
        self.media_bytes_forwarded += packet.bytes.len() as u64;
    }
}

counters! {
    datagrams_in,
    bytes_in,
    datagrams_out,
    bytes_out,
    /// The core did not keep up, and more of the video was left out.
    overload_raised,
    /// Too short for any protocol.
    udp_short,
    /// Longer than a media datagram may be.
    udp_long,
    /// First byte in no range of RFC 7983 that is served.
    udp_unknown,
    /// Not STUN, from a path that passed no keyed check.
    path_unknown,
    stun_malformed,
    stun_unknown_transport,
    stun_forged,
    stun_role_conflict,
    stun_checks,
    /// A valid check that would have moved a live path on the strength of one message.
    path_kept,
    path_moved,
    handoff_out,
    handoff_in,
    /// Too many handoffs waiting.
    handoff_dropped,
    dtls_in,
    /// To be sent, but no path is selected or consent has ended.
    no_path,
    /// SRTP or SRTCP before DTLS has made its keys, or after they were used up.
    no_keys,
    srtp_forged,
    srtp_replayed,
    srtcp_forged,
    srtcp_replayed,
    rtp_malformed,
    rtcp_malformed,
    rtp_payload_type,
    rtp_unmatched,
    rtp_blocked,
    rtp_duplicate,
    rtp_padding_only,
    /// More SSRCs than one transport may use.
    ssrc_limit,
    rtx_unmatched,
    track_limit,
    packets_in,
    /// Frames of sound that were lost on the way in and found in the redundancy of later ones.
    packets_recovered,
    /// Of those, the ones that came by retransmission.
    packets_repaired,
    packets_forwarded,
    /// Frames of silence that we made for muted sound, and black ones for pictures that end.
    silence_made,
    black_made,
    /// Made as long as others for the same receiver, to leave with them in one message.
    packets_padded,
    /// Bytes of RTP as the publisher sent them, of the packets above and below.
    media_bytes_in,
    media_bytes_repaired,
    media_bytes_forwarded,
    media_bytes_retransmitted,
    /// The receiver negotiated no such codec.
    forward_codec,
    /// Longer than a datagram may be after rewriting.
    forward_long,
    /// A receiver's queue was full.
    egress_dropped,
    packets_retransmitted,
    /// Of those, the ones that nobody asked for: feedback told that they were lost.
    packets_retransmitted_unasked,
    nack_received,
    nack_unknown,
    nack_repeated,
    nack_budget,
    /// A key frame that the receiver asked for comes instead.
    nack_refreshed,
    nack_sent,
    key_frame_wanted,
    key_frame_requested,
    pli_received,
    pli_sent,
    fir_received,
    fir_sent,
    rtcp_foreign,
    events_out,
}
