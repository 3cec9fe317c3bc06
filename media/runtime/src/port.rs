//! The ports: for UDP one socket for each bind address and shard, all on one port that no other server shares; for TCP
//! one listener for each bind address.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use engine::Carrier;
use socket2::{Domain, Protocol, Type};

use crate::socket::Socket;

/// Holds 40 ms of 2 Gbit/s where the kernel is late to give the thread a core; the kernel doubles it for its own use.
pub(crate) const BUFFER_BYTES: usize = 8 << 20;
/// A port that is free on one address may be taken on another: so often is another one tried where any will do.
const ATTEMPTS: usize = 16;
/// Connections that the kernel may hold for the acceptor; net.core.somaxconn bounds it too.
const BACKLOG: i32 = 1024;

/// The sockets of all shards.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    /// For each shard one socket for each address.
    pub(crate) shards: Vec<Vec<Socket>>,
    /// Bytes that the kernel granted, where that is less than was asked for.
    pub(crate) small_receive_buffer: Option<usize>,
    pub(crate) small_send_buffer: Option<usize>,
}

/// An address that can't be had.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) carrier: Carrier,
    pub(crate) address: SocketAddr,
    pub(crate) source: io::Error,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.carrier, self.address, self.source)
    }
}

/// Binds the UDP port `number` (0: any free one) on every address, `shards` times.
pub(crate) fn open(addresses: &[IpAddr], number: u16, shards: u16) -> Result<Port, Refused> {
    let addresses = without_covered(addresses);
    try_ports(number, || open_all(&addresses, number, shards))
}

/// Listens on the TCP port `number` (0: any free one) of every address. Gives the port too.
pub(crate) fn listen(addresses: &[IpAddr], number: u16) -> Result<(u16, Vec<TcpListener>), Refused> {
    let addresses = without_covered(addresses);
    try_ports(number, || {
        let mut bound = number;
        let mut listeners = Vec::with_capacity(addresses.len());
        for ip in &addresses {
            let address = SocketAddr::new(*ip, bound);
            let refused = |source| Refused { carrier: Carrier::Tcp, address, source };
            let listener = listen_on(address).map_err(refused)?;
            bound = listener.local_addr().map_err(refused)?.port();
            listeners.push(listener);
        }
        Ok((bound, listeners))
    })
}

/// Tries again where any port will do and one that is free on one address is taken on another.
fn try_ports<T>(number: u16, open: impl Fn() -> Result<T, Refused>) -> Result<T, Refused> {
    let mut attempt = 1;
    loop {
        match open() {
            Err(refused) if number == 0 && in_use(&refused.source) && attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

fn in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

/// Leaves out doubles, and addresses that a wildcard of their family receives for.
fn without_covered(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut kept: Vec<IpAddr> = Vec::new();
    for address in addresses {
        let covered = |other: &IpAddr| other.is_unspecified() && other.is_ipv4() == address.is_ipv4();
        if !kept.contains(address) && (address.is_unspecified() || !addresses.iter().any(covered)) {
            kept.push(*address);
        }
    }
    kept
}

fn open_all(addresses: &[IpAddr], number: u16, shards: u16) -> Result<Port, Refused> {
    let mut port = Port {
        number,
        shards: (0..shards).map(|_| Vec::with_capacity(addresses.len())).collect(),
        small_receive_buffer: None,
        small_send_buffer: None,
    };
    for ip in addresses {
        for shard in 0..usize::from(shards) {
            let address = SocketAddr::new(*ip, port.number);
            let refused = |source| Refused { carrier: Carrier::Udp, address, source };
            let socket = bind(address, shard == 0).map_err(refused)?;
            grow_buffers(&socket, &mut port).map_err(refused)?;
            let socket = Socket::new(socket).map_err(refused)?;
            port.number = socket.local().port();
            port.shards[shard].push(socket);
        }
    }
    Ok(port)
}

/// Binds one socket. The first of an address asks for the port alone, and only then lets others of this process share
/// it. So the kernel refuses the first socket of any second server, in one step and without a race, although both
/// would share their ports among their own shards.
fn bind(address: SocketAddr, first: bool) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // "::" must not take the IPv4 port too, so that "0.0.0.0" and "::" can stand side by side.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(!first)?;
    socket.bind(&address.into())?;
    socket.set_reuse_port(true)?;
    Ok(socket)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of a server that has ended linger; a second listener is refused all the same.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Asks for big buffers, beyond the system's limit where the process may.
fn grow_buffers(socket: &socket2::Socket, port: &mut Port) -> io::Result<()> {
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, BUFFER_BYTES).is_err() {
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
    }
    if rustix::net::sockopt::set_socket_send_buffer_size_force(socket, BUFFER_BYTES).is_err() {
        socket.set_send_buffer_size(BUFFER_BYTES)?;
    }
    let granted = |doubled: usize| Some(doubled / 2).filter(|bytes| *bytes < BUFFER_BYTES);
    port.small_receive_buffer = granted(socket.recv_buffer_size()?);
    port.small_send_buffer = granted(socket.send_buffer_size()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

    #[test]
    fn a_wildcard_covers_its_family() {
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        assert_eq!(without_covered(&[LOOPBACK, ANY, v6, LOOPBACK, v6]), vec![ANY, v6]);
        assert_eq!(without_covered(&[LOOPBACK, LOOPBACK]), vec![LOOPBACK]);
    }

    #[test]
    fn shards_share_a_port_that_nobody_else_gets() {
        let port = open(&[LOOPBACK], 0, 3).expect("free port");
        assert_eq!(port.shards.iter().map(Vec::len).collect::<Vec<_>>(), vec![1, 1, 1]);
        for other in [LOOPBACK, ANY] {
            let refused = open(&[other], port.number, 2).expect_err("taken");
            assert!(in_use(&refused.source), "{refused}");
            assert_eq!(refused.address, SocketAddr::new(other, port.number));
        }
        let number = port.number;
        drop(port);
        open(&[LOOPBACK], number, 2).expect("free again");
    }

    #[test]
    fn one_tcp_port_on_all_addresses_that_nobody_else_gets() {
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let (number, listeners) = listen(&[LOOPBACK, v6], 0).expect("free port");
        assert_eq!(listeners.len(), 2);
        let refused = listen(&[LOOPBACK], number).expect_err("taken");
        assert!(in_use(&refused.source), "{refused}");
        assert!(refused.to_string().starts_with(&format!("TCP 127.0.0.1:{number}: ")), "{refused}");
        drop(listeners);
        listen(&[ANY], number).expect("free again");
    }

    #[test]
    fn two_servers_that_start_at_once_never_both_get_the_port() {
        for _ in 0..50 {
            let number = open(&[LOOPBACK], 0, 1).expect("free port").number;
            let barrier = std::sync::Barrier::new(2);
            let start = || {
                barrier.wait();
                open(&[LOOPBACK], number, 4)
            };
            let (one, two) = std::thread::scope(|scope| {
                let one = scope.spawn(start);
                let two = scope.spawn(start);
                (one.join().expect("one"), two.join().expect("two"))
            });
            assert!(one.is_err() || two.is_err());
        }
    }
}
