//! One UDP socket: datagrams in and out in batches (recvmmsg, sendmmsg), each with the local address that it used.
//!
//! The only file with `unsafe`. What makes it sound: every pointer that the kernel gets points into a boxed slice
//! that the same struct owns and never replaces, or into a slice borrowed for the length of the call.

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime};

use engine::{BATCH_DATAGRAMS, Entry, Path};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::ancillary::{Told, arrival};
use crate::failures::{ReceiveFailures, SendFailures};
use crate::segments::{self, Groups, Refusals};

/// More in one recvmmsg gains nothing (measured).
const RECEIVE_DATAGRAMS: usize = 64;
/// No media datagram is longer than an Ethernet frame: what does not fit is not for us.
const RECEIVE_BYTES: usize = 2048;
/// How long a full send buffer may hold up a media thread before the rest of the batch is dropped.
const SEND_PATIENCE: Duration = Duration::from_millis(1);

/// A bound, non-blocking UDP socket.
#[derive(Debug)]
pub struct Socket {
    inner: socket2::Socket,
    local: SocketAddr,
    /// The kernel takes several datagrams in one message (UDP_SEGMENT, Linux 4.18).
    segments: bool,
}

impl Socket {
    /// Takes a bound socket; one on a wildcard address will tell which address received.
    pub fn new(inner: socket2::Socket) -> io::Result<Self> {
        let unexpected = || io::Error::new(io::ErrorKind::InvalidInput, "the socket is not bound to an IP address");
        let local = inner.local_addr()?.as_socket().ok_or_else(unexpected)?;
        inner.set_nonblocking(true)?;
        if local.ip().is_unspecified() {
            let (level, name) = match local {
                SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
                SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
            };
            set_option(&inner, level, name, 1)?;
        }
        // Without it a datagram counts as arrived when it is read.
        let _ = set_option(&inner, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1);
        // A size of 0 changes nothing: it only tells whether the kernel knows the option.
        let segments = set_option(&inner, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
        Ok(Self { inner, local, segments })
    }

    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// How full the receive buffer is, 0 to 1; where it is full, what arrives is dropped unseen. 0 where the kernel does
    /// not tell (SO_MEMINFO, Linux 4.12).
    pub fn fullness(&self) -> f64 {
        const ALLOCATED: usize = 0; // SK_MEMINFO_RMEM_ALLOC
        const LIMIT: usize = 1; // SK_MEMINFO_RCVBUF
        let mut told = [0_u32; 9];
        let mut length = size_of_val(&told) as libc::socklen_t;
        // SAFETY: the kernel writes `length` bytes at most into a live array of that size.
        let result = unsafe {
            libc::getsockopt(
                self.inner.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                told.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if result == 0 { f64::from(told[ALLOCATED]) / f64::from(told[LIMIT].max(1)) } else { 0.0 }
    }

    /// True where datagrams from `local` leave by this socket.
    fn serves(&self, local: SocketAddr) -> bool {
        self.local == local
            || (self.local.ip().is_unspecified()
                && self.local.is_ipv4() == local.is_ipv4()
                && self.local.port() == local.port())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

fn set_option(socket: &socket2::Socket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the kernel reads one int from a live variable of that size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Room for the address of either family.
#[repr(C)]
#[derive(Clone, Copy)]
union Name {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Room for the control messages of one message, aligned as cmsghdr must be: received, a timestamp (32 bytes) and packet info
/// (40 at most); sent, packet info and the size of segments (24).
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_BYTES]);
const CONTROL_BYTES: usize = 72;

/// The arrays of one recvmmsg or sendmmsg call. The headers point into the other three.
struct Messages {
    names: Box<[Name]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Messages {
    fn new(count: usize) -> Self {
        // SAFETY: all four are plain C structs for which zero bytes are a valid value.
        let (name, vector, header) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        let mut messages = Self {
            names: vec![name; count].into_boxed_slice(),
            controls: vec![Control([0; CONTROL_BYTES]); count].into_boxed_slice(),
            vectors: vec![vector; count].into_boxed_slice(),
            headers: vec![header; count].into_boxed_slice(),
        };
        for index in 0..count {
            let header: &mut libc::msghdr = &mut messages.headers[index].msg_hdr;
            header.msg_name = (&raw mut messages.names[index]).cast();
            header.msg_control = (&raw mut messages.controls[index]).cast();
            header.msg_iov = &raw mut messages.vectors[index];
            header.msg_iovlen = 1;
        }
        messages
    }
}

/// Receives datagrams in batches into buffers that are allocated once.
pub struct Datagrams {
    messages: Messages,
    buffer: Box<[u8]>,
    local: SocketAddr,
    count: usize,
    /// When they were read, by both clocks.
    read: (Instant, SystemTime),
    failures: ReceiveFailures,
}

impl Default for Datagrams {
    fn default() -> Self {
        Self::new()
    }
}

impl Datagrams {
    pub fn new() -> Self {
        let mut datagrams = Self {
            messages: Messages::new(RECEIVE_DATAGRAMS),
            buffer: vec![0; RECEIVE_DATAGRAMS * RECEIVE_BYTES].into_boxed_slice(),
            local: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            count: RECEIVE_DATAGRAMS,
            read: (Instant::now(), SystemTime::now()),
            failures: ReceiveFailures::default(),
        };
        for (vector, space) in
            datagrams.messages.vectors.iter_mut().zip(datagrams.buffer.chunks_exact_mut(RECEIVE_BYTES))
        {
            vector.iov_base = space.as_mut_ptr().cast();
            vector.iov_len = space.len();
        }
        datagrams
    }

    /// Takes up to 64 waiting datagrams in place of those before; returns how many, 0 where none waits.
    pub fn receive(&mut self, socket: &Socket) -> usize {
        // The kernel has overwritten the lengths of the messages that it filled last time.
        for message in &mut self.messages.headers[..self.count] {
            message.msg_hdr.msg_namelen = size_of::<Name>() as libc::socklen_t;
        }
        for message in &mut self.messages.headers {
            message.msg_hdr.msg_controllen = size_of::<Control>() as _;
        }
        self.local = socket.local;
        self.count = 0;
        // SAFETY: each header points into boxed slices of `self` with their true lengths, and `buffer` is only lent out
        // by `each`, which borrows `self`.
        let received = unsafe {
            libc::recvmmsg(
                socket.inner.as_raw_fd(),
                self.messages.headers.as_mut_ptr(),
                RECEIVE_DATAGRAMS as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        self.read = (Instant::now(), SystemTime::now());
        if let Ok(count) = usize::try_from(received) {
            self.count = count;
        } else {
            let kind = io::Error::last_os_error().kind();
            if kind != io::ErrorKind::WouldBlock && kind != io::ErrorKind::Interrupted {
                self.failures.receive_failed += 1;
            }
        }
        self.count
    }

    /// True where the last `receive` filled every buffer: more may wait.
    pub fn is_full(&self) -> bool {
        self.count == RECEIVE_DATAGRAMS
    }

    pub fn failures(&self) -> &ReceiveFailures {
        &self.failures
    }

    /// When the datagrams were read.
    pub fn read(&self) -> Instant {
        self.read.0
    }

    /// Gives each received datagram to `take`, with its path and when it arrived; truncated ones are counted and left out.
    pub fn each(&mut self, mut take: impl FnMut(Path, Instant, &mut [u8])) {
        let spaces = self.buffer.chunks_exact_mut(RECEIVE_BYTES);
        let messages = &self.messages;
        let filled = messages.headers[..self.count].iter().zip(&messages.names).zip(&messages.controls);
        for (((message, name), control), space) in filled.zip(spaces) {
            let told = Told::read(control.0.get(..message.msg_hdr.msg_controllen).unwrap_or_default());
            let local = told.local.map_or(self.local, |ip| SocketAddr::new(ip, self.local.port()));
            let path = read_name(name).map(|remote| Path::udp(local, remote));
            match (path, space.get_mut(..message.msg_len as usize)) {
                (Some(path), Some(bytes)) if message.msg_hdr.msg_flags & libc::MSG_TRUNC == 0 => {
                    take(path, arrival(self.read, told.arrived), bytes);
                }
                _ => self.failures.receive_truncated += 1,
            }
        }
    }
}

/// The sender's address, as recvmmsg left it.
fn read_name(name: &Name) -> Option<SocketAddr> {
    // SAFETY: the kernel writes a whole sockaddr of the family that its first field names, and all bytes of the union
    // were initialised before.
    unsafe {
        match libc::c_int::from(name.family) {
            libc::AF_INET => {
                let address = Ipv4Addr::from(u32::from_be(name.v4.sin_addr.s_addr));
                Some(SocketAddr::V4(SocketAddrV4::new(address, u16::from_be(name.v4.sin_port))))
            }
            libc::AF_INET6 => {
                let address = Ipv6Addr::from(name.v6.sin6_addr.s6_addr);
                let port = u16::from_be(name.v6.sin6_port);
                Some(SocketAddr::V6(SocketAddrV6::new(address, port, 0, name.v6.sin6_scope_id)))
            }
            _ => None,
        }
    }
}

/// Sends batches.
pub struct Sender {
    messages: Messages,
    /// By message: the entries that it carries.
    groups: Vec<Range<usize>>,
    refusals: Refusals,
    failures: SendFailures,
}

impl Default for Sender {
    fn default() -> Self {
        Self::new()
    }
}

impl Sender {
    pub fn new() -> Self {
        Self {
            messages: Messages::new(BATCH_DATAGRAMS),
            groups: Vec::with_capacity(BATCH_DATAGRAMS),
            refusals: Refusals::default(),
            failures: SendFailures::default(),
        }
    }

    /// One that sends each datagram in a message of its own.
    pub fn without_segmentation() -> Self {
        Self { refusals: Refusals::of_everybody(), ..Self::new() }
    }

    pub fn failures(&self) -> &SendFailures {
        &self.failures
    }

    /// Sends each entry of `bytes` by the socket that serves its local address. What can't be sent is counted.
    pub fn send(&mut self, sockets: &[Socket], bytes: &[u8], entries: &[Entry]) {
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let local = first.path.local;
            let same = rest.iter().take(BATCH_DATAGRAMS).take_while(|entry| entry.path.local == local).count();
            let (together, after) = rest.split_at(same);
            match sockets.iter().find(|socket| socket.serves(local)) {
                Some(socket) => self.send_by(socket, bytes, together),
                None => self.failures.send_unreachable += together.len() as u64,
            }
            rest = after;
        }
    }

    fn send_by(&mut self, socket: &Socket, bytes: &[u8], entries: &[Entry]) {
        self.groups.clear();
        self.groups.extend(Groups::new(entries, socket.segments.then_some(&self.refusals)));
        for message in 0..self.groups.len() {
            self.prepare(message, socket, bytes, &entries[self.groups[message].clone()]);
        }
        let mut sent = 0;
        let mut waited = false;
        while sent < self.groups.len() {
            let waiting = &mut self.messages.headers[sent..self.groups.len()];
            // SAFETY: the headers point into boxed slices of `self` and into `bytes`, all alive for the call.
            let result = unsafe {
                libc::sendmmsg(
                    socket.inner.as_raw_fd(),
                    waiting.as_mut_ptr(),
                    waiting.len() as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                )
            };
            if let Ok(count) = usize::try_from(result) {
                sent += count;
                waited = false;
                continue;
            }
            let error = io::Error::last_os_error();
            let group = self.groups[sent].clone();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock if !waited => {
                    wait_until_writable(socket);
                    waited = true;
                }
                io::ErrorKind::WouldBlock => {
                    self.failures.send_blocked += (entries.len() - group.start) as u64;
                    return;
                }
                _ if group.len() > 1 && segments::are_refused(&error) => {
                    self.failures.send_unsegmented += 1;
                    self.refusals.note(entries[group.start].path.remote.ip());
                    return self.send_by(socket, bytes, &entries[group.start..]);
                }
                // The error is the first message's own: the others may still go.
                _ => {
                    self.failures.count(&error, group.len() as u64);
                    sent += 1;
                }
            }
        }
    }

    /// Fills a message with entries that lie one behind the other, all of one path.
    fn prepare(&mut self, message: usize, socket: &Socket, bytes: &[u8], entries: &[Entry]) {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return };
        let datagrams = &bytes[first.range.start..last.range.end];
        // sendmmsg only reads what the vector points to, so a shared slice is enough.
        self.messages.vectors[message].iov_base = datagrams.as_ptr().cast_mut().cast();
        self.messages.vectors[message].iov_len = datagrams.len();
        let header = &mut self.messages.headers[message].msg_hdr;
        header.msg_namelen = write_name(&mut self.messages.names[message], first.path.remote);
        let control = &mut self.messages.controls[message];
        let mut length = 0;
        if socket.local.ip().is_unspecified() {
            length = write_source(control, first.path);
        }
        if entries.len() > 1 {
            // Groups are of datagrams that fit an Ethernet frame.
            let size = first.range.len() as u16;
            length = write_control(control, length, libc::SOL_UDP, libc::UDP_SEGMENT, size);
        }
        header.msg_controllen = length as _;
    }
}

fn wait_until_writable(socket: &Socket) {
    let patience = Timespec { tv_sec: 0, tv_nsec: SEND_PATIENCE.subsec_nanos().into() };
    // Whatever it returns, the next attempt to send tells.
    let _ = poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&patience));
}

/// Writes the receiver's address; returns its length.
fn write_name(name: &mut Name, remote: SocketAddr) -> libc::socklen_t {
    match remote {
        SocketAddr::V4(remote) => {
            name.v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: remote.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*remote.ip()).to_be() },
                sin_zero: [0; 8],
            };
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(remote) => {
            name.v6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: remote.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: remote.ip().octets() },
                sin6_scope_id: remote.scope_id(),
            };
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

/// Writes packet info that makes `path.local` the source; returns the length of the control messages.
fn write_source(control: &mut Control, path: Path) -> usize {
    match path.local.ip() {
        IpAddr::V4(address) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from(address).to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            write_control(control, 0, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        IpAddr::V6(address) => {
            // A link-local source needs its interface, which is the one that the receiver's address names.
            let interface = if let SocketAddr::V6(remote) = path.remote { remote.scope_id() } else { 0 };
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: address.octets() },
                ipi6_ifindex: interface as _,
            };
            write_control(control, 0, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
        }
    }
}

/// Writes a control message at `start` of the buffer, the end of those before; returns where it ends.
fn write_control<T: Copy>(
    control: &mut Control,
    start: usize,
    level: libc::c_int,
    kind: libc::c_int,
    value: T,
) -> usize {
    // SAFETY: CMSG_LEN and CMSG_SPACE only count.
    let (length, space) = unsafe {
        let size = size_of::<T>() as libc::c_uint;
        (libc::CMSG_LEN(size) as usize, libc::CMSG_SPACE(size) as usize)
    };
    let place = &mut control.0[start..start + space];
    // SAFETY: `place` has room for a header and, behind it, a T; it is written unaligned, so its address does not matter.
    unsafe {
        let mut header: libc::cmsghdr = mem::zeroed();
        header.cmsg_len = length as _;
        header.cmsg_level = level;
        header.cmsg_type = kind;
        place.as_mut_ptr().cast::<libc::cmsghdr>().write_unaligned(header);
        place[length - size_of::<T>()..].as_mut_ptr().cast::<T>().write_unaligned(value);
    }
    start + space
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Type};

    fn bound(address: &str) -> Socket {
        let address: SocketAddr = address.parse().expect("address");
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None).expect("socket");
        socket.bind(&address.into()).expect("bind");
        Socket::new(socket).expect("set up")
    }

