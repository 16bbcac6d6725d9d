// SPDX-License-Identifier: Apache-2.0
//! What is confirmed outlives `kill -9`.
//!
//! Producers with receipts, consumers with acknowledgements and a producer with transactions work on a broker that is
//! killed at a random moment, started again on the same data, and so on. In the end everything is drained, and the
//! checker looks for words that were not kept.

use crate::data;
use sabir_tests::history::{Event, Id, check};
use sabir_tests::process::{Broker, full};
use sabir_tests::random::Random;
use sabir_tests::stomp::{Client, Frame, message};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex};

/// Kills in a CI run, and in a long one.
const KILLS: u32 = 50;
const KILLS_FULL: u32 = 200;
/// Steps that clients take before a kill, at most.
const STEPS_PER_LIFE: u64 = 1500;
const QUEUES: u32 = 2;
const PRODUCERS: u32 = 2;
/// The producer that uses transactions.
const TRANSACTOR: u32 = 100;
/// Confirmations that a producer leaves open.
const WINDOW: usize = 16;
/// One message in so many is left unacknowledged.
const FORGET: u64 = 8;
const MARKER: &str = "marker";

/// All that clients did and saw.
#[derive(Default)]
struct History {
    events: Mutex<Vec<Event>>,
    grown: Condvar,
}

impl History {
    fn note(&self, event: Event) {
        self.events.lock().unwrap().push(event);
        self.grown.notify_all();
    }

    /// Waits until so many steps were taken; a broker that stands still fails the test.
    fn wait_for(&self, steps: usize) {
        let events = self.events.lock().unwrap();
        let patience = sabir_tests::process::PATIENCE;
        let (events, wait) =
            self.grown.wait_timeout_while(events, patience, |events| events.len() < steps).unwrap();
        assert!(!wait.timed_out(), "the clients stand still after {} of {steps} steps", events.len());
    }

    fn len(&self) -> usize {
        self.events.lock().unwrap().len()
    }
}

fn queue_name(queue: u32) -> String {
    format!("/queue/survival.{queue}")
}

/// Sends until the broker dies. Numbers go on from life to life.
fn produce(address: SocketAddr, producer: u32, numbers: &Mutex<u64>, history: &History) -> io::Result<()> {
    let mut client = Client::connect(address)?;
    let mut open: HashMap<String, Id> = HashMap::new();
    loop {
        let number = {
            let mut numbers = numbers.lock().unwrap();
            *numbers += 1;
            *numbers
        };
        let id = Id { producer, number };
        let queue = (number % u64::from(QUEUES)) as u32;
        let receipt = id.to_string();
        history.note(Event::Send { id, queue, transaction: None });
        open.insert(receipt.clone(), id);
        let padding = "x".repeat((number * 37 % 900) as usize);
        let frame = message(&queue_name(queue), format!("{id} {padding}").as_bytes());
        client.send(&frame.with("receipt", &receipt))?;
        while open.len() >= WINDOW {
            let answer = client.receive()?;
            assert_eq!(answer.command, "RECEIPT", "{answer:?}");
            let id = answer.header("receipt-id").and_then(|receipt| open.remove(receipt));
            history.note(Event::Sent { id: id.expect("a receipt that was asked for") });
        }
    }
}

/// Sends to both queues in one transaction, and commits or aborts it, until the broker dies.
fn transact(address: SocketAddr, numbers: &Mutex<u64>, history: &History) -> io::Result<()> {
    let mut client = Client::connect(address)?;
    loop {
        let first = {
            let mut numbers = numbers.lock().unwrap();
            *numbers += u64::from(QUEUES);
            *numbers
        };
        let transaction = first;
        let name = transaction.to_string();
        client.send(&Frame::new("BEGIN", &[("transaction", &name)]))?;
        for queue in 0..QUEUES {
            let id = Id { producer: TRANSACTOR, number: first + u64::from(queue) };
            history.note(Event::Send { id, queue, transaction: Some(transaction) });
            let frame = message(&queue_name(queue), format!("{id} ").as_bytes());
            client.send(&frame.with("transaction", &name))?;
        }
        if first % 10 < 3 {
            history.note(Event::Abort { transaction });
            client.confirm(Frame::new("ABORT", &[("transaction", &name)]))?;
        } else {
            history.note(Event::Commit { transaction });
            client.confirm(Frame::new("COMMIT", &[("transaction", &name)]))?;
            history.note(Event::Committed { transaction });
        }
    }
}

/// A consumer of one queue in one life.
struct Consumer<'a> {
    client: Client,
    queue: u32,
    number: u64,
    life: u32,
    history: &'a History,
}

