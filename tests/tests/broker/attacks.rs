// SPDX-License-Identifier: Apache-2.0
//! Bytes that no honest client sends: an answer or a closed connection, in time, at a bounded price, and nobody else
//! notices.

use crate::data;
use sabir_tests::process::{Broker, Options};
use sabir_tests::stomp::{Client, Frame};
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

const MIB: u64 = 1024 * 1024;
const CONNECT: &[u8] = b"CONNECT\naccept-version:1.2\nhost:localhost\n\n\0";
/// What a link may cost before its log-in, and what all of one test may cost after it.
const MEMORY_BOUND: u64 = 24 * MIB;

/// What is attempted, and the bytes of it, piece by piece.
type Attack = (&'static str, Box<dyn Iterator<Item = Vec<u8>>>);

/// How an attack ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// An ERROR frame, or a closed connection.
    Refused,
    /// Neither, in time.
    Tolerated,
}

/// Writes pieces until the broker has had enough; then waits for its refusal.
fn attack(broker: &Broker, log_in: bool, pieces: impl Iterator<Item = Vec<u8>>) -> End {
    let mut client =
        if log_in { Client::connect(broker.address) } else { Client::raw(broker.address) }.expect("a link");
    for piece in pieces {
        // The broker may have closed: that is what is wanted.
        if client.write(&piece).is_err() {
            return End::Refused;
        }
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match client.receive_within(deadline.saturating_duration_since(Instant::now())) {
            Ok(Some(frame)) if frame.command == "ERROR" => return End::Refused,
            Ok(Some(_)) => {}
            Ok(None) => return End::Tolerated,
            Err(_) => return End::Refused,
        }
    }
}

fn once(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + use<> {
    std::iter::once(bytes.to_vec())
}

/// A frame whose one header never ends.
fn endless(start: &'static [u8], piece: &'static [u8], total_bytes: usize) -> impl Iterator<Item = Vec<u8>> {
    let block = piece.repeat((64 * 1024 / piece.len()).max(1));
    let count = total_bytes / block.len();
    std::iter::once(start.to_vec()).chain(std::iter::repeat_n(block, count))
}

/// A client that works must go on working, and memory must stay within its bound.
struct Witness {
    client: Client,
    before: u64,
}

impl Witness {
    fn new(broker: &Broker) -> Witness {
        let mut client = Client::connect(broker.address).expect("the broker is there");
        client.subscribe("0", "/queue/witness", "auto", 10).expect("a subscription");
        Witness { client, before: broker.memory_bytes().0 }
    }

    fn sees(&mut self, broker: &mut Broker, what: &str) {
        assert!(broker.is_alive(), "the broker died of {what}: {}", broker.log());
        self.client
            .send(&sabir_tests::stomp::message("/queue/witness", what.as_bytes()))
            .expect("a living connection");
        assert_eq!(self.client.receive().expect("its own message").text(), what);
        let (_, peak) = broker.memory_bytes();
        assert!(
            peak < self.before + MEMORY_BOUND,
            "{what}: memory grew from {} to {peak} bytes",
            self.before
        );
    }
}

#[test]
fn bytes_that_no_client_sends_before_its_login_are_refused() {
    let (_folder, data) = data();
    let mut broker = Broker::start(&data);
    let mut witness = Witness::new(&broker);
    let attacks: Vec<Attack> = vec![
        ("a header without end", Box::new(endless(b"CONNECT\n", b"a", 100 * MIB as usize))),
        ("headers without number", Box::new(endless(b"CONNECT\n", b"a:b\n", 64 * MIB as usize))),
        ("a command without end", Box::new(endless(b"", b"CONNECT", 16 * MIB as usize))),
        ("newlines without end", Box::new(endless(b"", b"\n", 256 * MIB as usize).chain(once(b"X\n\n\0")))),
        ("a negative content-length", Box::new(once(b"CONNECT\ncontent-length:-1\n\n\0"))),
        ("a huge content-length", Box::new(once(b"CONNECT\ncontent-length:99999999999999999999\n\n\0"))),
        (
            "a lying content-length",
            Box::new(endless(b"CONNECT\ncontent-length:1000000000\n\n", b"x", 64 * MIB as usize)),
        ),
        ("SEND before CONNECT", Box::new(once(b"SEND\ndestination:/queue/a\n\nx\0"))),
        ("versions that nobody speaks", Box::new(once(b"CONNECT\naccept-version:9.9\nhost:x\n\n\0"))),
        (
            "a negative heart-beat",
            Box::new(once(b"CONNECT\naccept-version:1.2\nhost:x\nheart-beat:-1,1\n\n\0")),
        ),
        ("no STOMP at all", Box::new(once(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))),
        ("invalid UTF-8", Box::new(once(b"CONNECT\naccept-version:1.2\nhost:\xC0\x80\xFF\xFE\n\n\0"))),
        ("half a frame and then silence", Box::new(once(b"CONNECT\naccept-ver"))),
        ("silence", Box::new(std::iter::empty())),
    ];
    for (what, pieces) in attacks {
        assert_eq!(attack(&broker, false, pieces), End::Refused, "{what}");
        witness.sees(&mut broker, what);
    }
}

#[test]
fn bytes_that_no_client_sends_after_its_login_are_refused() {
    let (_folder, data) = data();
    let mut broker = Broker::start(&data);
    let mut witness = Witness::new(&broker);
    let deep = format!("{}a = 1{}", "(".repeat(10_000), ")".repeat(10_000));
    let selector = format!("SUBSCRIBE\nid:1\ndestination:/queue/a\nselector:{deep}\n\n\0");
    let attacks: Vec<Attack> = vec![
        ("a header without end", Box::new(endless(b"SEND\n", b"a", 100 * MIB as usize))),
        (
            "headers without number",
            Box::new(endless(b"SEND\ndestination:/queue/a\n", b"a:b\n", 64 * MIB as usize)),
        ),
        ("a negative content-length", Box::new(once(b"SEND\ndestination:/queue/a\ncontent-length:-1\n\n\0"))),
        (
            "a huge content-length",
            Box::new(once(b"SEND\ndestination:/queue/a\ncontent-length:99999999999999999999\n\n\0")),
        ),
        (
            "a content-length shorter than the body",
            Box::new(once(b"SEND\ndestination:/queue/a\ncontent-length:1\n\nxyz\0")),
        ),
        ("an escape that does not exist", Box::new(once(b"SEND\ndestination:/queue/a\nx:\\t\n\nx\0"))),
        ("an unknown command", Box::new(once(b"WHATEVER\n\n\0"))),
        ("a second CONNECT", Box::new(once(CONNECT))),
        ("an unknown acknowledgement", Box::new(once(b"ACK\nid:no-such\n\n\0"))),
        ("an unknown transaction", Box::new(once(b"COMMIT\ntransaction:no-such\n\n\0"))),
        ("a transaction twice", Box::new(once(b"BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:t\n\n\0"))),
        ("no destination", Box::new(once(b"SEND\n\nx\0"))),
        ("invalid UTF-8", Box::new(once(b"SEND\ndestination:/queue/a\nx:\xC0\x80\xFF\xFE\n\nx\0"))),
        (
            "a selector that is no expression",
            Box::new(once(b"SUBSCRIBE\nid:1\ndestination:/queue/a\nselector:a ==\n\n\0")),
        ),
        ("a selector nested ten thousand deep", Box::new(once(selector.as_bytes()))),
        (
            "transactions without end",
            Box::new((0..100_000).map(|number| format!("BEGIN\ntransaction:{number}\n\n\0").into_bytes())),
        ),
    ];
    for (what, pieces) in attacks {
        assert_eq!(attack(&broker, true, pieces), End::Refused, "{what}");
        witness.sees(&mut broker, what);
    }
}

#[test]
fn an_error_says_what_was_wrong_and_to_which_frame() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut client = Client::connect(broker.address).expect("the broker is there");
    client
        .send(&Frame::new("COMMIT", &[("transaction", "no-such"), ("receipt", "r-1")]))
        .expect("a living connection");
    let error = client.receive().expect("an answer");
    assert_eq!((error.command.as_str(), error.header("receipt-id")), ("ERROR", Some("r-1")), "{error:?}");
    let words = format!("{} {}", error.header("message").unwrap_or_default(), error.text());
    assert!(words.contains("no-such"), "{error:?}");
}

