//! One UDP socket for the whole crowd: every client has an IPv4 address of its own, and the port is the same for all.
//!
//! So the kernel hands over what came for hundreds of clients with one call, and the crowd is not what limits. The time
//! of arrival is the kernel's: it does not depend on when this process is scheduled. The crate's only `unsafe` is here;
//! every pointer that the kernel gets points into a boxed slice that the same struct owns and never replaces.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Datagrams of one recvmmsg or sendmmsg; more gain nothing (measured for the runtime).
const BATCH: usize = 64;
/// No media datagram is longer than an Ethernet frame.
const BYTES: usize = 2048;
/// IP_PKTINFO and SCM_TIMESTAMPNS with their headers take 60 bytes.
const CONTROL: usize = 128;
/// Holds a second of 2 Gbit/s, so that what is lost is lost by the server or on its way.
const KERNEL_BUFFER: libc::c_int = 256 << 20;

/// Room for control messages, aligned as the kernel writes them.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// The headers of one batch, and what they point to.
struct Headers {
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Headers {
    fn new() -> Self {
        // SAFETY: both are plain data for which zeros are valid.
        let (vector, header): (libc::iovec, libc::mmsghdr) = unsafe { (mem::zeroed(), mem::zeroed()) };
        Self {
            controls: vec![Control([0; CONTROL]); BATCH].into(),
            vectors: vec![vector; BATCH].into(),
            headers: vec![header; BATCH].into(),
        }
    }
}

/// Binds all addresses of this network on `port`; everything goes to `remote`.
pub(crate) fn bind(port: u16, remote: SocketAddrV4) -> io::Result<(Inbox, Socket)> {
    let inner = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    inner.set_nonblocking(true)?;
    // Without the right to force it the kernel takes as much as it allows.
    if set(&inner, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, KERNEL_BUFFER).is_err() {
        set(&inner, libc::SOL_SOCKET, libc::SO_RCVBUF, KERNEL_BUFFER)?;
    }
    set(&inner, libc::SOL_SOCKET, libc::SO_SNDBUF, 8 << 20)?;
    set(&inner, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    set(&inner, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
    inner.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    // SAFETY: plain data for which zeros are valid.
    let mut address: libc::sockaddr_in = unsafe { mem::zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_port = remote.port().to_be();
    address.sin_addr.s_addr = u32::from(*remote.ip()).to_be();
    let inbox = Inbox { inner: inner.try_clone()?, received: vec![0; BATCH * BYTES].into(), batch: Headers::new() };
    let socket = Socket {
        inner,
        remote: Box::new(address),
        batch: Headers::new(),
        waiting: Vec::new(),
        waiting_ends: Vec::new(),
        refused: 0,
    };
    Ok((inbox, socket))
}

/// The receiving half.
pub(crate) struct Inbox {
    inner: socket2::Socket,
    received: Box<[u8]>,
    batch: Headers,
}

/// The sending half, with what waits to be sent.
pub(crate) struct Socket {
    inner: socket2::Socket,
    remote: Box<libc::sockaddr_in>,
    batch: Headers,
    waiting: Vec<u8>,
    waiting_ends: Vec<(Ipv4Addr, usize)>,
    /// Datagrams that the kernel refused to send.
    pub(crate) refused: u64,
}

impl Inbox {
    /// Gives `take` up to 64 datagrams: whose they are, when they came in nanoseconds of Unix time, and their bytes.
    /// Returns how many there were.
    pub(crate) fn receive(&mut self, mut take: impl FnMut(Ipv4Addr, u64, &mut [u8])) -> io::Result<usize> {
        let Headers { controls, vectors, headers } = &mut self.batch;
        for place in 0..BATCH {
            vectors[place] =
                libc::iovec { iov_base: self.received[place * BYTES..].as_mut_ptr().cast(), iov_len: BYTES };
            headers[place].msg_hdr.msg_name = std::ptr::null_mut();
            headers[place].msg_hdr.msg_namelen = 0;
            headers[place].msg_hdr.msg_iov = &raw mut vectors[place];
            headers[place].msg_hdr.msg_iovlen = 1;
            headers[place].msg_hdr.msg_control = controls[place].0.as_mut_ptr().cast();
            headers[place].msg_hdr.msg_controllen = CONTROL;
        }
        // SAFETY: the headers point into slices that `self` owns and that nobody else touches during the call.
        let count = unsafe {
            libc::recvmmsg(
                self.inner.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(0) } else { Err(error) };
        };
        for place in 0..count {
            let (address, time) = read_control(&headers[place].msg_hdr);
            let length = (headers[place].msg_len as usize).min(BYTES);
            take(address, time, &mut self.received[place * BYTES..place * BYTES + length]);
        }
        Ok(count)
    }
}

impl Socket {
    /// Queues a datagram that `write` appends, from a client's address.
    pub(crate) fn queue(&mut self, from: Ipv4Addr, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.waiting.len();
        write(&mut self.waiting);
        if self.waiting.len() > start {
            self.waiting_ends.push((from, self.waiting.len()));
        }
        if self.waiting_ends.len() >= BATCH {
            self.flush();
        }
    }

    /// Sends what is queued.
    pub(crate) fn flush(&mut self) {
        let Headers { controls, vectors, headers } = &mut self.batch;
        let mut start = 0;
        let count = self.waiting_ends.len();
        for (place, (from, end)) in self.waiting_ends.drain(..).enumerate() {
            vectors[place] = libc::iovec { iov_base: self.waiting[start..].as_mut_ptr().cast(), iov_len: end - start };
            start = end;
            let header = &mut headers[place].msg_hdr;
            header.msg_name = (&raw mut *self.remote).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            header.msg_iov = &raw mut vectors[place];
            header.msg_iovlen = 1;
            header.msg_control = controls[place].0.as_mut_ptr().cast();
            header.msg_controllen = write_source(&mut controls[place], from);
        }
        let mut sent = 0;
        while sent < count {
            // SAFETY: as in `receive`; `waiting` is not touched during the call.
            let result = unsafe {
                libc::sendmmsg(self.inner.as_raw_fd(), headers[sent..].as_mut_ptr(), (count - sent) as libc::c_uint, 0)
            };
            match usize::try_from(result) {
                Ok(some) if some > 0 => sent += some,
                _ => {
                    self.refused += 1;
                    sent += 1;
                }
            }
        }
        self.waiting.clear();
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

fn set(socket: &socket2::Socket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
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

/// The address that a datagram came to, and when.
fn read_control(header: &libc::msghdr) -> (Ipv4Addr, u64) {
    let (mut address, mut time) = (Ipv4Addr::UNSPECIFIED, 0);
    // SAFETY: the kernel wrote whole control messages into the buffer that the header names; reads are unaligned.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = std::ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                    address = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr));
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let at: libc::timespec = std::ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                    time = at.tv_sec.unsigned_abs() * 1_000_000_000 + at.tv_nsec.unsigned_abs();
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    (address, time)
}

/// Writes the address to send from; returns the length of the control messages.
fn write_source(control: &mut Control, from: Ipv4Addr) -> usize {
    let length = size_of::<libc::in_pktinfo>() as libc::c_uint;
    // SAFETY: the buffer is aligned for a header, and 128 bytes hold one with an `in_pktinfo`.
    unsafe {
        let message: *mut libc::cmsghdr = control.0.as_mut_ptr().cast();
        (*message).cmsg_level = libc::IPPROTO_IP;
        (*message).cmsg_type = libc::IP_PKTINFO;
        (*message).cmsg_len = libc::CMSG_LEN(length) as usize;
        let mut info: libc::in_pktinfo = mem::zeroed();
        info.ipi_spec_dst.s_addr = u32::from(from).to_be();
        std::ptr::write_unaligned(libc::CMSG_DATA(message).cast(), info);
        libc::CMSG_SPACE(length) as usize
    }
}