impl Consumer<'_> {
    /// Notes a message; answers what it is, or `None` for the marker.
    fn note(&self, frame: &Frame) -> Option<Id> {
        assert_eq!(frame.command, "MESSAGE", "{frame:?}");
        let text = frame.text();
        if text == MARKER {
            return None;
        }
        let id = Id::parse(&text).unwrap_or_else(|| panic!("a body that nobody sent: {text:?}"));
        let redelivered = frame.header("redelivered") == Some("true");
        let (queue, consumer, life) = (self.queue, self.number, self.life);
        self.history.note(Event::Received { id, queue, consumer, life, redelivered });
        Some(id)
    }

    /// Receives and acknowledges until the broker dies; with `forgets` some stay unacknowledged.
    fn consume(mut self) -> io::Result<()> {
        self.client.subscribe("0", &queue_name(self.queue), "client-individual", 32)?;
        let mut open: HashMap<String, Id> = HashMap::new();
        let mut count = 0;
        loop {
            let frame =
                self.client.receive_within(sabir_tests::process::PATIENCE)?.ok_or(io::ErrorKind::TimedOut)?;
            if frame.command == "RECEIPT" {
                let receipt = frame.header("receipt-id").expect("a receipt has an id");
                let id = open.remove(receipt).expect("a receipt that was asked for");
                self.history.note(Event::Accepted { id, queue: self.queue, life: self.life });
                continue;
            }
            let Some(id) = self.note(&frame) else { continue };
            count += 1;
            // The last of a window may not be forgotten too, or nothing would come any more.
            if count % FORGET == 0 && count < 32 * FORGET / 2 {
                continue;
            }
            let receipt = format!("{id}/{count}");
            let ack = frame.header("ack").expect("an ack header").to_owned();
            open.insert(receipt.clone(), id);
            self.client.send(&Frame::new("ACK", &[("id", &ack), ("receipt", &receipt)]))?;
        }
    }

    /// Receives everything up to a marker that is sent now, and acknowledges it.
    fn drain(mut self) -> io::Result<()> {
        self.client.publish(&queue_name(self.queue), MARKER.as_bytes())?;
        self.client.subscribe("0", &queue_name(self.queue), "client-individual", 32)?;
        loop {
            let frame = self.client.receive()?;
            if frame.command == "RECEIPT" {
                continue;
            }
            let id = self.note(&frame);
            let ack = frame.header("ack").expect("an ack header").to_owned();
            self.client.send(&Frame::new("ACK", &[("id", &ack)]))?;
            if id.is_none() {
                return Ok(());
            }
        }
    }
}

/// Lets all clients work until the broker has been killed.
fn live(broker: Broker, life: u32, steps: u64, numbers: &[Mutex<u64>], history: &History) {
    let address = broker.address;
    let until = history.len() + steps as usize;
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            scope.spawn(move || produce(address, producer, &numbers[producer as usize], history));
        }
        scope.spawn(move || transact(address, &numbers[PRODUCERS as usize], history));
        for queue in 0..QUEUES {
            scope.spawn(move || {
                let client = Client::connect(address)?;
                let number = u64::from(life * QUEUES + queue);
                Consumer { client, queue, number, life, history }.consume()
            });
        }
        history.wait_for(until);
        broker.kill();
    });
}

#[test]
fn nothing_confirmed_is_lost_when_the_broker_is_killed_again_and_again() {
    let (_folder, data) = data();
    let mut random = Random::from_environment();
    let kills = if full() { KILLS_FULL } else { KILLS };
    let history = History::default();
    let numbers: Vec<Mutex<u64>> = (0..=PRODUCERS).map(|_| Mutex::new(0)).collect();
    for life in 0..kills {
        let steps = 1 + random.below(STEPS_PER_LIFE);
        live(Broker::start(&data), life, steps, &numbers, &history);
    }
    let broker = Broker::start(&data);
    for queue in 0..QUEUES {
        let client = Client::connect(broker.address).expect("the broker is there");
        let number = u64::from(kills * QUEUES + queue);
        let consumer = Consumer { client, queue, number, life: kills, history: &history };
        consumer.drain().expect("everything comes, and the marker at the end");
    }
    let events = history.events.into_inner().unwrap();
    let confirmed = events.iter().filter(|event| matches!(event, Event::Sent { .. })).count();
    assert!(confirmed > kills as usize, "only {confirmed} messages were confirmed: the test tested nothing");
    let violations = check(&events);
    assert!(violations.is_empty(), "{} words were not kept: {violations:?}", violations.len());
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
