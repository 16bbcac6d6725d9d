// SPDX-License-Identifier: Apache-2.0
//! More than the broker can hand on at once: it keeps it, its memory stays flat, and others do not notice.

use crate::data;
use sabir_tests::process::{Broker, Options, full};
use sabir_tests::stomp::{Client, Frame, message};
use std::time::Duration;

const MIB: u64 = 1024 * 1024;

/// Sends persistent messages in windows; each body starts with its number.
fn fill(client: &mut Client, destination: &str, numbers: std::ops::Range<u64>, size_bytes: usize) {
    const WINDOW: u64 = 500;
    for number in numbers.clone() {
        let mut body = format!("{number:010} ").into_bytes();
        body.resize(size_bytes, b'x');
        let frame = message(destination, &body);
        if number % WINDOW == WINDOW - 1 || number == numbers.end - 1 {
            client.confirm(frame).expect("a receipt covers all frames before it");
        } else {
            client.send(&frame).expect("a living connection");
        }
    }
}

/// Receives messages in order, and acknowledges them together.
fn drain(client: &mut Client, numbers: std::ops::Range<u64>) {
    for number in numbers.clone() {
        let frame = client.receive().expect("a message");
        assert!(frame.text().starts_with(&format!("{number:010} ")), "{number}: {frame:?}");
        if number % 100 == 99 || number == numbers.end - 1 {
            let ack = frame.header("ack").expect("an ack header").to_owned();
            client.send(&Frame::new("ACK", &[("id", &ack)])).expect("a living connection");
        }
    }
}

#[test]
fn ten_times_the_backlog_takes_no_more_memory_and_comes_out_whole_and_in_order() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let (small, size_bytes) = if full() { (100_000, 1024) } else { (10_000, 1024) };
    let mut producer = Client::connect(broker.address).expect("the broker is there");
    fill(&mut producer, "/queue/deep", 0..small, size_bytes);
    let (before, _) = broker.memory_bytes();
    fill(&mut producer, "/queue/deep", small..10 * small, size_bytes);
    let (_, peak) = broker.memory_bytes();
    // Ten times the messages are 9 * small KiB more. A quarter of them would be too much already.
    let bound = before + (9 * small * size_bytes as u64 / 4).max(16 * MIB);
    assert!(peak < bound, "memory grew from {} to {} MiB", before / MIB, peak / MIB);
    let mut consumer = Client::connect(broker.address).expect("the broker is there");
    consumer.subscribe("0", "/queue/deep", "client", 200).expect("a subscription");
    drain(&mut consumer, 0..10 * small);
    let (_, peak) = broker.memory_bytes();
    assert!(peak < bound, "memory grew to {} MiB while draining", peak / MIB);
}

#[test]
fn a_consumer_that_reads_nothing_slows_nobody_else() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut stuck = Client::connect(broker.address).expect("the broker is there");
    stuck.subscribe("0", "/queue/stuck", "auto", 100_000).expect("a subscription");
    let mut producer = Client::connect(broker.address).expect("the broker is there");
    // More than the buffers of a socket hold.
    fill(&mut producer, "/queue/stuck", 0..2000, 16 * 1024);
    let mut consumer = Client::connect(broker.address).expect("the broker is there");
    consumer.subscribe("0", "/queue/free", "client", 200).expect("a subscription");
    fill(&mut producer, "/queue/free", 0..5000, 256);
    drain(&mut consumer, 0..5000);
    // It gets what is its own when it reads again.
    for number in 0..2000 {
        assert!(stuck.receive().expect("a message").text().starts_with(&format!("{number:010} ")));
    }
}

#[test]
fn consumers_of_one_queue_share_it_and_a_stuck_one_holds_only_its_window() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut stuck = Client::connect(broker.address).expect("the broker is there");
    stuck.subscribe("0", "/queue/shared", "client-individual", 10).expect("a subscription");
    let mut working = Client::connect(broker.address).expect("the broker is there");
    working.subscribe("0", "/queue/shared", "client", 100).expect("a subscription");
    let mut producer = Client::connect(broker.address).expect("the broker is there");
    fill(&mut producer, "/queue/shared", 0..1000, 64);
    for count in 1..=990 {
        let frame = working.receive().expect("a message");
        if count % 50 == 0 {
            let ack = frame.header("ack").expect("an ack header").to_owned();
            working.send(&Frame::new("ACK", &[("id", &ack)])).expect("a living connection");
        }
    }
    for _ in 0..10 {
        assert_eq!(stuck.receive().expect("one of its window").command, "MESSAGE");
    }
}

#[test]
fn what_a_vanished_consumer_held_goes_to_another_and_says_so() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut producer = Client::connect(broker.address).expect("the broker is there");
    producer.publish("/queue/left", b"once").expect("a receipt");
    let mut first = Client::connect(broker.address).expect("the broker is there");
    first.subscribe("0", "/queue/left", "client-individual", 1).expect("a subscription");
    assert_ne!(first.receive().expect("the message").header("redelivered"), Some("true"));
    drop(first);
    let mut second = Client::connect(broker.address).expect("the broker is there");
    second.subscribe("0", "/queue/left", "client-individual", 1).expect("a subscription");
    let again = second.receive().expect("the message again");
    assert_eq!((again.text().as_str(), again.header("redelivered")), ("once", Some("true")), "{again:?}");
}

#[test]
fn a_full_disk_holds_producers_and_lets_consumers_go_on_and_is_left_without_a_restart() {
    let (_folder, data) = data();
    let mut options = Options::new(&data).set("stores.journal.file_bytes", "1048576");
    options.disk_mib = Some(24);
    let broker = options.start();
    let mut producer = Client::connect(broker.address).expect("the broker is there");
    let body = vec![b'x'; 16 * 1024];
    let mut confirmed = 0;
    loop {
        producer.send(&message("/queue/full", &body).with("receipt", "r")).expect("a living connection");
        match producer.receive_within(Duration::from_secs(5)).expect("a living connection") {
            Some(answer) => assert_eq!(answer.command, "RECEIPT", "{answer:?}"),
            None => break,
        }
        confirmed += 1;
        assert!(confirmed < 24 * 1024 / 16, "more was confirmed than the disk holds");
    }
    assert!(confirmed > 100, "only {confirmed} messages fit");
    let mut consumer = Client::connect(broker.address).expect("a full broker takes consumers");
    consumer
        .subscribe("0", "/queue/full", "client-individual", 10)
        .expect("a full broker takes subscriptions");
    // What was confirmed is there, and acknowledging makes room for what was held.
    for _ in 0..=confirmed {
        let frame = consumer.receive().expect("a message");
        let ack = frame.header("ack").expect("an ack header").to_owned();
        consumer.send(&Frame::new("ACK", &[("id", &ack)])).expect("a living connection");
    }
    assert_eq!(producer.receive().expect("the receipt that was held").command, "RECEIPT");
    producer.publish("/queue/full", &body).expect("a receipt at once");
}

#[test]
fn thousands_of_idle_connections_are_cheap_and_alive() {
    let (_folder, data) = data();
    let count = if full() { 10_000 } else { 1000 };
    let broker = Options::new(&data).start();
    let (before, _) = broker.memory_bytes();
    let mut clients: Vec<Client> =
        (0..count).map(|_| Client::connect(broker.address).expect("one connection more")).collect();
    let (after, _) = broker.memory_bytes();
    let each = after.saturating_sub(before) / count;
    assert!(each < 32 * 1024, "each connection takes {each} bytes");
    for client in &mut clients {
        client.confirm(Frame::new("BEGIN", &[("transaction", "t")])).expect("it is alive");
    }
}
