// SPDX-License-Identifier: Apache-2.0
//! The load against a toy broker for one producer and one consumer, honest or not.

use super::{Load, Pace, flood, paced};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};

/// What the toy does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// It confirms a message and forgets it.
    Swallows,
    /// It sends an ERROR frame.
    Refuses,
}

/// Starts the toy; its threads end with their connections.
fn toy(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let (bodies, delivered) = channel::<Vec<u8>>();
        // The load opens consumers first.
        let (consumer, _) = listener.accept().expect("the consumer");
        let mut writer = consumer.try_clone().expect("a second handle");
        std::thread::spawn(move || serve(consumer, |_, _| Vec::new()));
        std::thread::spawn(move || {
            for (number, body) in delivered.iter().enumerate() {
                let head = format!("MESSAGE\nsubscription:0\nmessage-id:{number}\nack:{number}\n");
                let head = format!("{head}destination:/queue/a\ncontent-length:{}\n\n", body.len());
                let frame = [head.as_bytes(), &body, b"\0"].concat();
                if writer.write_all(&frame).is_err() {
                    return;
                }
            }
        });
        let (producer, _) = listener.accept().expect("the producer");
        serve(producer, |head, body| confirm(fault, &bodies, head, body));
    });
    address
}

fn confirm(fault: Fault, bodies: &Sender<Vec<u8>>, head: &str, body: &[u8]) -> Vec<u8> {
    let receipt = head.lines().find_map(|line| line.strip_prefix("receipt:"));
    let swallowed = fault == Fault::Swallows && receipt.is_some_and(|receipt| receipt.ends_with("77"));
    if fault == Fault::Refuses {
        return b"ERROR\nmessage:no\n\n\0".to_vec();
    }
    if !swallowed {
        bodies.send(body.to_vec()).expect("the consumer is there");
    }
    receipt.map(|receipt| format!("RECEIPT\nreceipt-id:{receipt}\n\n\0").into_bytes()).unwrap_or_default()
}

/// Answers CONNECT, and each SEND by a function; everything else is taken in silence.
fn serve(mut link: TcpStream, mut on_send: impl FnMut(&str, &[u8]) -> Vec<u8>) {
    let mut input = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = link.read(&mut chunk) {
        input.extend_from_slice(&chunk[..count]);
        let mut output = Vec::new();
        let mut at = 0;
        while let Some((head, body, end)) = next(&input[at..]) {
            match head.lines().next() {
                Some("CONNECT") => output.extend_from_slice(b"CONNECTED\nversion:1.2\n\n\0"),
                Some("SEND") => output.extend(on_send(&head, &body)),
                _ => {}
            }
            at += end;
        }
        input.drain(..at);
        if link.write_all(&output).is_err() {
            return;
        }
    }
}

fn next(input: &[u8]) -> Option<(String, Vec<u8>, usize)> {
    let head_len = input.windows(2).position(|two| two == b"\n\n")?;
    let head = String::from_utf8_lossy(&input[..head_len]).trim_start().to_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body = head_len + 2;
    let end = body + length.map_or(0, |length| length.parse().expect("a number"));
    (input.len() > end).then(|| (head, input[body..end].to_vec(), end + 1))
}

fn load(fault: Fault, persistent: bool, pace: Pace) -> Load {
    Load {
        address: toy(fault),
        host: "/".to_owned(),
        login: None,
        destination: "/queue/a".to_owned(),
        producers: 1,
        consumers: 1,
        size_bytes: 100,
        window: 64,
        acks_per_window: 4,
        persistent,
        pace,
    }
}

const SHORT: Pace = Pace::Time { warm_up_ms: 10, measure_ms: 50 };

#[test]
fn everything_that_is_sent_is_confirmed_and_received() {
    for persistent in [true, false] {
        let seen = flood::flood(&load(Fault::None, persistent, SHORT)).expect("an honest broker");
        assert!(seen.sent > 0 && seen.sent == seen.received, "{seen:?}");
        assert!(seen.confirmed_per_s > 0.0 && seen.received_per_s > 0.0, "{seen:?}");
    }
}

#[test]
fn a_broker_that_refuses_fails_the_run() {
    let error = flood::flood(&load(Fault::Refuses, true, SHORT)).expect_err("it refuses");
    assert!(error.to_string().contains("message:no"), "{error}");
}