#[test]
fn a_login_that_comes_byte_by_byte_is_a_login() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut client = Client::raw(broker.address).expect("a link");
    for byte in CONNECT {
        client.write(&[*byte]).expect("a living connection");
    }
    assert_eq!(client.receive().expect("an answer").command, "CONNECTED");
}

#[test]
fn a_thousand_bad_clients_leave_no_flood_in_the_log_and_no_memory_behind() {
    let (_folder, data) = data();
    let mut broker = Options::new(&data).start();
    let mut witness = Witness::new(&broker);
    for _ in 0..1000 {
        let mut client = Client::raw(broker.address).expect("a link");
        let sent = client.write(b"SEND\ndestination:/queue/\x1b[31mred\n\nx\0");
        assert!(sent.is_ok() || sent.is_err_and(|error| error.kind() != ErrorKind::TimedOut));
        while let Ok(Some(_)) = client.receive_within(Duration::from_secs(10)) {}
    }
    witness.sees(&mut broker, "a thousand bad clients");
    let log = broker.log();
    assert!(!log.contains('\u{1b}'), "the log carries control characters of a client");
    assert!(log.lines().count() < 2500, "{} lines for a thousand bad clients", log.lines().count());
}

#[test]
fn a_client_that_takes_nothing_of_what_it_asked_for_is_left_in_the_end_and_harms_nobody() {
    let (_folder, data) = data();
    let broker = Options::new(&data).set("limits.write_stall_timeout_ms", "1000").start();
    let mut stuck = Client::connect(broker.address).expect("the broker is there");
    stuck.subscribe("0", "/queue/flood", "auto", 1_000_000).expect("a subscription");
    let mut producer = Client::connect(broker.address).expect("the broker is there");
    let body = vec![b'x'; 64 * 1024];
    for _ in 0..400 {
        producer.publish("/queue/flood", &body).expect("a receipt");
    }
    // What it has not taken is not lost: another consumer gets all that the sockets do not hold.
    let mut other = Client::connect(broker.address).expect("the broker is there");
    other.subscribe("0", "/queue/flood", "client-individual", 10).expect("a subscription");
    assert_eq!(other.receive().expect("a message that the stuck one never took").command, "MESSAGE");
    let mut rest = Vec::new();
    let mut stream = stuck.stream();
    stream.write_all(b"\n").or_else(closed).expect("closed, or still open");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
    stream.read_to_end(&mut rest).map(|_| ()).or_else(closed).expect("the broker has closed the connection");
}

fn closed(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Ok(()),
        _ => Err(error),
    }
}
