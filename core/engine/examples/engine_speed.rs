// SPDX-License-Identifier: Apache-2.0
//! What the engine itself costs per message: no socket, no protocol, no store.
//!
//! `cargo run --release -p sabir-engine --example engine_speed`

use bytes::Bytes;
use sabir_engine::{Client, CommitNeed, Config, Engine, Input, Outputs};
use sabir_model::message::{Field, Fixed, HeadWriter};
use sabir_model::store::{Batch, Op, Record};
use sabir_model::verb::{Attach, Outcome, Request, SessionId, Settle, SettleRange, Subscribe, Verb};
use sabir_model::{Destination, Message, Now};
use std::time::Instant;

const NOW: Now = Now { monotonic_ms: 1_000, unix_ms: 1_700_000_000_000 };

/// Message groups, where there are any.
const GROUPS: u64 = 64;

fn message(persistent: bool, body: usize, group: Option<u64>) -> Message {
    let mut bytes = Vec::new();
    let fixed = Fixed { persistent, ..Fixed::default() };
    let mut writer = HeadWriter::new(&mut bytes, &fixed);
    assert!(writer.field(Field::Id, b"ID:bench-1"));
    assert!(writer.field(Field::Destination, b"queue://bench"));
    if let Some(group) = group {
        assert!(writer.field(Field::Group, format!("group-{group}").as_bytes()));
    }
    writer.finish();
    bytes.resize(bytes.len() + body, b'x');
    Message::joined(Bytes::from(bytes)).expect("a good head")
}

struct Bench {
    engine: Engine,
    out: Outputs,
    batch: Batch,
    requests: Vec<Request>,
    /// Sent in turn.
    bodies: Vec<Message>,
    /// How many operations the store was given.
    operations: usize,
    reads: usize,
    delivered: u64,
}

impl Bench {
    fn new(bodies: Vec<Message>, producers: u64, consumers: u64, credit: u64) -> Bench {
        let engine = Engine::recover(Config::default(), NOW, Vec::new(), Vec::new()).expect("an engine");
        let mut bench = Bench {
            engine,
            out: Outputs::default(),
            batch: Batch::default(),
            requests: Vec::new(),
            bodies,
            operations: 0,
            reads: 0,
            delivered: 0,
        };
        for session in 1..=producers {
            bench.open(session);
            let destinations = vec![Destination::queue("bench").expect("a name")];
            bench.request(session, 1, Verb::Attach(Box::new(Attach { destinations, producer_name: None })));
        }
        for session in 101..101 + consumers {
            bench.open(session);
            bench.subscribe(session, credit);
        }
        bench.commit();
        bench
    }

    fn open(&mut self, session: u64) {
        let input = Input::Open { session: SessionId(session), client: Client::default() };
        self.engine.handle(NOW, input, &mut self.out);
    }

    fn subscribe(&mut self, session: u64, credit: u64) {
        let subscribe = Subscribe {
            destinations: vec![Destination::queue("bench").expect("a name")],
            selector: None,
            name: None,
            credit,
            priority: 0,
            auto_accept: false,
            no_local: false,
            exclusive: false,
            browse: false,
            durable: false,
            shared: false,
            auto_delete: false,
            link_credit: false,
        };
        self.request(session, 1, Verb::Subscribe(Box::new(subscribe)));
    }

    fn request(&mut self, session: u64, id: u64, verb: Verb) {
        self.requests.push(Request { token: 1, confirm: true, id, transaction: 0, verb });
        self.send(session);
    }

    fn send(&mut self, session: u64) {
        let input = Input::Requests { session: SessionId(session), requests: &mut self.requests };
        self.engine.handle(NOW, input, &mut self.out);
    }

    fn publish(&mut self, session: u64, count: usize) {
        for token in 0..count as u64 {
            let verb = Verb::Publish(self.bodies[token as usize % self.bodies.len()].clone());
            self.requests.push(Request { token, confirm: true, id: 1, transaction: 0, verb });
        }
        self.send(session);
    }

