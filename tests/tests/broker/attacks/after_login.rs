// SPDX-License-Identifier: Apache-2.0
//! One client that has logged in.

use super::witness::Witness;
use super::{Attack, MIB, endless, log_in, once};
use crate::data;
use sabir_tests::process::{Broker, Options};
use sabir_tests::stomp::{Client, Frame, message};

/// What one refused client may cost: its receive buffer, its head, its answers.
const MEMORY_BOUND: u64 = 2 * MIB;

#[test]
fn bytes_that_no_client_sends_after_its_login_are_refused() {
    let (_folder, data) = data();
    // Long headers are allowed, so that deep selectors reach the parser; half a frame must soon be a whole one.
    let broker = Options::new(&data)
        .set("protocols.stomp.max_header_bytes", "65000")
        .set("limits.max_selector_bytes", "65536")
        .set("protocols.stomp.frame_timeout_ms", "1000")
        .start();
    let mut witness = Witness::beside(&broker);
    for attack in frames().into_iter().chain(requests()) {
        let what = attack.what;
        let client = log_in(&broker);
        witness.during(what, MEMORY_BOUND, || attack.run(client));
    }
}

/// What cannot be read.
fn frames() -> Vec<Attack> {
    let mut many_headers = b"SEND\ndestination:/queue/a\n".to_vec();
    (0..300).for_each(|number| many_headers.extend_from_slice(format!("h{number}:x\n").as_bytes()));
    many_headers.extend_from_slice(b"\n\0");
    let send = |length: &str, body: &str| {
        format!("SEND\ndestination:/queue/a\nreceipt:r\ncontent-length:{length}\n\n{body}\0")
    };
    vec![
        endless("a header without end", b"SEND\n", b"a", 100 * MIB, "longer than"),
        endless("headers without number", b"SEND\n", b"a:b\n", 64 * MIB, "more than 256 headers"),
        once("more headers than allowed", many_headers, "more than 256 headers"),
        endless("NUL without end", b"", b"\0", 64 * MIB, ""),
        once("a negative content-length", send("-1", ""), "no number of bytes"),
        once("a huge content-length", send("99999999999999999999", ""), "no number of bytes"),
        once("a content-length beyond the limit", send("1000000000", ""), "max_message_bytes"),
        once("a content-length shorter than the body", send("1", "xyz"), "does not end with NUL"),
        once("a content-length longer than the body", send("100", "xyz"), "frame_timeout_ms"),
        once("a long body that ends early", send("200000", "xyz"), "frame_timeout_ms"),
        once("half a head and then silence", "SEND\ndestination:/que", "frame_timeout_ms"),
        once("half a body and then silence", "SEND\ndestination:/queue/a\n\nx", "frame_timeout_ms"),
        once("an escape that does not exist", "SEND\ndestination:/queue/a\nx:\\t\n\nx\0", "undefined escape"),
        once("an unknown command", "WHATEVER\n\n\0", "no STOMP command"),
        once("a second CONNECT", "CONNECT\naccept-version:1.2\nhost:x\n\n\0", "sent CONNECT before"),
        once("invalid UTF-8", b"SEND\ndestination:/queue/a\nx:\xC0\x80\xFF\xFE\n\nx\0", "not UTF-8"),
    ]
}

/// What can be read and makes no sense.
fn requests() -> Vec<Attack> {
    let deep = |what, before: &str, inner: &str, after: &str| {
        let selector = format!("{}{inner}{}", before.repeat(10_000), after.repeat(10_000));
        let frame = format!("SUBSCRIBE\nid:1\ndestination:/queue/a\nselector:{selector}\n\n\0");
        once(what, frame, "nested deeper than the 128 levels")
    };
    let begin = |number: u32| format!("BEGIN\ntransaction:{number}\n\n\0").into_bytes();
    let transactions = Box::new((0..100_000).map(begin));
    vec![
        once("an unknown acknowledgement", "ACK\nid:no-such\n\n\0", "names no message"),
        once(
            "an acknowledgement of what was never delivered",
            "SUBSCRIBE\nid:1\ndestination:/queue/a\nack:client\n\n\0ACK\nid:1-18446744073709551615\n\n\0",
            "no unsettled delivery",
        ),
        once("an unknown transaction", "COMMIT\ntransaction:no-such\n\n\0", "no such transaction"),
        once("a transaction twice", "BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:t\n\n\0", "open already"),
        once("no destination", "SEND\n\nx\0", "no header destination"),
        once("a misspelt destination", "SEND\ndestination:/quue/a\n\nx\0", "begins with none of"),
        once(
            "a selector that is no expression",
            "SUBSCRIBE\nid:1\ndestination:/queue/a\nselector:a ==\n\n\0",
            "expected",
        ),
        deep("a selector with ten thousand parentheses", "(", "a = 1", ")"),
        deep("a selector with ten thousand NOT", "NOT ", "a = 1", ""),
        deep("a selector with ten thousand signs", "-", "a = 1", ""),
        deep("a selector with ten thousand comparisons", "a = ", "1", ""),
        Attack {
            what: "a hundred thousand transactions",
            pieces: transactions,
            words: "max_transactions is 256",
            told: false,
        },
    ]
}

