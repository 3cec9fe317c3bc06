//! What the kernel tells of a datagram beside its sender: where and when it arrived (cmsg(3)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A datagram that is said to have waited for longer did so by a clock that was set meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// When something arrived that the kernel had at `arrived`, by the two clocks at which it was read. A clock that was set
/// meanwhile moves it by little.
pub(crate) fn arrival(read: (Instant, SystemTime), arrived: Option<SystemTime>) -> Instant {
    let waited = arrived.and_then(|arrived| read.1.duration_since(arrived).ok()).unwrap_or_default();
    read.0.checked_sub(waited.min(LONGEST_WAIT)).unwrap_or(read.0)
}

/// What the kernel tells of a datagram beside its sender.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The local address, where the socket is bound to a wildcard (packet info: RFC 3542 section 6.1, ip(7)).
    pub(crate) local: Option<IpAddr>,
    /// When the kernel had it (SO_TIMESTAMPNS, socket(7)).
    pub(crate) arrived: Option<SystemTime>,
}

impl Told {
    /// Reads the control messages that recvmmsg left: each a length of the whole, a level and a type, then its data, and the
    /// next one where a word begins (cmsghdr).
    pub(crate) fn read(mut control: &[u8]) -> Self {
        const HEADER: usize = size_of::<usize>() + 2 * size_of::<libc::c_int>();
        let mut told = Self::default();
        while let Some((&length, rest)) = control.split_first_chunk() {
            let length = usize::from_ne_bytes(length);
            let Some((&level, rest)) = rest.split_first_chunk() else { break };
            let Some((&kind, _)) = rest.split_first_chunk() else { break };
            let Some(data) = control.get(HEADER..length) else { break };
            told.take(libc::c_int::from_ne_bytes(level), libc::c_int::from_ne_bytes(kind), data);
            control = control.get(length.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
        }
        told
    }

    fn take(&mut self, level: libc::c_int, kind: libc::c_int, data: &[u8]) {
        match (level, kind, data) {
            // in_pktinfo: the interface's number, the local address, the header's destination.
            (libc::IPPROTO_IP, libc::IP_PKTINFO, [_, _, _, _, a, b, c, d, ..]) => {
                self.local = Some(Ipv4Addr::new(*a, *b, *c, *d).into());
            }
            // in6_pktinfo: the local address, the interface's number.
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, data) => {
                self.local = data.first_chunk::<16>().map(|address| Ipv6Addr::from(*address).into());
            }
            // timespec: seconds since 1970, nanoseconds.
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, data) => {
                let seconds = data.first_chunk().and_then(|seconds| u64::try_from(i64::from_ne_bytes(*seconds)).ok());
                let nanoseconds = data.last_chunk().and_then(|rest| u32::try_from(i64::from_ne_bytes(*rest)).ok());
                self.arrived = seconds
                    .zip(nanoseconds)
                    .map(|(seconds, nanoseconds)| UNIX_EPOCH + Duration::new(seconds, nanoseconds));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_moves_arrivals_by_little() {
        let read = (Instant::now(), SystemTime::now());
        let hour = Duration::from_secs(3600);
        assert_eq!(arrival(read, None), read.0);
        assert_eq!(arrival(read, Some(read.1 + hour)), read.0);
        assert_eq!(arrival(read, Some(read.1 - hour)), read.0 - LONGEST_WAIT);
        assert_eq!(arrival(read, Some(read.1 - Duration::from_millis(7))), read.0 - Duration::from_millis(7));
    }

    #[test]
    fn control_messages_that_are_cut_tell_nothing_and_break_nothing() {
        let mut whole = Vec::new();
        let put = |whole: &mut Vec<u8>, level: libc::c_int, kind: libc::c_int, data: &[u8]| {
            whole.extend((16 + data.len()).to_ne_bytes());
            whole.extend(level.to_ne_bytes());
            whole.extend(kind.to_ne_bytes());
            whole.extend(data);
            whole.resize(whole.len().next_multiple_of(8), 0);
        };
        let time: Vec<u8> = [1_700_000_000_i64, 250].iter().flat_map(|part| part.to_ne_bytes()).collect();
        put(&mut whole, libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &time);
        put(&mut whole, libc::IPPROTO_IP, libc::IP_PKTINFO, &[9, 0, 0, 0, 198, 18, 0, 1, 198, 18, 0, 1]);
        let told = Told::read(&whole);
        assert_eq!(told.arrived, Some(UNIX_EPOCH + Duration::new(1_700_000_000, 250)));
        assert_eq!(told.local, Some(Ipv4Addr::new(198, 18, 0, 1).into()));
        for length in 0..whole.len() - 4 {
            let told = Told::read(&whole[..length]);
            assert_eq!((told.arrived.is_some(), told.local), (length >= 32, None), "{length}");
        }
        for length in [0_usize, 1, 15, 1000, usize::MAX] {
            whole[..8].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(Told::read(&whole).local, None, "{length}");
        }
    }
}