    /// Takes batches and commits them, and answers reads, until nothing more happens.
    fn commit(&mut self) {
        loop {
            while let Some(request) = self.out.reads.pop() {
                self.reads += 1;
                let read = request.read;
                let size = self.bodies[0].size_bytes() as u64;
                let most = (read.max_bytes / size).max(1).min(read.max_records);
                let records = (read.from..=read.last)
                    .take(most as usize)
                    .map(|seq| Record {
                        seq,
                        span: 1,
                        format: 0,
                        total_len: size,
                        label: Bytes::new(),
                        data: self.bodies[0].pieces()[0].clone(),
                    })
                    .collect();
                let input = Input::Records { read: request.id, records, error: None };
                self.engine.handle(NOW, input, &mut self.out);
            }
            if self.out.commit == CommitNeed::None {
                return;
            }
            let Some(commit) = self.engine.take_batch(&mut self.batch) else { return };
            self.operations += self.batch.ops.len();
            self.engine.handle(NOW, Input::Committed { commit }, &mut self.out);
        }
    }

    /// Accepts everything that was delivered, each by itself.
    fn accept(&mut self) {
        self.out.replies.clear();
        let mut deliveries = std::mem::take(&mut self.out.deliveries);
        self.delivered += deliveries.len() as u64;
        deliveries.sort_by_key(|(session, _)| *session);
        let mut current = SessionId(0);
        for (session, delivery) in deliveries.drain(..) {
            if session != current && !self.requests.is_empty() {
                self.send(current.0);
            }
            current = session;
            let range = SettleRange::Tags { first: delivery.tag, last: delivery.tag };
            let verb = Verb::Settle(Settle { range, outcome: Outcome::Accept });
            self.requests.push(Request {
                token: 0,
                confirm: false,
                id: delivery.subscription,
                transaction: 0,
                verb,
            });
        }
        if !self.requests.is_empty() {
            self.send(current.0);
        }
        deliveries.append(&mut self.out.deliveries);
        self.out.deliveries = deliveries;
    }
}

fn flow(name: &str, persistent: bool, grouped: bool, parties: u64) {
    let bodies = match grouped {
        false => vec![message(persistent, 1_024, None)],
        true => (0..GROUPS).map(|group| message(persistent, 1_024, Some(group))).collect(),
    };
    let mut bench = Bench::new(bodies, parties, parties, 1_000);
    let (rounds, window) = (4_000u64, 64);
    let start = Instant::now();
    for _ in 0..rounds {
        for session in 1..=parties {
            bench.publish(session, window);
        }
        bench.commit();
        bench.accept();
    }
    bench.commit();
    bench.accept();
    let messages = rounds * parties * window as u64;
    assert_eq!(bench.engine.stats().accepted, messages);
    report(name, start, messages, &bench);
}

fn backlog(messages: u64) {
    let mut bench = Bench::new(vec![message(true, 256, None)], 1, 0, 0);
    let start = Instant::now();
    for _ in 0..messages / 64 {
        bench.publish(1, 64);
        bench.commit();
        bench.out.replies.clear();
    }
    report("backlog of 256 B: fill", start, messages, &bench);
    println!("    charged to memory: {} bytes", bench.engine.stats().resident_bytes);
    bench.open(101);
    let start = Instant::now();
    bench.subscribe(101, 1_000);
    while bench.engine.stats().messages > 0 {
        bench.commit();
        bench.accept();
    }
    report("backlog of 256 B: drain", start, messages, &bench);
    println!("    reads: {}", bench.reads);
    let removes = bench.batch.ops.iter().filter(|op| matches!(op, Op::Remove { .. })).count();
    println!("    removals in the last batch: {removes}");
}

fn report(name: &str, start: Instant, messages: u64, bench: &Bench) {
    let nanos = start.elapsed().as_nanos() as f64 / messages as f64;
    let operations = bench.operations as f64 / messages as f64;
    println!("{name:<44} {nanos:7.0} ns/message {operations:6.2} operations/message");
}

fn main() {
    for _ in 0..2 {
        flow("persistent 1 KiB, 1 producer, 1 consumer", true, false, 1);
        flow("persistent 1 KiB, 4 producers, 4 consumers", true, false, 4);
        flow("not persistent 1 KiB, 1 producer, 1 consumer", false, false, 1);
        flow("not persistent 1 KiB, 4 and 4", false, false, 4);
        flow("not persistent 1 KiB, 64 groups, 4 and 4", false, true, 4);
        backlog(1_000_000);
    }
}