#[test]
fn a_hundred_thousand_transactions_cost_little_where_they_are_allowed_and_nothing_when_they_are_gone() {
    let (_folder, data) = data();
    let mut options = Options::new(&data).set("protocols.stomp.max_transactions", "100000");
    for limit in ["max_transactions", "max_transactions_per_session"] {
        options = options.set(&format!("limits.{limit}"), "100000");
    }
    let broker = options.start();
    let mut witness = Witness::beside(&broker);
    let mut client = log_in(&broker);
    witness.during("a hundred thousand open transactions", 64 * MIB, || {
        for number in 0..100_000u32 {
            let begin = Frame::new("BEGIN", &[("transaction", &number.to_string())]);
            if number % 1000 == 999 {
                client.confirm(begin).expect("a transaction more");
            } else {
                client.send(&begin).expect("a living connection");
            }
        }
        let late = message("/queue/late", b"in the last of them").with("transaction", "99999");
        client.confirm(late).expect("the last transaction works");
        client.send(&Frame::new("BEGIN", &[("transaction", "one too many")])).expect("a living connection");
    });
    let error = client.receive().expect("an answer");
    assert!(error.text().contains("max_transactions is 100000"), "{error:?}");
    // They ended with their connection: as many fit again.
    let mut client = log_in(&broker);
    witness.during("as many again", 16 * MIB, || {
        for number in 0..99_999u32 {
            client.send(&Frame::new("BEGIN", &[("transaction", &number.to_string())])).expect("living");
        }
        client.confirm(Frame::new("BEGIN", &[("transaction", "last")])).expect("the last one");
    });
}

#[test]
fn what_was_delivered_to_one_client_cannot_be_acknowledged_by_another() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut owner = log_in(&broker);
    owner.publish("/queue/mine", b"mine").expect("a receipt");
    owner.subscribe("0", "/queue/mine", "client-individual", 1).expect("a subscription");
    let held = owner.receive().expect("the message");
    let ack = held.header("ack").expect("an ack header").to_owned();
    for (command, receipt) in [("ACK", Some("r")), ("NACK", Some("r")), ("ACK", None), ("NACK", None)] {
        let mut thief = log_in(&broker);
        // Its subscription has the same number within its own connection.
        thief.subscribe("0", "/queue/mine", "client-individual", 1).expect("a subscription");
        let mut frame = Frame::new(command, &[("id", &ack)]);
        if let Some(receipt) = receipt {
            frame = frame.with("receipt", receipt);
        }
        thief.send(&frame).expect("a living connection");
        let error = super::refusal(&mut thief, command).expect("an ERROR frame");
        assert_eq!(error.header("receipt-id"), receipt, "{error:?}");
    }
    owner.acknowledge(&held).expect("it is still the owner's");
    owner.send(&Frame::new("ACK", &[("id", &ack), ("receipt", "again")])).expect("a living connection");
    let error = super::refusal(&mut owner, "a second ACK").expect("an ERROR frame");
    assert_eq!(error.header("receipt-id"), Some("again"), "{error:?}");
}

#[test]
fn selectors_that_are_slow_to_match_slow_nobody_else() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = Witness::beside(&broker);
    let mut client = log_in(&broker);
    let pattern = "%a_".repeat(1300);
    let selector = format!("text LIKE '{pattern}%b'");
    let headers = [("id", "1"), ("destination", "/topic/slow"), ("selector", &*selector)];
    client.confirm(Frame::new("SUBSCRIBE", &headers)).expect("a subscription");
    let long = "a".repeat(15_000);
    witness.during("a LIKE with thousands of wildcards", 4 * MIB, || {
        for last in ["a", "a", "a", "b"] {
            let text = format!("{long}{last}");
            client.send(&message("/topic/slow", last.as_bytes()).with("text", &text)).expect("living");
        }
        let matching = client.receive().expect("the one that matches");
        assert_eq!((matching.command.as_str(), matching.text().as_str()), ("MESSAGE", "b"));
    });
}

#[test]
fn heart_beats_that_were_promised_and_do_not_come_end_the_connection() {
    let (_folder, data) = data();
    let broker = Options::new(&data).set("protocols.stomp.heartbeat_min_ms", "100").start();
    let mut witness = Witness::beside(&broker);
    for half in ["", "SEND\ndestination:/queue/a\n\nhalf"] {
        let mut client =
            Client::connect_with(broker.address, &[("heart-beat", "500,0")]).expect("the broker is there");
        client.write(half.as_bytes()).expect("a living connection");
        witness.during("a promise that is not kept", MIB, || {
            let error = super::refusal(&mut client, half).expect("an ERROR frame");
            assert!(error.text().contains("heart-beat that was agreed"), "{error:?}");
        });
    }
    // None was promised: silence is no fault, and the broker's own beats come.
    let client =
        Client::connect_with(broker.address, &[("heart-beat", "0,100")]).expect("the broker is there");
    let mut beats = [0; 3];
    std::io::Read::read_exact(&mut client.stream(), &mut beats).expect("three beats");
    assert_eq!(beats, *b"\n\n\n");
}

#[test]
fn an_error_says_what_was_wrong_and_to_which_frame() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut client = log_in(&broker);
    client
        .send(&Frame::new("COMMIT", &[("transaction", "no-such"), ("receipt", "r-1")]))
        .expect("a living connection");
    let error = client.receive().expect("an answer");
    assert_eq!((error.command.as_str(), error.header("receipt-id")), ("ERROR", Some("r-1")), "{error:?}");
    let words = format!("{} {}", error.header("message").unwrap_or_default(), error.text());
    assert!(words.contains("no-such"), "{error:?}");
}
