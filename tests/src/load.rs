// SPDX-License-Identifier: Apache-2.0
//! Clients at work on a broker that comes to harm: they note what they did and saw, for the checker of histories.
//!
//! Producers with receipts, a producer with transactions over two queues, and consumers that acknowledge work until
//! the broker is gone; then the next life begins. In the end everything is drained, and the checker looks for words that
//! were not kept.

use crate::history::{Event, Id, Violation, check};
use crate::process::PATIENCE;
use crate::stomp::{Client, Frame, message};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};

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
#[derive(Debug, Default)]
struct History {
    events: Mutex<Vec<Event>>,
    grown: Condvar,
    /// Clients that work.
    working: AtomicU32,
}

impl History {
    fn note(&self, event: Event) {
        self.events.lock().unwrap().push(event);
        self.grown.notify_all();
    }

    /// Waits until so many steps were taken, or no client works any more; a broker that stands still fails the test.
    fn wait_for(&self, steps: usize) {
        let events = self.events.lock().unwrap();
        let go_on = |events: &mut Vec<Event>| events.len() < steps && self.working.load(SeqCst) > 0;
        let (events, wait) = self.grown.wait_timeout_while(events, PATIENCE, go_on).unwrap();
        assert!(!wait.timed_out(), "the clients stand still after {} of {steps} steps", events.len());
    }

    fn len(&self) -> usize {
        self.events.lock().unwrap().len()
    }

    /// Lets a client work until its connection ends.
    fn work(&self, client: impl FnOnce() -> io::Result<()>) {
        // How it ended is nobody's concern: the broker came to harm.
        let _ended = client();
        let events = self.events.lock().unwrap();
        self.working.fetch_sub(1, SeqCst);
        drop(events);
        self.grown.notify_all();
    }
}

/// What the load came to.
#[derive(Debug)]
pub struct Outcome {
    /// Publishes that the broker confirmed.
    pub confirmed: usize,
    /// Lives that the broker had under load.
    pub lives: u32,
    /// Words that were not kept.
    pub violations: Vec<Violation>,
}

impl Outcome {
    /// Fails the test if a word was not kept, or if hardly any was given.
    pub fn must_be_good(&self) {
        assert!(
            self.confirmed > self.lives as usize,
            "only {} messages were confirmed in {} lives: the test tested nothing",
            self.confirmed,
            self.lives
        );
        let few: Vec<&Violation> = self.violations.iter().take(20).collect();
        assert!(few.is_empty(), "{} words were not kept: {few:?}", self.violations.len());
    }
}

/// Clients, and what they did and saw through all lives of a broker.
#[derive(Debug)]
pub struct Load {
    /// Bytes of the longest message.
    pub longest_bytes: u64,
    history: History,
    numbers: Vec<Mutex<u64>>,
    lives: u32,
}

impl Default for Load {
    fn default() -> Self {
        let numbers = (0..=PRODUCERS).map(|_| Mutex::new(0)).collect();
        Load { longest_bytes: 900, history: History::default(), numbers, lives: 0 }
    }
}

impl Load {
    /// Lets all clients work on a broker; does `harm` once they have taken so many steps, or have lost the broker before
    /// that. `harm` must see to it that the broker ends.
    pub fn live<T>(&mut self, address: SocketAddr, steps: u64, harm: impl FnOnce() -> T) -> T {
        let life = self.lives;
        self.lives += 1;
        let Load { history, numbers, longest_bytes, .. } = &*self;
        let until = history.len() + steps as usize;
        history.working.store(PRODUCERS + 1 + QUEUES, SeqCst);
        std::thread::scope(|scope| {
            for producer in 0..PRODUCERS {
                let numbers = &numbers[producer as usize];
                scope.spawn(move || {
                    history.work(|| produce(address, producer, *longest_bytes, numbers, history));
                });
            }
            let numbers = &numbers[PRODUCERS as usize];
            scope.spawn(move || history.work(|| transact(address, numbers, history)));
            for queue in 0..QUEUES {
                scope.spawn(move || {
                    history.work(|| Consumer::connect(address, queue, life, history)?.consume())
                });
            }
            history.wait_for(until);
            harm()
        })
    }

    /// Steps that clients have taken.
    pub fn steps(&self) -> usize {
        self.history.len()
    }

    /// Takes out all that is left, and looks whether every word was kept.
    pub fn drain(self, address: SocketAddr) -> Outcome {
        for queue in 0..QUEUES {
            let consumer = Consumer::connect(address, queue, self.lives, &self.history);
            let drained = consumer.and_then(Consumer::drain);
            drained.expect("everything comes, and the marker at the end");
        }
        let events = self.history.events.into_inner().unwrap();
        let confirmed = events.iter().filter(|event| matches!(event, Event::Sent { .. })).count();
        Outcome { confirmed, lives: self.lives, violations: check(&events) }
    }
}

fn queue_name(queue: u32) -> String {
    format!("/queue/survival.{queue}")
}

/// An error, if the broker says one: its store has failed, and it is about to end.
fn refusal(frame: &Frame) -> io::Result<()> {
    if frame.command == "ERROR" { Err(io::Error::other(frame.text())) } else { Ok(()) }
}

/// Sends until the broker dies. Numbers go on from life to life.
fn produce(
    address: SocketAddr,
    producer: u32,
    longest_bytes: u64,
    numbers: &Mutex<u64>,
    history: &History,
) -> io::Result<()> {
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
        let padding = "x".repeat((number * 37 % longest_bytes) as usize);
        let frame = message(&queue_name(queue), format!("{id} {padding}").as_bytes());
        client.send(&frame.with("receipt", &receipt))?;
        while open.len() >= WINDOW {
            let answer = client.receive()?;
            refusal(&answer)?;
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
#[derive(Debug)]
struct Consumer<'a> {
    client: Client,
    queue: u32,
    number: u64,
    life: u32,
    history: &'a History,
}

impl<'a> Consumer<'a> {
    fn connect(address: SocketAddr, queue: u32, life: u32, history: &'a History) -> io::Result<Self> {
        let client = Client::connect(address)?;
        Ok(Consumer { client, queue, number: u64::from(life * QUEUES + queue), life, history })
    }

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
            let frame = self.client.receive_within(PATIENCE)?.ok_or(io::ErrorKind::TimedOut)?;
            refusal(&frame)?;
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
