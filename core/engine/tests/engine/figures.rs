// SPDX-License-Identifier: Apache-2.0
//! Figures of single queues, and of dead letters by why.

use crate::broker::{Broker, Draft, draft, subscribe};
use sabir_engine::{Config, Policy, QueueFigures};
use sabir_model::verb::{Outcome, Subscribe};

fn broker() -> Broker {
    let mut broker = Broker::new();
    broker.open_as(1, Some("client"));
    broker
}

fn send(broker: &mut Broker, destination: &str, count: usize) {
    broker.produce(1, 1, &[destination]);
    for _ in 0..count {
        let sent_ms = broker.now.unix_ms;
        broker.publish(1, 1, Draft { sent_ms, ..draft("m") });
        broker.advance(1_000);
    }
}

fn names(figures: &[QueueFigures]) -> Vec<String> {
    figures.iter().map(|one| one.destination.to_string()).collect()
}

fn oldest(broker: &mut Broker) -> Option<u64> {
    broker.input(sabir_engine::Input::Tick);
    broker.engine.largest_queues(1)[0].oldest_age_ms
}

#[test]
fn the_largest_queues_and_durable_subscriptions_are_told_and_no_more_than_asked_for() {
    let mut broker = broker();
    let durable = Subscribe { durable: true, name: Some("sub".into()), ..subscribe(&["topic://T"]) };
    broker.subscribe_with(1, 1, durable);
    broker.subscribe(1, 2, &["topic://T"], 0);
    for (destination, count) in [("queue://one", 1), ("topic://T", 2), ("queue://three", 3)] {
        send(&mut broker, destination, count);
    }
    let all = broker.engine.largest_queues(10);
    assert_eq!(names(&all), ["queue://three", "topic://T", "queue://one"]);
    assert_eq!(all[1].subscription.as_deref(), Some("client/sub"));
    assert_eq!((all[1].messages, all[1].in_flight, all[1].consumers), (2, 2, 1));
    assert_eq!(names(&broker.engine.largest_queues(2)), ["queue://three", "topic://T"]);
    assert!(broker.engine.largest_queues(0).is_empty());
}

#[test]
fn the_age_of_the_oldest_waiting_message_is_told_wherever_it_lies() {
    let mut broker = broker();
    send(&mut broker, "queue://Q", 3);
    assert_eq!(oldest(&mut broker), Some(3_000));
    // After a crash it lies in the store, where the sweep for expired ones finds it.
    let mut broker = broker.crash(0);
    assert_eq!(oldest(&mut broker), None);
    broker.pass(60_000);
    assert!(oldest(&mut broker).is_some_and(|age| age > 60_000));
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 2);
    let got = broker.got(2);
    let third = oldest(&mut broker).unwrap();
    broker.release(2, &got[0]);
    // Two are in flight again: the first came back and was given out anew.
    assert_eq!(oldest(&mut broker), Some(third));
    broker.close(2);
    assert_eq!(oldest(&mut broker), Some(third + 2_000));
}

#[test]
fn dead_letters_are_counted_by_why() {
    let policy = Policy { max_redeliveries: 0, ..Policy::default() };
    let mut broker = Broker::with(Config { default_policy: policy, ..Config::default() });
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    let expiration_ms = broker.now.unix_ms + 10;
    broker.publish(1, 1, Draft { expiration_ms, ..draft("late") });
    broker.publish_all(1, 1, ["bad", "vain"]);
    broker.advance(20);
    broker.subscribe(1, 1, &["queue://Q"], 10);
    let got = broker.got(1);
    broker.settle(1, 1, got[0].tag, Outcome::Reject { reason: "no".into() });
    broker.release(1, &got[1]);
    let stats = broker.engine.stats();
    let by_why = (stats.dead_lettered_rejected, stats.dead_lettered_attempts, stats.dead_lettered_expired);
    assert_eq!((by_why, stats.dead_lettered), ((1, 1, 1), 3));
}
