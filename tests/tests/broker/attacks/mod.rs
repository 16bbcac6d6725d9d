// SPDX-License-Identifier: Apache-2.0
//! Bytes that no honest client sends: an answer or a closed connection, in time, at a bounded price, and nobody else
//! notices.
//!
//! ```text
//!   before_login   one client that has not logged in
//!   after_login    one client that has
//!   crowds         many at once, and what they leave behind
//!   openwire       the same three, and more, for OpenWire
//!   witness        the client beside them that must not notice
//! ```

mod after_login;
mod before_login;
mod crowds;
mod openwire;
mod witness;

use sabir_tests::process::Broker;
use sabir_tests::stomp::{Client, Frame};
use std::time::{Duration, Instant};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * 1024;
/// How long an answer may take; beyond it only what a busy machine adds.
const TIME_BOUND: Duration = Duration::from_secs(2);
const BUSY_MACHINE: Duration = Duration::from_secs(3);

/// What is sent, piece by piece, until the broker has had enough.
type Pieces = Box<dyn Iterator<Item = Vec<u8>>>;

/// What is attempted.
struct Attack {
    what: &'static str,
    pieces: Pieces,
    /// What the ERROR frame must say.
    words: &'static str,
    /// Whether the ERROR frame must arrive. It may be lost on the way to a client that goes on sending.
    told: bool,
}

/// Bytes after which nothing follows: the answer must arrive.
fn once(what: &'static str, bytes: impl AsRef<[u8]>, words: &'static str) -> Attack {
    let pieces = Box::new(std::iter::once(bytes.as_ref().to_vec()));
    Attack { what, pieces, words, told: true }
}

/// A start, and then the same again and again, up to so many bytes.
fn endless(
    what: &'static str,
    start: &'static [u8],
    piece: &'static [u8],
    total: u64,
    words: &'static str,
) -> Attack {
    let block = piece.repeat((64 * 1024 / piece.len()).max(1));
    let count = total as usize / block.len();
    let pieces = Box::new(std::iter::once(start.to_vec()).chain(std::iter::repeat_n(block, count)));
    Attack { what, pieces, words, told: false }
}

impl Attack {
    /// Attempts it, and checks answer and time.
    fn run(self, mut client: Client) {
        let Attack { what, pieces, words, told } = self;
        let start = Instant::now();
        // What is refused in the middle cannot be written on: that is what is wanted.
        for piece in pieces {
            if client.write(&piece).is_err() {
                break;
            }
        }
        let answer = refusal(&mut client, what);
        let took = start.elapsed();
        assert!(took < TIME_BOUND + BUSY_MACHINE, "{what}: refused after {took:?} only");
        match answer {
            Some(error) => {
                let said = format!("{} {}", error.header("message").unwrap_or_default(), error.text());
                assert!(said.contains(words), "{what}: {words:?} is not in {said:?}");
            }
            None => assert!(!told, "{what}: closed without a word"),
        }
    }
}

/// Reads until the broker refuses: its ERROR frame if it arrives, and in any case the end of the connection.
fn refusal(client: &mut Client, what: &str) -> Option<Frame> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut error = None;
    loop {
        match client.receive_within(deadline.saturating_duration_since(Instant::now())) {
            Ok(Some(frame)) if frame.command == "ERROR" => error = Some(frame),
            Ok(Some(_)) => {}
            Ok(None) => panic!("{what}: the connection is still open"),
            Err(_) => return error,
        }
    }
}

/// Logs in.
fn log_in(broker: &Broker) -> Client {
    Client::connect(broker.address).expect("the broker is there")
}
