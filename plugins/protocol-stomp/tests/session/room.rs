// SPDX-License-Identifier: Apache-2.0
//! Little room in each call: nothing is lost, done twice or out of order, and nothing waits for ever.

use crate::peer::{Peer, Sample};
use sabir_model::verb::{Answer, Reason, Refusal, Reply, Verb};
use sabir_sdk::protocol::Capacities;

const CRAMPED: Capacities = Capacities { verbs: 3, arena_bytes: 300, segments: 2, owned: 1 };

/// What was asked, in short.
fn asked(peer: &mut Peer) -> Vec<String> {
    let short = |verb: &Verb| match verb {
        Verb::Attach(attach) => format!("attach {}", attach.destinations[0].name),
        Verb::Publish(message) => format!("publish {}", String::from_utf8_lossy(message.body())),
        other => panic!("{other:?}"),
    };
    peer.requests.drain(..).map(|request| short(&request.verb)).collect()
}

#[test]
fn frames_that_find_no_room_are_offered_again_and_leave_nothing_of_a_first_attempt() {
    let mut peer = Peer::cramped("", CRAMPED);
    let mut frames = String::new();
    let mut wanted = Vec::new();
    for number in 0..20 {
        // Each needs two verbs, so that of every second one only the first fits.
        frames.push_str(&format!("SEND\ndestination:/queue/q{number}\n\nbody {number}\0"));
        wanted.push(format!("attach q{number}"));
        wanted.push(format!("publish body {number}"));
    }
    peer.send(frames);
    assert_eq!(peer.waiting(), 0);
    assert_eq!(asked(&mut peer), wanted);
    peer.send("SEND\ndestination:/queue/q19\n\nlast\0");
    assert_eq!(asked(&mut peer), ["publish last"], "a producer that was made is known");
}

#[test]
fn a_frame_that_can_never_fit_is_refused_instead_of_waited_for() {
    let mut peer = Peer::cramped("", Capacities { verbs: 1, ..CRAMPED });
    peer.send("SEND\ndestination:/queue/q\nreceipt:r\n\nx\0");
    let error = peer.expect_error("more than fits into one step");
    assert!(error.contains("receipt-id:r\n"), "{error}");
    assert!(peer.requests.is_empty());
}

/// A cramped session that has asked for so many receipts, and the tokens of what they wait for.
fn awaiting(count: usize) -> (Peer, Vec<u64>) {
    let mut peer = Peer::cramped("", CRAMPED);
    for number in 0..count {
        peer.send(format!("SEND\ndestination:/queue/q\nreceipt:receipt-{number}\n\n\0"));
    }
    let tokens =
        peer.requests.drain(..).filter(|request| request.confirm).map(|request| request.token).collect();
    (peer, tokens)
}

fn receipts(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| format!("RECEIPT\nreceipt-id:receipt-{number}\n\n^@")).collect()
}

/// Calls the timer as long as it is due at once.
fn run_out(peer: &mut Peer) {
    for _ in 0..100 {
        peer.advance(0);
    }
}

#[test]
fn receipts_that_find_no_room_are_written_in_the_next_calls() {
    let (mut peer, tokens) = awaiting(40);
    peer.reply(&tokens.iter().map(|token| Reply { token: *token, answer: Answer::Done }).collect::<Vec<_>>());
    let at_once = peer.text();
    assert!(at_once.len() < receipts(0..40).len(), "the test needs less room than that");
    run_out(&mut peer);
    assert_eq!(at_once + &peer.text(), receipts(0..40));
    assert_eq!(peer.deadline_ms(), None);
}

#[test]
fn an_error_that_finds_no_room_comes_behind_the_receipts_that_were_due() {
    let (mut peer, tokens) = awaiting(40);
    let done = |token: &u64| Reply { token: *token, answer: Answer::Done };
    let mut replies: Vec<Reply> = tokens[..30].iter().map(done).collect();
    let refusal = Refusal::new(Reason::Full, "queue://q is full");
    replies.push(Reply { token: tokens[30], answer: Answer::Refused(Box::new(refusal)) });
    replies.extend(tokens[31..].iter().map(done));
    peer.reply(&replies);
    run_out(&mut peer);
    let text = peer.text();
    let error = text.strip_prefix(&receipts(0..30)).expect("all receipts that were due, in order");
    assert!(error.starts_with("ERROR\n") && error.contains("receipt-id:receipt-30\n"), "{error}");
    assert_eq!(error.matches('@').count(), 1, "{error}");
    assert!(peer.closed);
    assert_eq!(peer.deadline_ms(), None);
}

#[test]
fn receipts_come_before_an_error_of_the_same_call() {
    let mut peer = Peer::connected("1.2");
    peer.send("SEND\ndestination:/queue/q\nreceipt:1\n\n\0SEND\ndestination:/queue/q\nreceipt:2\n\n\0");
    let tokens: Vec<u64> =
        peer.requests.drain(..).filter(|request| request.confirm).map(|request| request.token).collect();
    let refusal = Answer::Refused(Box::new(Refusal::new(Reason::Full, "full")));
    peer.reply(&[
        Reply { token: tokens[0], answer: Answer::Done },
        Reply { token: tokens[1], answer: refusal },
    ]);
    let text = peer.text();
    assert!(text.starts_with("RECEIPT\nreceipt-id:1\n\n^@ERROR\n"), "{text}");
    assert!(text.contains("receipt-id:2\n"), "{text}");
}

/// A cramped session in the midst of a MESSAGE: of three pieces the first was taken.
fn in_the_midst(version: &str, headers: &str) -> (Peer, sabir_model::Delivery) {
    let room = Capacities { verbs: 8, arena_bytes: 1400, segments: 8, owned: 1 };
    let mut peer = Peer::with("{}", room);
    peer.send(format!("CONNECT\naccept-version:{version}\nhost:x\n{headers}\n\0"));
    peer.answer_all();
    peer.send("SUBSCRIBE\nid:s\ndestination:/queue/q\n\n\0");
    peer.requests.clear();
    let _ = peer.bytes();
    let delivery = Sample::text(&"x".repeat(3000)).to(1, 9);
    assert_eq!(peer.deliver_pieces(&delivery, 1000, 0), 1);
    (peer, delivery)
}

#[test]
fn nothing_is_written_into_a_body_that_leaves_in_pieces() {
    let (mut peer, delivery) = in_the_midst("1.2", "heart-beat:0,1000\n");
    peer.send("BEGIN\ntransaction:t\nreceipt:r\n\n\0");
    let token = peer.take().token;
    peer.done(token);
    peer.advance(5000);
    assert_eq!(peer.deliver_pieces(&delivery, 1000, 1), 1);
    peer.advance(5000);
    assert_eq!(peer.deliver_pieces(&delivery, 1000, 2), 1);
    let text = peer.text();
    let (head, rest) = text.split_once("\n\n").expect("a head");
    // Text of a length that is not known when the head is written is counted.
    assert!(head.ends_with("content-length:3000\namq-msg-type:text"), "{head}");
    assert_eq!(rest, format!("{}^@RECEIPT\nreceipt-id:r\n\n^@", "x".repeat(3000)));
    peer.advance(1000);
    assert_eq!(peer.text(), "\n");
}

#[test]
fn an_error_in_the_midst_of_a_body_closes_the_link_without_a_word() {
    let (mut peer, delivery) = in_the_midst("1.2", "");
    let _ = peer.text();
    peer.send("COMMIT\ntransaction:none\n\n\0");
    assert!(peer.closed);
    assert_eq!(peer.text(), "");
    assert_eq!(peer.deliver_pieces(&delivery, 1000, 1), 0);
}
