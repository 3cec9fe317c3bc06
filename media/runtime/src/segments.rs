//! Which datagrams of a batch leave in one message, for the kernel to cut apart (UDP_SEGMENT, "GSO").
//!
//! The kernel's way from a system call to the interface is most of what sending costs, and it is gone once for each
//! message.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::ops::Range;

use engine::Entry;

/// UDP_MAX_SEGMENTS of kernels before 6.3; newer ones take twice as many, which gains nothing.
const MAX_SEGMENTS: usize = 64;
/// The longest payload of one UDP datagram over IPv4, which the whole message must not exceed.
const MAX_BYTES: usize = 65_507;
/// Receivers whose refusal is remembered. Beyond it all are tried anew: a failed call each.
const MAX_REFUSALS: usize = 4096;

/// Receivers to which the kernel does not take messages of several datagrams: their path's MTU is less than a datagram,
/// or its route goes through IPsec.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    everybody: bool,
    addresses: HashSet<IpAddr>,
}

impl Refusals {
    pub(crate) fn of_everybody() -> Self {
        Self { everybody: true, ..Self::default() }
    }

    pub(crate) fn note(&mut self, address: IpAddr) {
        if self.addresses.len() >= MAX_REFUSALS {
            self.addresses.clear();
        }
        self.addresses.insert(address);
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.everybody || !self.addresses.is_empty() && self.addresses.contains(&address)
    }
}

/// Whether a message was refused for being cut into segments: EMSGSIZE or (older kernels) EINVAL where a segment does not
/// fit the path's MTU, EIO where the route transforms packets, EINVAL where the socket sends no checksums.
pub(crate) fn are_refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP))
}

/// The entries of each message, in order: one, or several of one path that lie one behind the other and are all of the
/// same length, but for a shorter last one.
pub(crate) struct Groups<'a> {
    entries: &'a [Entry],
    next: usize,
    /// `None` where the kernel knows no segments at all.
    refusals: Option<&'a Refusals>,
}

impl<'a> Groups<'a> {
    pub(crate) fn new(entries: &'a [Entry], refusals: Option<&'a Refusals>) -> Self {
        Self { entries, next: 0, refusals }
    }

    /// How many entries may leave with `first`, the first of `entries`.
    fn together(&self, first: &Entry, entries: &[Entry]) -> usize {
        let size = first.range.len();
        if size == 0 || self.refusals.is_none_or(|refusals| refusals.contains(first.path.remote.ip())) {
            return 1;
        }
        let mut count = 1;
        let mut end = first.range.end;
        for entry in entries.iter().take(MAX_SEGMENTS.min(MAX_BYTES / size)).skip(1) {
            let length = entry.range.len();
            if entry.path != first.path || entry.range.start != end || length > size || length == 0 {
                break;
            }
            count += 1;
            end = entry.range.end;
            if length < size {
                break;
            }
        }
        count
    }
}

impl Iterator for Groups<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.entries.get(self.next..)?;
        let start = self.next;
        self.next += self.together(rest.first()?, rest);
        Some(start..self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Path;

    fn path(port: u16) -> Path {
        Path::udp(([127, 0, 0, 1], 7882).into(), ([127, 0, 0, 2], port).into())
    }

    fn groups(datagrams: &[(u16, usize)], refusals: Option<&Refusals>) -> Vec<usize> {
        let mut end = 0;
        let entry = |&(port, length): &(u16, usize)| {
            let start = end;
            end += length;
            Entry { path: path(port), range: start..end }
        };
        let entries: Vec<_> = datagrams.iter().map(entry).collect();
        let groups: Vec<_> = Groups::new(&entries, refusals).collect();
        assert_eq!(groups.first().map_or(0, |group| group.start), 0);
        assert!(groups.windows(2).all(|pair| pair[0].end == pair[1].start));
        groups.into_iter().map(|group| group.len()).collect()
    }

    #[test]
    fn equal_datagrams_of_one_path_leave_together_and_a_shorter_one_ends_the_message() {
        let none = Refusals::default();
        assert_eq!(groups(&[], Some(&none)), [0; 0]);
        assert_eq!(groups(&[(1, 9), (1, 9), (1, 7), (1, 7), (1, 9)], Some(&none)), [3, 1, 1]);
        assert_eq!(groups(&[(1, 9), (2, 9), (2, 9), (1, 9)], Some(&none)), [1, 2, 1]);
        assert_eq!(groups(&[(1, 9); 150], Some(&none)), [64, 64, 22]);
        assert_eq!(groups(&[(1, 1200); 64], Some(&none)), [54, 10]);
        assert_eq!(groups(&[(1, 0), (1, 0)], Some(&none)), [1, 1]);
        assert_eq!(groups(&[(1, 70_000), (1, 70_000)], Some(&none)), [1, 1]);
    }

    #[test]
    fn where_segments_are_refused_each_datagram_leaves_alone() {
        let mut refusals = Refusals::default();
        assert_eq!(groups(&[(1, 9), (1, 9)], None), [1, 1]);
        refusals.note([127, 0, 0, 3].into());
        assert_eq!(groups(&[(1, 9), (1, 9)], Some(&refusals)), [2]);
        refusals.note([127, 0, 0, 2].into());
        assert_eq!(groups(&[(1, 9), (1, 9)], Some(&refusals)), [1, 1]);
        assert_eq!(groups(&[(1, 9), (1, 9)], Some(&Refusals::of_everybody())), [1, 1]);
    }

    #[test]
    fn remembered_refusals_are_bounded() {
        let mut refusals = Refusals::default();
        for number in 0..=MAX_REFUSALS as u32 {
            refusals.note(IpAddr::from(number.to_be_bytes()));
        }
        assert_eq!(refusals.addresses.len(), 1);
    }
}
