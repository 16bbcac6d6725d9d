// SPDX-License-Identifier: Apache-2.0
//! The same for OpenWire: what no client of ActiveMQ sends, built with the codec where that can, and by hand where not.
//!
//! ```text
//!   before_login   one client that has not logged in
//!   frames         one that has, and whose bytes cannot be read
//!   requests       one whose commands make no sense
//!   rights         others' things, composites, wildcards, the broker's own topics
//!   crowds         many of everything, and what they leave behind
//!   bodies         what lies in wait in a message for who consumes it
//!   client         the client
//! ```

mod before_login;
mod bodies;
mod client;
mod crowds;
mod frames;
mod requests;
mod rights;

use super::witness::Witness;
use super::{BUSY_MACHINE, MIB, TIME_BOUND};
use client::{Client, Refusal, Wire};
use sabir_protocol_openwire::codec::DestinationKind::Queue;
use sabir_tests::process::Broker;
use std::time::{Duration, Instant};

/// What is sent, piece by piece, until the broker has had enough.
type Pieces = Box<dyn Iterator<Item = Vec<u8>>>;

/// What must become of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It ends, and the client is told why.
    Told,
    /// It ends. Whether the client hears why depends on whether it still listens.
    Closed,
    /// It goes on: the command alone is refused.
    GoesOn,
}

/// What is attempted.
struct Attack {
    what: &'static str,
    pieces: Pieces,
    /// What the refusal must say.
    words: &'static str,
    end: End,
}

/// Bytes that end the connection; the client is told why.
fn once(what: &'static str, bytes: impl AsRef<[u8]>, words: &'static str) -> Attack {
    let pieces = Box::new(std::iter::once(bytes.as_ref().to_vec()));
    Attack { what, pieces, words, end: End::Told }
}

impl Attack {
    /// The same again and again.
    fn flood(what: &'static str, piece: &[u8], times: usize, words: &'static str) -> Attack {
        let at_once = (64 * 1024 / piece.len()).clamp(1, times);
        let pieces = Box::new(std::iter::repeat_n(piece.repeat(at_once), times / at_once));
        Attack { what, pieces, words, end: End::Closed }
    }

    /// The same bytes, with another end.
    fn but(self, end: End) -> Attack {
        Attack { end, ..self }
    }

    /// Attempts it, and checks answer and time.
    fn run(self, mut client: Client) {
        let Attack { what, pieces, words, end } = self;
        let start = Instant::now();
        // What is refused in the middle cannot be written on: that is what is wanted.
        for piece in pieces {
            if client.write(&piece).is_err() {
                break;
            }
        }
        let said = match end {
            End::GoesOn => {
                let refusal = client.refusal(Duration::from_secs(20));
                let refusal = refusal.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(client.is_alive(), "{what}: the connection has ended: {refusal:?}");
                Some(refusal.unwrap_or_else(|| panic!("{what}: no answer")))
            }
            End::Told | End::Closed => last_words(&mut client, what),
        };
        let took = start.elapsed();
        assert!(took < TIME_BOUND + BUSY_MACHINE, "{what}: refused after {took:?} only");
        match said {
            Some(refusal) => {
                let text = format!("{}: {}", refusal.class, refusal.text);
                assert!(text.contains(words), "{what}: {words:?} is not in {text:?}");
                assert!(!text.contains(char::is_control), "{what}: {text:?} carries control characters");
            }
            None => assert!(end == End::Closed, "{what}: closed without a word"),
        }
        if std::env::var_os("SABIR_TELL").is_some() {
            println!("{what}: {took:?}");
        }
    }
}

/// Reads to the end of the connection: the last refusal, if there was one.
fn last_words(client: &mut Client, what: &str) -> Option<Refusal> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut last = None;
    loop {
        match client.refusal(deadline.saturating_duration_since(Instant::now())) {
            Ok(Some(refusal)) => last = Some(refusal),
            Ok(None) => panic!("{what}: the connection is still open"),
            Err(_) => return last,
        }
    }
}

/// A witness beside a broker that has met honest clients: what it reserves for the first of them is no attack's cost.
fn witness_beside(broker: &Broker) -> Witness<'_> {
    for wire in [Wire::LOOSE, Wire::TIGHT] {
        let mut client = Client::log_in(broker, wire);
        client.produce(1, None).expect("a producer");
        client.consume(1, Queue, "warm", 10).expect("a consumer");
        for _ in 0..20 {
            client.publish(Queue, "warm", "x").expect("a message is taken");
        }
        client.receive_message();
    }
    Witness::beside(broker)
}

/// A frame from what follows its length.
fn frame(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

/// The log carries no control characters of a client, and not more than so many lines.
fn check_log(broker: &Broker, max_lines: usize) {
    let log = broker.log();
    assert!(!log.contains(|char: char| char.is_control() && char != '\n'), "control characters: {log}");
    let lines = log.lines().count();
    assert!(lines <= max_lines, "{lines} lines in the log");
}
