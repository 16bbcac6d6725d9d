// SPDX-License-Identifier: Apache-2.0
//! What is confirmed outlives `kill -9`.
//!
//! Producers with receipts, consumers with acknowledgements and a producer with transactions work on a broker that is
//! killed at a random moment, started again on the same data, and so on. In the end everything is drained, and the
//! checker looks for words that were not kept.

use crate::data;
use sabir_tests::load::Load;
use sabir_tests::process::{Broker, full};
use sabir_tests::random::Random;
use sabir_tests::stomp::{Client, Frame, message};

/// Kills in a CI run, and in a long one.
const KILLS: u32 = 50;
const KILLS_FULL: u32 = 500;
/// Steps that clients take before a kill, at most.
const STEPS_PER_LIFE: u64 = 1500;

#[test]
fn nothing_confirmed_is_lost_when_the_broker_is_killed_again_and_again() {
    let (_folder, data) = data();
    let mut random = Random::from_environment();
    let mut load = Load::default();
    for _ in 0..if full() { KILLS_FULL } else { KILLS } {
        let steps = 1 + random.below(STEPS_PER_LIFE);
        let broker = Broker::start(&data);
        load.live(broker.address, steps, || broker.kill());
    }
    let broker = Broker::start(&data);
    load.drain(broker.address).must_be_good();
}

#[test]
fn a_confirmed_message_outlives_a_kill_with_all_its_headers() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut client = Client::connect(broker.address).expect("the broker is there");
    let frame = message("/queue/headers", b"a\0b").with("colour", "r:e\nd").with("priority", "7");
    client.confirm(frame).expect("a receipt");
    broker.kill();
    let broker = Broker::start(&data);
    let mut client = Client::connect(broker.address).expect("the broker is back");
    client.subscribe("0", "/queue/headers", "client-individual", 10).expect("a subscription");
    let frame = client.receive().expect("the message");
    assert_eq!((frame.header("colour"), frame.header("priority")), (Some("r:e\nd"), Some("7")), "{frame:?}");
    assert_eq!(frame.body, b"a\0b");
}

#[test]
fn an_acknowledged_message_does_not_come_back_after_a_kill() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut client = Client::connect(broker.address).expect("the broker is there");
    for body in ["first", "second"] {
        client.publish("/queue/acked", body.as_bytes()).expect("a receipt");
    }
    client.subscribe("0", "/queue/acked", "client-individual", 1).expect("a subscription");
    let first = client.receive().expect("a message");
    assert_eq!(first.text(), "first");
    // With a window of one, the second comes only when the first is settled; it may come before the receipt.
    let ack = first.header("ack").expect("an ack header").to_owned();
    client.send(&Frame::new("ACK", &[("id", &ack), ("receipt", "done")])).expect("a living connection");
    while client.receive().expect("an answer").command != "RECEIPT" {}
    broker.kill();
    let broker = Broker::start(&data);
    let mut client = Client::connect(broker.address).expect("the broker is back");
    client.subscribe("0", "/queue/acked", "client-individual", 10).expect("a subscription");
    assert_eq!(client.receive().expect("the other message").text(), "second");
}

#[test]
fn a_durable_subscription_gets_after_a_kill_what_was_published_while_it_was_away() {
    let (_folder, data) = data();
    let subscribe = [
        ("id", "0"),
        ("destination", "/topic/news"),
        ("ack", "client-individual"),
        ("activemq.subscriptionName", "reader"),
    ];
    let broker = Broker::start(&data);
    let mut reader =
        Client::connect_with(broker.address, &[("client-id", "r1")]).expect("the broker is there");
    reader.confirm(Frame::new("SUBSCRIBE", &subscribe)).expect("a durable subscription");
    reader.confirm(Frame::new("DISCONNECT", &[])).expect("a receipt");
    let mut writer = Client::connect(broker.address).expect("the broker is there");
    writer.publish("/topic/news", b"while away").expect("a receipt");
    broker.kill();
    let broker = Broker::start(&data);
    let mut reader =
        Client::connect_with(broker.address, &[("client-id", "r1")]).expect("the broker is back");
    reader.send(&Frame::new("SUBSCRIBE", &subscribe)).expect("a living connection");
    assert_eq!(reader.receive().expect("the message").text(), "while away");
}