    fn entries(paths: &[Path], length: usize) -> Vec<Entry> {
        let entry = |(index, path): (usize, &Path)| Entry { path: *path, range: index * length..(index + 1) * length };
        paths.iter().enumerate().map(entry).collect()
    }

    fn receive(socket: &Socket) -> Vec<(Path, Vec<u8>)> {
        let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
        assert_eq!(poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&patience)), Ok(1), "nothing came in 10 s");
        let mut datagrams = Datagrams::new();
        datagrams.receive(socket);
        let mut received = Vec::new();
        datagrams.each(|path, _, bytes| received.push((path, bytes.to_vec())));
        received
    }

    /// A datagram goes from `client` to `server`, which is bound to a wildcard, and the answer comes back.
    fn answers_from_the_address_that_received(client: &Socket, server: &Socket, address: &str) {
        let target = SocketAddr::new(address.parse().expect("address"), server.local().port());
        let out = Path::udp(client.local(), target);
        Sender::new().send(std::slice::from_ref(client), b"hello", &entries(&[out], 5));
        let received = receive(server);
        assert_eq!(received, vec![(Path::udp(target, client.local()), b"hello".to_vec())]);
        Sender::new().send(std::slice::from_ref(server), b"again", &entries(&[received[0].0], 5));
        assert_eq!(receive(client), vec![(out, b"again".to_vec())]);
    }

    #[test]
    fn the_receive_buffer_tells_how_full_it_is() {
        let (client, server) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        server.inner.set_recv_buffer_size(64 << 10).expect("a small buffer");
        assert_eq!(server.fullness(), 0.0);
        let out = Path::udp(client.local(), server.local());
        let mut before = 0.0;
        for _ in 0..20 {
            Sender::new().send(std::slice::from_ref(&client), &[7; 1200], &entries(&[out], 1200));
            assert!(server.fullness() > before);
            before = server.fullness();
        }
        assert!((0.2..1.0).contains(&before), "{before}");
        assert_eq!(receive(&server).len(), 20);
        assert_eq!(server.fullness(), 0.0);
    }

    #[test]
    fn datagrams_arrived_when_the_kernel_had_them() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
            let server = bound(address);
            let client = bound(if server.local().is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
            let target = SocketAddr::new(client.local().ip(), server.local().port());
            let before = Instant::now();
            Sender::new().send(
                std::slice::from_ref(&client),
                b"hello",
                &entries(&[Path::udp(client.local(), target)], 5),
            );
            let sent = Instant::now();
            std::thread::sleep(Duration::from_millis(50));
            let mut datagrams = Datagrams::new();
            assert_eq!(datagrams.receive(&server), 1);
            let read = datagrams.read();
            datagrams.each(|path, arrived, _| {
                assert_eq!(path.local, target);
                // The two clocks are read one after the other.
                let margin = Duration::from_millis(5);
                assert!(arrived + margin > before && arrived < sent + margin && arrived < read, "{address}");
            });
        }
    }

    #[test]
    fn a_wildcard_socket_answers_from_the_address_that_received() {
        let client = bound("127.0.0.1:0");
        let server = bound("0.0.0.0:0");
        answers_from_the_address_that_received(&client, &server, "127.0.0.1");
        answers_from_the_address_that_received(&client, &server, "127.0.0.5");
        answers_from_the_address_that_received(&bound("[::1]:0"), &bound("[::]:0"), "::1");
    }

    #[test]
    fn what_cannot_be_sent_is_counted_and_the_rest_goes() {
        let server = bound("127.0.0.1:0");
        let client = bound("127.0.0.1:0");
        let good = Path::udp(server.local(), client.local());
        let broadcast = Path { remote: "255.255.255.255:9".parse().expect("address"), ..good };
        let gone = Path { local: "127.0.0.9:9".parse().expect("address"), ..good };
        let mut sender = Sender::new();
        sender.send(
            std::slice::from_ref(&server),
            b"112233445566",
            &entries(&[good, broadcast, good, gone, gone, good], 2),
        );
        let received: Vec<Vec<u8>> = receive(&client).into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(received, vec![b"11".to_vec(), b"33".to_vec(), b"66".to_vec()]);
        assert_eq!(sender.failures(), &SendFailures { send_forbidden: 1, send_unreachable: 2, ..Default::default() });
        sender.send(std::slice::from_ref(&server), &[0; 70_000], &entries(&[good], 70_000));
        assert_eq!(sender.failures().send_too_long, 1);
    }

    /// Sends 20 datagrams and a shorter one, in one message where the kernel lets us.
    fn send_many(sender: &mut Sender, server: &Socket, client: &Socket) {
        let path = Path::udp(server.local(), client.local());
        let bytes: Vec<u8> = (0..21 * 100).map(|place| (place / 100) as u8).collect();
        let mut many = entries(&[path; 21], 100);
        many[20].range.end -= 60;
        sender.send(std::slice::from_ref(server), &bytes, &many);
        let mut received = Vec::new();
        while received.len() < many.len() {
            received.extend(receive(client).into_iter().map(|(_, bytes)| bytes));
        }
        assert_eq!(received, many.iter().map(|entry| bytes[entry.range.clone()].to_vec()).collect::<Vec<_>>());
    }

    #[test]
    fn a_message_of_many_datagrams_arrives_as_datagrams() {
        let mut sender = Sender::new();
        for (server, client) in [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0")] {
            let server = bound(server);
            assert!(server.segments);
            send_many(&mut sender, &server, &bound(client));
        }
        assert_eq!(sender.failures(), &SendFailures::default());
    }

    #[test]
    fn where_the_kernel_refuses_segments_all_datagrams_arrive_and_it_is_not_asked_again() {
        let server = bound("127.0.0.1:0");
        // A socket without checksums can't have its messages cut: the refusal is the kernel's own.
        set_option(&server.inner, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).expect("SO_NO_CHECK");
        let client = bound("127.0.0.1:0");
        let mut sender = Sender::new();
        send_many(&mut sender, &server, &client);
        send_many(&mut sender, &server, &client);
        assert_eq!(sender.failures(), &SendFailures { send_unsegmented: 1, ..Default::default() });
    }

    #[test]
    fn a_datagram_that_is_too_long_is_dropped_and_counted() {
        let server = bound("127.0.0.1:0");
        let client = bound("127.0.0.1:0");
        let path = Path::udp(client.local(), server.local());
        let bytes = vec![7; RECEIVE_BYTES + 1];
        let mut sender = Sender::new();
        sender.send(std::slice::from_ref(&client), &bytes, &entries(&[path], RECEIVE_BYTES + 1));
        sender.send(std::slice::from_ref(&client), &bytes, &entries(&[path], RECEIVE_BYTES));
        let mut datagrams = Datagrams::new();
        let mut lengths = Vec::new();
        while datagrams.receive(&server) > 0 {
            datagrams.each(|_, _, bytes| lengths.push(bytes.len()));
        }
        assert_eq!(lengths, vec![RECEIVE_BYTES]);
        assert_eq!(datagrams.failures().receive_truncated, 1);
    }
}
