// SPDX-License-Identifier: Apache-2.0
//! What the stack costs per publish and per settle, in batches of 64: `cargo run --release -p sabir-stack --example cost`.

use sabir_model::message::{Field, Fixed, HeadWriter};
use sabir_model::property::Value;
use sabir_model::verb::{Answer, Attach, Connect, Outcome, Reply, Request, Settle, SettleRange, Verb};
use sabir_model::{Destination, Message, Now, Refusal, SessionId};
use sabir_stack::policy::{Operation, Rule, Rules};
use sabir_stack::{
    Admission, Admissions, Authentication, Batch, Budget, Limits, Metrics, Outbound, Outgoing, Policy,
    Session, Shared, SharedPolicy, Stack, build,
};
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use tower::Service;

const BATCH: u64 = 64;
const ROUNDS: u64 = 20_000;

/// Where the way ends: keeps the requests to be sent again.
struct Engine;

impl Service<Batch> for Engine {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, batch: Batch) -> Admission {
        Admission::ready(batch.admit())
    }
}

impl Outbound for Engine {
    fn outbound(&mut self, _: &Outgoing<'_>) -> Result<(), Refusal> {
        Ok(())
    }
}

fn request(token: u64, verb: Verb) -> Request {
    Request { token, confirm: true, id: 1, transaction: 0, verb }
}

fn message() -> Message {
    let mut bytes = Vec::new();
    let mut writer = HeadWriter::new(&mut bytes, &Fixed { persistent: true, ..Fixed::default() });
    assert!(writer.field(Field::Id, b"ID:host-1:1:1:1"));
    assert!(writer.field(Field::Destination, b"queue://ORDERS"));
    assert!(writer.property("region", &Value::Text("EU")));
    writer.finish();
    bytes.resize(bytes.len() + 1024, b'x');
    Message::joined(bytes.into()).expect("this is a message")
}

fn settle(tag: u64) -> Verb {
    Verb::Settle(Settle { range: SettleRange::Tags { first: tag, last: tag }, outcome: Outcome::Accept })
}

/// One batch there, and its answers back.
fn round<S: Stack>(stack: &mut S, last: Admissions, replies: &[Reply]) -> Admissions {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(stack.poll_ready(&mut cx).is_ready());
    let batch = Batch::next(Now::default(), last);
    let Poll::Ready(Ok(last)) = pin!(stack.call(batch)).poll(&mut cx) else { panic!("only a log-in waits") };
    let outgoing = Outgoing { now: Now::default(), replies, deliveries: &[] };
    stack.outbound(&outgoing).expect("nothing was revoked");
    last
}

fn measure(name: &str, shared: &Shared, make: impl Fn(u64) -> Request) {
    let budget = Arc::new(Budget::new(&Limits::default()));
    let mut stack = build(shared, "bench", budget, Engine);
    let mut last = Batch::first(Now::default(), Session::new(SessionId(1), "c")).admit();
    let destinations = vec![Destination::queue("ORDERS").expect("this is a name")];
    last.remaining.push(request(1, Verb::Connect(Box::<Connect>::default())));
    last.remaining.push(request(2, Verb::Attach(Box::new(Attach { destinations, producer_name: None }))));
    let replies: Vec<Reply> = (1..=BATCH).map(|token| Reply { token, answer: Answer::Done }).collect();
    last = round(&mut stack, last, &replies);
    assert!(last.replies.is_empty(), "{:?}", last.replies);
    last.remaining = (1..=BATCH).map(make).collect();
    let mut best = f64::MAX;
    for _ in 0..7 {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            last = round(&mut stack, last, &replies);
        }
        best = best.min(begun.elapsed().as_nanos() as f64 / (ROUNDS * BATCH) as f64);
    }
    assert!(last.replies.is_empty() && last.remaining.len() as u64 == BATCH);
    println!("{name:<32} {best:>6.1} ns");
}

fn main() {
    let rule = Rule {
        destination: "queue://ORDERS.#".to_owned(),
        virtual_host: None,
        allow: vec![Operation::Write],
        users: vec!["*".to_owned()],
        groups: Vec::new(),
    };
    let shared = Shared {
        policy: Arc::new(SharedPolicy::new(Policy::new(
            Authentication::Off,
            Rules::new(vec![rule]).expect("this is a rule"),
            Limits::default(),
        ))),
        metrics: Arc::new(Metrics::new()),
        blocking: Arc::new(|work: Box<dyn FnOnce() + Send>| work()),
        extensions: Vec::new(),
    };
    let message = message();
    measure("publish, confirmed", &shared, |token| request(token, Verb::Publish(message.clone())));
    measure("publish, not confirmed", &shared, |token| Request {
        confirm: false,
        ..request(token, Verb::Publish(message.clone()))
    });
    measure("settle, not confirmed", &shared, |token| Request {
        confirm: false,
        ..request(token, settle(token))
    });
    measure("publish and settle in turn", &shared, |token| match token % 2 {
        0 => request(token, Verb::Publish(message.clone())),
        _ => Request { confirm: false, ..request(token, settle(token)) },
    });
}
