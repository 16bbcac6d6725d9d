// SPDX-License-Identifier: Apache-2.0
//! One client that has not logged in.

use super::witness::Witness;
use super::{Attack, MIB, endless, once};
use crate::data;
use sabir_tests::process::Broker;
use sabir_tests::stomp::Client;

/// What all of a connection may cost before its log-in.
const MEMORY_BOUND: u64 = MIB;

#[test]
fn bytes_that_no_client_sends_before_its_login_are_refused() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = Witness::beside(&broker);
    for attack in attacks() {
        let what = attack.what;
        let client = Client::raw(broker.address).expect("a link");
        witness.during(what, MEMORY_BOUND, || attack.run(client));
    }
}

/// What begins like none of the protocols that are spoken here, or does not begin: it is owed no answer in any of them.
fn unrecognised(what: &'static str, bytes: &[u8]) -> Attack {
    Attack { told: false, ..once(what, bytes, "") }
}

fn attacks() -> Vec<Attack> {
    let mut many_headers = b"CONNECT\naccept-version:1.2\nhost:x\n".to_vec();
    (0..100).for_each(|number| many_headers.extend_from_slice(format!("h{number}:x\n").as_bytes()));
    many_headers.extend_from_slice(b"\n\0");
    vec![
        endless("a header without end", b"CONNECT\n", b"a", 100 * MIB, "longer than"),
        endless("headers without number", b"CONNECT\n", b"a:b\n", 64 * MIB, "more than 64 headers"),
        once("more headers than allowed", many_headers, "more than 64 headers"),
        endless("a command without end", b"", b"CONNECT", 16 * MIB, ""),
        endless("line ends without end", b"", b"\n", 512 * MIB, ""),
        endless("NUL without end", b"", b"\0", 64 * MIB, ""),
        unrecognised("NUL", b"\0\0\0\0"),
        once("a negative content-length", b"CONNECT\ncontent-length:-1\n\n\0", "content-length"),
        once(
            "a huge content-length",
            b"CONNECT\ncontent-length:99999999999999999999\n\n\0",
            "content-length",
        ),
        endless(
            "a lying content-length",
            b"CONNECT\ncontent-length:1000000000\n\n",
            b"x",
            64 * MIB,
            "longer than 8192 bytes",
        ),
        once("SEND before CONNECT", b"SEND\ndestination:/queue/a\n\nx\0", "the first frame must be CONNECT"),
        once(
            "versions that nobody speaks",
            b"CONNECT\naccept-version:9.9\nhost:x\n\n\0",
            "supported versions are 1.0,1.1,1.2",
        ),
        once("a negative heart-beat", heart_beat("-1,1"), "two numbers of milliseconds"),
        once("a heart-beat that is no numbers", heart_beat("a,b"), "two numbers of milliseconds"),
        once("half a heart-beat", heart_beat("1000"), "two numbers of milliseconds"),
        once("a huge heart-beat", heart_beat("99999999999,0"), "heartbeat_max_ms"),
        once("a heart-beat beyond counting", heart_beat("0,99999999999999999999999"), "two numbers"),
        unrecognised("no STOMP at all", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        once("invalid UTF-8", b"CONNECT\naccept-version:1.2\nhost:\xC0\x80\xFF\xFE\n\n\0", "not UTF-8"),
        once("a header without colon", b"CONNECT\nnocolon\n\n\0", "no colon"),
        once("half a frame and then silence", b"CONNECT\naccept-ver", "timeout_ms"),
        unrecognised("a letter and then silence", b"C"),
        unrecognised("silence", b""),
    ]
}

fn heart_beat(value: &str) -> String {
    format!("CONNECT\naccept-version:1.2\nhost:x\nheart-beat:{value}\n\n\0")
}

#[test]
fn a_login_that_comes_byte_by_byte_is_a_login() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut client = Client::raw(broker.address).expect("a link");
    for byte in b"CONNECT\naccept-version:1.2\nhost:localhost\nheart-beat:0,0\n\n\0" {
        client.write(&[*byte]).expect("a living connection");
    }
    assert_eq!(client.receive().expect("an answer").command, "CONNECTED");
}
