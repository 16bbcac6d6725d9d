// SPDX-License-Identifier: Apache-2.0
//! Messages that are larger than what the broker has in memory of one: they come, wait and go in pieces.

use crate::data;
use sabir_tests::process::{Broker, Options, full};
use sabir_tests::stomp::{Client, Frame, message};

/// What a link has of one body in memory by default (`limits.max_held_body`), in bytes.
const HELD_BYTES: u64 = 1 << 20;
const QUEUE: &str = "/queue/large";

/// Bytes that are the same for nobody else, and nowhere the same.
fn body(number: u64, len: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn long_bytes() -> usize {
    if full() { 100_000_000 } else { 24_000_000 }
}

fn publish(client: &mut Client, body: &[u8]) {
    client.confirm(message(QUEUE, body).with("amq-msg-type", "bytes")).expect("the message is confirmed");
}

/// Accepts a message. The next one may come before any answer would.
fn accept(client: &mut Client, message: &Frame) {
    let id = message.header("ack").expect("the message can be acknowledged");
    client.send(&Frame::new("ACK", &[("id", id)])).expect("the link is open");
}

/// The next message, which must have this body.
fn expect_body(client: &mut Client, body: &[u8]) -> Frame {
    let got = client.receive().expect("a message comes");
    assert_eq!((got.command.as_str(), got.body.len()), ("MESSAGE", body.len()), "{:?}", got.headers);
    assert!(got.body == body, "the bytes of the body are others");
    got
}

#[test]
fn a_long_message_passes_through_a_broker_that_holds_little_of_it() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut producer = Client::connect(broker.address).unwrap();
    let mut consumer = Client::connect(broker.address).unwrap();
    let body = body(1, long_bytes());
    // What the first long message costs once and for all is not what each of them does.
    publish(&mut producer, &body);
    let (idle, _) = broker.memory_bytes();
    broker.forget_peak_memory();
    publish(&mut producer, &body);
    let (_, taking) = broker.memory_bytes();
    consumer.subscribe("1", QUEUE, "client-individual", 1).unwrap();
    let first = expect_body(&mut consumer, &body);
    accept(&mut consumer, &first);
    let second = expect_body(&mut consumer, &body);
    accept(&mut consumer, &second);
    let (_, giving) = broker.memory_bytes();
    let over = |peak: u64| peak.saturating_sub(idle);
    println!("{} bytes: taking them took {} of memory, giving {}", body.len(), over(taking), over(giving));
    // One link sends and one receives, each of which may have twice of what it holds.
    assert!(over(taking) < 2 * HELD_BYTES && over(giving) < 4 * HELD_BYTES, "{taking} {giving} over {idle}");
}

#[test]
fn long_messages_outlive_a_kill_in_the_midst_of_another_one() {
    let (_folder, data) = data();
    let count = if full() { 20 } else { 3 };
    let broker = Broker::start(&data);
    let mut producer = Client::connect(broker.address).unwrap();
    for number in 0..count {
        publish(&mut producer, &body(number, long_bytes()));
    }
    let torn = message(QUEUE, &body(99, long_bytes())).encode();
    producer.write(&torn[..torn.len() / 2]).unwrap();
    broker.kill();

    let broker = Broker::start(&data);
    let mut consumer = Client::connect(broker.address).unwrap();
    consumer.subscribe("1", QUEUE, "client-individual", 2).unwrap();
    for number in 0..count {
        let got = expect_body(&mut consumer, &body(number, long_bytes()));
        accept(&mut consumer, &got);
    }
    // What was torn is no message: the next one is.
    let mut producer = Client::connect(broker.address).unwrap();
    publish(&mut producer, b"the end");
    expect_body(&mut consumer, b"the end");
}

#[test]
fn a_long_message_goes_to_all_who_want_it_and_comes_again_to_who_has_not_settled_it() {
    let (_folder, data) = data();
    let broker = Options::new(&data).set("limits.max_held_body", "64 KiB").start();
    let long = body(7, 1_000_001);
    let mut first = Client::connect(broker.address).unwrap();
    let mut second = Client::connect(broker.address).unwrap();
    for client in [&mut first, &mut second] {
        client.subscribe("t", "/topic/large", "auto", 10).unwrap();
    }
    let mut producer = Client::connect(broker.address).unwrap();
    let frame = message("/topic/large", &long).with("amq-msg-type", "bytes");
    producer.confirm(frame).unwrap();
    for client in [&mut first, &mut second] {
        expect_body(client, &long);
    }
    publish(&mut producer, &long);
    first.subscribe("q", QUEUE, "client-individual", 1).unwrap();
    expect_body(&mut first, &long);
    drop(first);
    second.subscribe("q", QUEUE, "client-individual", 1).unwrap();
    let again = expect_body(&mut second, &long);
    assert_eq!(again.header("redelivered"), Some("true"));
    accept(&mut second, &again);
}