#[test]
fn a_count_is_kept_to() {
    let seen =
        flood::flood(&load(Fault::None, true, Pace::Count { messages: 1000 })).expect("an honest broker");
    assert_eq!((seen.sent, seen.received), (1000, 1000));
}

#[test]
fn a_broker_that_swallows_a_message_fails_the_run() {
    let load = load(Fault::Swallows, true, Pace::Count { messages: 100 });
    let error = flood::flood_with(&load, std::time::Duration::from_millis(300)).expect_err("one is missing");
    assert!(error.to_string().contains("received 99"), "{error}");
}

/// The numbers of the messages that a consumer acknowledges of eight.
fn acknowledged(acks_per_window: usize) -> Vec<String> {
    let (acks, seen) = channel();
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let broker = std::thread::spawn(move || {
        let (mut link, _) = listener.accept().expect("the consumer");
        let mut input = [0; 1024];
        let _connect = link.read(&mut input).expect("a log-in");
        link.write_all(b"CONNECTED\nversion:1.2\n\n\0").expect("the consumer is there");
        let _subscribe = link.read(&mut input).expect("a subscription");
        for number in 1..=8 {
            let frame = format!("MESSAGE\nack:{number}\n\n\0");
            link.write_all(frame.as_bytes()).expect("the consumer is there");
        }
        let mut text = String::new();
        link.read_to_string(&mut text).expect("frames");
        text.lines().filter_map(|line| line.strip_prefix("id:")).for_each(|id| {
            acks.send(id.to_owned()).expect("the test waits");
        });
    });
    let load = Load { address, window: 8, acks_per_window, ..load(Fault::None, true, SHORT) };
    let mut consumer = flood::Consumer::open(&load).expect("a consumer");
    while consumer.received < 8 {
        consumer.receive(|_| {}).expect("messages");
        std::thread::yield_now();
    }
    drop(consumer);
    broker.join().expect("the broker's part");
    seen.iter().collect()
}

#[test]
fn a_consumer_acknowledges_as_often_as_told() {
    assert_eq!(acknowledged(4), ["2", "4", "6", "8"]);
    assert_eq!(acknowledged(8), ["1", "2", "3", "4", "5", "6", "7", "8"]);
    assert_eq!(acknowledged(1), ["8"]);
}

#[test]
fn an_idle_connection_that_the_broker_closes_is_noticed() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let broker = std::thread::spawn(move || {
        let (mut link, _) = listener.accept().expect("the connection");
        let _connect = link.read(&mut [0; 1024]).expect("a log-in");
        link.write_all(b"CONNECTED\nversion:1.2\n\n\0").expect("it is there");
        link
    });
    let link =
        super::link::Link::log_in(&Load { address, ..load(Fault::None, true, SHORT) }).expect("a log-in");
    let far = broker.join().expect("the broker's part");
    assert!(link.is_open().expect("an answer of the system"));
    drop(far);
    while link.is_open().expect("an answer of the system") {
        std::thread::yield_now();
    }
}

#[test]
fn percentiles_are_those_of_what_was_recorded() {
    let mut latencies =
        hdrhistogram::Histogram::<u64>::new_with_bounds(1, 120_000_000_000, 3).expect("bounds");
    for thousandth in 1..=1000u64 {
        latencies.record(thousandth * 1_000_000).expect("it is within the bounds");
    }
    let latency = paced::percentiles(&latencies);
    // In microseconds, to the three digits that are kept.
    let near = |value: f64, wanted: f64| (value / wanted - 1.0).abs() < 0.002;
    assert!(near(latency.p50, 500_000.0) && near(latency.p99, 990_000.0), "{latency:?}");
    assert!(near(latency.p999, 999_000.0) && near(latency.max, 1_000_000.0), "{latency:?}");
    assert_eq!(latency.count, 1000);
}

#[test]
fn latencies_are_counted_for_every_message_after_the_warm_up() {
    let seen = paced::paced(&load(Fault::None, true, SHORT), 1000, 20, 100).expect("an honest broker");
    let latency = seen.latency_us.expect("latencies");
    assert_eq!((seen.sent, latency.count), (120, 100));
    assert!(latency.p50 > 0.0 && latency.p50 <= latency.p99 && latency.p99 <= latency.max, "{latency:?}");
}
