//! Media over connections (ICE-TCP, RFC 6544, frames of RFC 4571) on real loopback, and what hostile ones can't do.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use _engine::{Notice, Runtime, Settings};
use engine::Command;
use engine::command::TransportId;
use engine::stun::{BindingRequest, Class, IntegrityKey, Message, Role, write_binding_request};
use engine::{Carrier, Event};

/// Generous: on a busy machine a thread may wait long for a core.
const DEADLINE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "0123456789abcdef01234567";

fn start(shards: u16) -> Runtime {
    Runtime::start(&Settings {
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
        udp_port: 0,
        tcp_port: Some(0),
        shards,
        idle_timeout: Duration::from_secs(30),
        segments: true,
    })
    .expect("loopback has free ports")
}

fn ufrag(transport: TransportId) -> String {
    format!("{:x}+ufrag", transport.0)
}

fn open(runtime: &Runtime, transport: TransportId) {
    let open = Command::OpenTransport { transport, local_ufrag: ufrag(transport), local_pwd: PASSWORD.into() };
    assert!(runtime.submit(vec![open]));
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn counter(runtime: &Runtime, name: &str) -> u64 {
    runtime.counters()[name]
}

/// Events until `enough` of them have come.
fn events(runtime: &Runtime, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let mut all = Vec::new();
    until("events", || {
        all.extend(runtime.drain().into_iter().map(|notice| match notice {
            Notice::Event(event) => event,
            Notice::ShardFailed { reason, .. } => panic!("{reason}"),
        }));
        enough(&all)
    });
    all
}

/// A client's end of a connection.
struct Client {
    stream: TcpStream,
    transactions: u8,
}

impl Client {
    fn connect(runtime: &Runtime) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, runtime.tcp_port().expect("it listens")));
        let stream = TcpStream::connect(address).expect("it accepts");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Self { stream, transactions: 0 }
    }

    /// A nominating check for a transport.
    fn check(&mut self, transport: TransportId, password: &str) -> Vec<u8> {
        self.transactions += 1;
        let mut transaction = [self.transactions; 12];
        transaction[..2].copy_from_slice(&self.address().port().to_be_bytes());
        let username = format!("{}:them", ufrag(transport));
        let request =
            BindingRequest { username: &username, priority: 1, role: Role::Controlling(7), use_candidate: true };
        let mut bytes = Vec::new();
        write_binding_request(&mut bytes, &transaction, &request, &IntegrityKey::new(password.as_bytes()));
        bytes
    }

    fn send(&mut self, datagram: &[u8]) {
        let mut frame = (datagram.len() as u16).to_be_bytes().to_vec();
        frame.extend_from_slice(datagram);
        self.stream.write_all(&frame).expect("it is open");
    }

    fn receive(&mut self) -> Vec<u8> {
        let mut prefix = [0; 2];
        self.stream.read_exact(&mut prefix).expect("a length");
        let mut datagram = vec![0; usize::from(u16::from_be_bytes(prefix))];
        self.stream.read_exact(&mut datagram).expect("a whole frame");
        datagram
    }

    /// Its path is selected.
    fn join(runtime: &Runtime, transport: TransportId) -> Self {
        let mut client = Self::connect(runtime);
        let check = client.check(transport, PASSWORD);
        client.send(&check);
        client.expect_answer();
        client
    }

    fn expect_answer(&mut self) {
        let bytes = self.receive();
        let answer = Message::parse(&bytes).expect("STUN");
        assert_eq!((answer.class, answer.mapped_address), (Class::Success, Some(self.address())));
        assert!(answer.verify(&IntegrityKey::new(PASSWORD.as_bytes())));
    }

    fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("an address")
    }

    /// Waits for the server to close.
    fn expect_end(mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.is_empty(), "nothing is sent to who proved nothing"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

fn received(transport: TransportId, data: &[u8]) -> Event {
    Event::DatagramReceived { transport, data: data.to_vec() }
}

#[test]
fn every_transport_is_reached_whichever_shard_has_it() {
    let runtime = start(3);
    let transports: Vec<_> = (1..=9).map(TransportId).collect();
    let mut clients = Vec::new();
    for &transport in &transports {
        open(&runtime, transport);
        clients.push(Client::join(&runtime, transport));
    }
    for (client, &transport) in clients.iter_mut().zip(&transports) {
        client.send(&[22; 100]);
        client.send(&[23; 1200]);
        assert!(runtime.submit(vec![Command::SendDatagram { transport, data: vec![20; 900] }]));
        assert_eq!(client.receive(), vec![20; 900]);
    }
    let events = events(&runtime, |events| events.len() >= 27);
    for (client, &transport) in clients.iter().zip(&transports) {
        assert!(events.contains(&Event::TransportReachable {
            transport,
            carrier: Carrier::Tcp,
            address: client.address()
        }));
        let of_this =
            |event: &&Event| matches!(event, Event::DatagramReceived { transport: to, .. } if *to == transport);
        let datagrams: Vec<_> = events.iter().filter(of_this).cloned().collect();
        assert_eq!(datagrams, [received(transport, &[22; 100]), received(transport, &[23; 1200])]);
    }
    assert_eq!(counter(&runtime, "tcp_proven"), 9);
    assert_eq!(counter(&runtime, "handoff_out"), 0, "each connection went to the owner of its transport");
}

#[test]
fn frames_survive_any_cut_and_empty_ones_mean_nothing() {
    let runtime = start(2);
    let transport = TransportId(5);
    open(&runtime, transport);
    let mut client = Client::connect(&runtime);
    let mut stream = Vec::new();
    let check = client.check(transport, PASSWORD);
    let hello = [22; 300];
    for datagram in [&check[..], &hello, &[], &hello, &[], &[], &hello] {
        stream.extend_from_slice(&(datagram.len() as u16).to_be_bytes());
        stream.extend_from_slice(datagram);
    }
    for piece in stream.chunks(7) {
        client.stream.write_all(piece).expect("it is open");
        std::thread::sleep(Duration::from_millis(1));
    }
    client.expect_answer();
    let events = events(&runtime, |events| events.len() >= 4);
    assert_eq!(events[1..], [received(transport, &hello), received(transport, &hello), received(transport, &hello)]);
}

#[test]
fn who_closes_is_forgotten_and_may_come_again() {
    let runtime = start(2);
    let transport = TransportId(6);
    open(&runtime, transport);
    let first = Client::join(&runtime, transport);
    drop(first);
    until("it is closed", || counter(&runtime, "tcp_closed") == 1);
    assert!(runtime.submit(vec![Command::SendDatagram { transport, data: vec![22; 100] }]));
    until("it has no path", || counter(&runtime, "no_path") == 1);
    let second = Client::join(&runtime, transport);
    let reached = Event::TransportReachable { transport, carrier: Carrier::Tcp, address: second.address() };
    events(&runtime, |events| events.contains(&reached));
    // The transport ends, and its connection with it.
    assert!(runtime.submit(vec![Command::CloseTransport { transport }]));
    second.expect_end();
}

#[test]
fn what_begins_with_no_valid_check_ends_at_once() {
    let runtime = start(2);
    let transport = TransportId(7);
    open(&runtime, transport);
    let streams: [&[u8]; 6] = [
        &[0, 0],                                                              // an empty frame
        &[0xff, 0xff],                                                        // one of 65,535 bytes
        &[8, 1],                                                              // one byte longer than any datagram
        b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",                           // another protocol: a length of 18,245
        &[0, 3, 22, 254, 253],                                                // DTLS
        &[0, 20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // STUN that names nobody
    ];
    for stream in streams {
        let mut client = Client::connect(&runtime);
        client.stream.write_all(stream).expect("it is open");
        client.expect_end();
    }
    until("counted", || counter(&runtime, "tcp_malformed") == 6);
    let mut client = Client::connect(&runtime);
    let forged = client.check(transport, "another password, long enough");
    client.send(&forged);
    client.expect_end();
    let mut client = Client::connect(&runtime);
    let stranger = client.check(TransportId(1234), PASSWORD);
    client.send(&stranger);
    client.expect_end();
    until("counted", || counter(&runtime, "tcp_forged") == 2);
    assert_eq!(counter(&runtime, "tcp_proven"), 0);
    // A proven connection ends too where its stream is broken.
    let mut client = Client::join(&runtime, transport);
    client.stream.write_all(&[0xff, 0xff, 1, 2, 3]).expect("it is open");
    client.expect_end();
    Client::join(&runtime, transport);
}

#[test]
fn connections_of_one_address_that_say_nothing_are_few() {
    let runtime = start(1);
    let transport = TransportId(8);
    open(&runtime, transport);
    let mut guest = Client::join(&runtime, transport);
    let mut silent: Vec<_> = (0..400).map(|_| Client::connect(&runtime)).collect();
    until("counted", || counter(&runtime, "tcp_accepted") == 401);
    let refused = counter(&runtime, "tcp_refused_address");
    assert_eq!(refused, 400 - 256);
    // Those who are inside notice nothing, and when the silent have gone, others come in.
    let check = guest.check(transport, PASSWORD);
    guest.send(&check);
    guest.expect_answer();
    silent.clear();
    until("they are closed", || counter(&runtime, "tcp_closed") >= 256);
    Client::join(&runtime, transport);
}

#[test]
fn a_receiver_that_does_not_read_loses_whole_frames_and_nobody_waits() {
    let runtime = start(1);
    let (slow, other) = (TransportId(9), TransportId(10));
    open(&runtime, slow);
    open(&runtime, other);
    let mut client = Client::join(&runtime, slow);
    let mut neighbour = Client::join(&runtime, other);
    let mut number = 0u32;
    // The kernel of either side takes some megabytes before anything waits here.
    until("the queue is full", || {
        let datagram = |number: u32| [&[20; 1000][..], &number.to_be_bytes()].concat();
        let commands =
            (number..number + 500).map(|number| Command::SendDatagram { transport: slow, data: datagram(number) });
        assert!(runtime.submit(commands.collect()));
        number += 500;
        counter(&runtime, "tcp_send_dropped") > 0
    });
    assert!(runtime.submit(vec![Command::SendDatagram { transport: other, data: vec![20; 50] }]));
    assert_eq!(neighbour.receive(), vec![20; 50]);
    let mut last = None;
    let mut count = 0;
    until("what was queued has come", || {
        let datagram = client.receive();
        assert_eq!(datagram.len(), 1004, "frames are whole");
        let place = u32::from_be_bytes([datagram[1000], datagram[1001], datagram[1002], datagram[1003]]);
        assert!(last.is_none_or(|last| last < place), "and in order");
        last = Some(place);
        count += 1;
        count + counter(&runtime, "tcp_send_dropped") + counter(&runtime, "inbox_datagrams_dropped")
            == u64::from(number)
    });
}

#[test]
fn a_panicked_shard_drops_its_connections_alone() {
    let runtime = start(2);
    let (lost, kept) = (TransportId(2), TransportId(3));
    open(&runtime, lost);
    open(&runtime, kept);
    let of_lost = Client::join(&runtime, lost);
    let mut of_kept = Client::join(&runtime, kept);
    assert!(runtime.panic_shard(0));
    of_lost.expect_end();
    let check = of_kept.check(kept, PASSWORD);
    of_kept.send(&check);
    of_kept.expect_answer();
    open(&runtime, lost);
    Client::join(&runtime, lost);
}
