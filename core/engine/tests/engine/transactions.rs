// SPDX-License-Identifier: Apache-2.0
//! Transactions: all or nothing.

use crate::broker::{Broker, Draft, Reaction, draft, subscribe};
use sabir_engine::{Config, Limits, Policy, WhenFull};
use sabir_model::verb::{Outcome, Reason, Transact, Verb};

fn broker() -> Broker {
    let limits = Limits {
        transaction_spill_bytes: 200,
        max_transactions_per_session: 3,
        max_transaction_items: 50,
        ..Limits::default()
    };
    let mut broker = Broker::with(Config { limits, ..Config::default() });
    broker.open(1);
    broker.produce(1, 1, &["queue://A"]);
    broker.produce(1, 2, &["queue://B", "topic://T"]);
    broker
}

fn publish_in(broker: &mut Broker, producer: u64, text: &str) {
    let verb = Verb::Publish(draft(text).message());
    broker.done(1, producer, 5, verb);
}

#[test]
fn nothing_of_a_transaction_is_seen_before_its_commit_and_then_all_of_it_in_one_batch() {
    let mut broker = broker();
    broker.publish_all(1, 1, ["in"]);
    broker.subscribe(1, 1, &["queue://A"], 10);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://B"], 10);
    broker.subscribe(2, 2, &["topic://T"], 10);
    let got = broker.got(1);
    broker.done(1, 0, 5, Verb::Transact(Transact::Begin));
    publish_in(&mut broker, 2, "out");
    broker.settle_in(1, 5, 1, got[0].tag, Outcome::Accept);
    assert!(broker.got(2).is_empty());
    assert_eq!(broker.store.durable_entries(), 1);
    let before = broker.batches;
    assert_eq!(broker.transact(1, 5, Transact::Commit), Reaction::Done);
    assert_eq!(broker.texts(2), ["out", "out"]);
    assert_eq!(broker.store.durable_entries(), 1);
    // One for the commit, and one that notes what was delivered.
    assert!(broker.batches - before <= 2);
    assert_eq!(broker.transact(1, 5, Transact::Commit), Reaction::Refused(Reason::NotFound));
}

#[test]
fn a_rollback_brings_back_what_was_consumed_and_forgets_what_was_published() {
    let mut broker = broker();
    broker.publish_all(1, 1, ["in"]);
    broker.subscribe(1, 1, &["queue://A"], 10);
    let got = broker.got(1);
    broker.done(1, 0, 5, Verb::Transact(Transact::Begin));
    publish_in(&mut broker, 1, "out");
    broker.settle_in(1, 5, 1, got[0].tag, Outcome::Accept);
    assert_eq!(broker.transact(1, 5, Transact::Rollback), Reaction::Done);
    let again = broker.got(1);
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].text.as_str(), again[0].count, again[0].redelivered), ("in", 1, true));
}

#[test]
fn what_has_expired_meanwhile_does_not_come_back_by_a_rollback() {
    let mut broker = broker();
    let expiration_ms = broker.now.unix_ms + 100;
    broker.publish(1, 1, Draft { expiration_ms, ..draft("in") });
    broker.subscribe(1, 1, &["queue://A"], 10);
    let got = broker.got(1);
    broker.done(1, 0, 5, Verb::Transact(Transact::Begin));
    broker.settle_in(1, 5, 1, got[0].tag, Outcome::Accept);
    broker.advance(200);
    broker.transact(1, 5, Transact::Rollback);
    assert!(broker.got(1).is_empty());
    broker.subscribe(1, 2, &["queue://ActiveMQ.DLQ"], 10);
    assert_eq!(broker.texts(1), ["in"]);
}

#[test]
fn a_session_that_goes_takes_its_open_transactions_with_it() {
    let mut broker = broker();
    broker.publish_all(1, 1, ["in"]);
    broker.subscribe(1, 1, &["queue://A"], 10);
    let got = broker.got(1);
    broker.done(1, 0, 5, Verb::Transact(Transact::Begin));
    broker.settle_in(1, 5, 1, got[0].tag, Outcome::Accept);
    publish_in(&mut broker, 2, "out");
    broker.close(1);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://A", "queue://B"], 10);
    assert_eq!(broker.texts(2), ["in"]);
    assert_eq!(broker.engine.stats().transactions, 0);
}

#[test]
fn a_large_transaction_waits_in_the_store_and_appears_whole_or_not_at_all() {
    for commit in [true, false] {
        let mut broker = broker();
        broker.open(2);
        broker.subscribe(2, 1, &["queue://A"], 100);
        broker.subscribe(2, 2, &["queue://B", "topic://T"], 100);
        broker.done(1, 0, 5, Verb::Transact(Transact::Begin));
        let texts: Vec<String> = (0..20).map(|n| format!("message {n}")).collect();
        for text in &texts {
            publish_in(&mut broker, 1, text);
            publish_in(&mut broker, 2, text);
        }
        assert!(broker.store.durable_entries() > 20, "it has spilled");
        assert!(broker.got(2).is_empty());
        let what = if commit { Transact::Commit } else { Transact::Rollback };
        assert_eq!(broker.transact(1, 5, what), Reaction::Done);
        let got = broker.got(2);
        let of = |id: u64| got.iter().filter(move |got| got.subscription == id).map(|got| got.text.clone());
        if commit {
            assert_eq!(of(1).collect::<Vec<_>>(), texts);
            assert_eq!(of(2).count(), 40);
            for one in &got {
                broker.accept(2, one);
            }
        } else {
            assert!(got.is_empty());
        }
        assert_eq!((broker.store.durable_entries(), broker.store.temporary_entries()), (0, 0));
    }
}

#[test]
fn what_a_crash_leaves_of_a_large_transaction_is_removed_by_recovery() {
    let mut broker = broker();
    broker.done(1, 0, 5, Verb::Transact(Transact::Begin));
    for n in 0..20 {
        publish_in(&mut broker, 1, &format!("message {n}"));
    }
    broker.commit();
    assert!(broker.store.durable_entries() > 0);
    let mut broker = broker.crash(0);
    broker.commit();
    assert_eq!(broker.store.durable_entries(), 0);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://A"], 100);
    assert!(broker.got(2).is_empty());
}

#[test]
fn transactions_are_bounded_in_number_and_size() {
    let mut broker = broker();
    for id in 1..=3 {
        broker.done(1, 0, id, Verb::Transact(Transact::Begin));
    }
    assert_eq!(broker.transact(1, 4, Transact::Begin), Reaction::Refused(Reason::Limit));
    assert_eq!(broker.transact(1, 3, Transact::Begin), Reaction::Refused(Reason::Conflict));
    for _ in 0..50 {
        broker.done(1, 1, 3, Verb::Publish(draft("m").message()));
    }
    let one_more = broker.ask(1, 1, 3, Verb::Publish(draft("m").message()));
    assert_eq!(one_more, Reaction::Refused(Reason::Limit));
    let unknown = broker.ask(1, 1, 77, Verb::Publish(draft("m").message()));
    assert_eq!(unknown, Reaction::Refused(Reason::NotFound));
}

#[test]
fn a_commit_that_cannot_be_routed_any_more_is_rolled_back_whole() {
    let mut broker = broker();
    broker.open(2);
    broker.declare(2, "temp-queue://t");
    broker.produce(1, 3, &["temp-queue://t"]);
    broker.done(1, 0, 5, Verb::Transact(Transact::Begin));
    publish_in(&mut broker, 1, "a");
    publish_in(&mut broker, 3, "b");
    broker.close(2);
    assert_eq!(broker.transact(1, 5, Transact::Commit), Reaction::Refused(Reason::RolledBack));
    broker.subscribe_with(1, 1, subscribe(&["queue://A"]));
    assert!(broker.got(1).is_empty());
}

#[test]
fn a_window_of_one_can_consume_many_messages_in_one_transaction() {
    let mut broker = broker();
    broker.publish_all(1, 1, ["a", "b", "c"]);
    broker.subscribe(1, 1, &["queue://A"], 1);
    broker.done(1, 0, 5, Verb::Transact(Transact::Begin));
    for text in ["a", "b", "c"] {
        let got = broker.got(1);
        assert_eq!(got[0].text, text);
        broker.settle_in(1, 5, 1, got[0].tag, Outcome::Accept);
    }
    assert_eq!(broker.engine.stats().messages, 3);
    broker.transact(1, 5, Transact::Commit);
    assert_eq!(broker.engine.stats().messages, 0);
}

#[test]
fn a_delayed_message_of_a_large_transaction_is_not_lost_when_the_bound_on_delays_is_reached_meanwhile() {
    let limits = Limits { transaction_spill_bytes: 1, max_delayed: 1, ..Limits::default() };
    let mut broker = Broker::with(Config { limits, ..Config::default() });
    broker.open(1);
    broker.produce(1, 1, &["queue://A"]);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://A"], 10);
    let deliver_at_ms = broker.now.unix_ms + 60_000;
    broker.done(1, 0, 5, Verb::Transact(Transact::Begin));
    let within = Draft { deliver_at_ms, ..draft("within") };
    broker.done(1, 1, 5, Verb::Publish(within.message()));
    broker.publish(1, 1, Draft { deliver_at_ms, ..draft("takes the only place") });
    broker.commit();
    assert_eq!(broker.transact(1, 5, Transact::Commit), Reaction::Done);
    let texts: Vec<String> = broker.got(2).into_iter().map(|got| got.text).collect();
    assert_eq!(texts, ["within"]);
}

#[test]
fn a_commit_that_only_consumes_is_not_answered_before_it_is_durable_whatever_else_was_removed_just_before() {
    for also_publishes in [false, true] {
        let mut broker = broker();
        broker.publish_all(1, 1, ["a", "b"]);
        broker.subscribe(1, 1, &["queue://A"], 10);
        let got = broker.got(1);
        broker.auto_commit = false;
        // Both transactions end in one batch, and what they remove is one range.
        for (transaction, got) in [(5, &got[0]), (6, &got[1])] {
            broker.done(1, 0, transaction, Verb::Transact(Transact::Begin));
            if also_publishes {
                broker.done(
                    1,
                    2,
                    transaction,
                    Verb::Publish(Draft { persistent: false, ..draft("x") }.message()),
                );
            }
            broker.settle_in(1, transaction, 1, got.tag, Outcome::Accept);
        }
        let commits =
            [5, 6].map(|transaction| broker.send(1, 0, transaction, Verb::Transact(Transact::Commit)));
        assert_eq!(commits.map(|token| broker.answer(1, token)), [None, None]);
        broker.commit();
        assert_eq!(
            commits.map(|token| broker.answer(1, token)),
            [Some(Reaction::Done), Some(Reaction::Done)]
        );
        let mut broker = broker.crash(0);
        broker.open(1);
        broker.subscribe(1, 1, &["queue://A"], 10);
        assert!(broker.got(1).is_empty());
    }
}

#[test]
fn a_transaction_of_which_a_part_was_refused_can_only_be_rolled_back() {
    let mut config = Config::default();
    config.default_policy.max_messages = 2;
    config.default_policy.when_full = WhenFull::Refuse;
    let mut broker = Broker::with(config);
    broker.open(1);
    broker.produce(1, 1, &["queue://A"]);
    broker.produce(1, 2, &["queue://B"]);
    broker.publish_all(1, 1, ["in", "full"]);
    broker.subscribe(1, 1, &["queue://A"], 1);
    let got = broker.got(1);
    broker.done(1, 0, 5, Verb::Transact(Transact::Begin));
    publish_in(&mut broker, 2, "out");
    broker.settle_in(1, 5, 1, got[0].tag, Outcome::Accept);
    let refused = broker.ask(1, 1, 5, Verb::Publish(draft("too much").message()));
    assert_eq!(refused, Reaction::Refused(Reason::Full));
    assert_eq!(broker.transact(1, 5, Transact::Commit), Reaction::Refused(Reason::RolledBack));
    broker.subscribe(1, 2, &["queue://B"], 10);
    assert_eq!(broker.texts(1).into_iter().filter(|text| text == "out").count(), 0);
    let mut broker = broker.crash(usize::MAX);
    broker.open(1);
    broker.subscribe(1, 1, &["queue://A"], 10);
    assert_eq!(broker.texts(1), ["in", "full"]);
}

#[test]
fn a_full_store_holds_nobody_back_who_only_consumes_in_a_transaction() {
    let mut broker = broker();
    broker.publish_all(1, 1, ["a", "b"]);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://A"], 10);
    let got = broker.got(2);
    broker.fill_up();
    let held = broker.send(1, 1, 0, Verb::Publish(draft("c").message()));
    broker.done(2, 0, 5, Verb::Transact(Transact::Begin));
    for got in &got {
        broker.settle_in(2, 5, 1, got.tag, Outcome::Accept);
    }
    assert_eq!(broker.transact(2, 5, Transact::Commit), Reaction::Done);
    assert_eq!((broker.store.durable_entries(), broker.answer(1, held)), (0, None));
    broker.make_room();
    broker.sync(usize::MAX);
    broker.serve();
    assert_eq!(broker.answer(1, held), Some(Reaction::Done));
}

#[test]
fn what_expired_in_a_transaction_is_expired_after_its_rollback_and_delivered_to_nobody() {
    // Were the time not looked at, the message would be tried again: now, later, or never if it was tried enough.
    let policies = [
        Policy::default(),
        Policy { redelivery_delay_ms: 50_000, ..Policy::default() },
        Policy { max_redeliveries: 0, ..Policy::default() },
        Policy { resident_bytes: 512, ..Policy::default() },
    ];
    for policy in policies {
        let mut broker = Broker::with(Config { default_policy: policy, ..Config::default() });
        broker.open(1);
        broker.produce(1, 1, &["queue://Q"]);
        let expiration_ms = broker.now.unix_ms + 100;
        broker.publish(1, 1, Draft { expiration_ms, ..draft("short") });
        broker.publish_all(1, 1, ["long"]);
        broker.subscribe(1, 1, &["queue://Q"], 2);
        broker.transact(1, 7, Transact::Begin);
        for got in broker.got(1) {
            broker.settle_in(1, 7, 1, got.tag, Outcome::Accept);
        }
        broker.advance(200);
        broker.open(2);
        broker.subscribe(2, 1, &["queue://ActiveMQ.DLQ"], 10);
        assert_eq!(broker.transact(1, 7, Transact::Rollback), Reaction::Done);
        let dead = broker.got(2);
        let causes: Vec<String> =
            dead.iter().map(|one| String::from_utf8_lossy(&one.label).into_owned()).collect();
        let expired = dead.iter().zip(&causes).find(|(one, _)| one.text == "short");
        assert!(expired.is_some_and(|(_, cause)| cause.ends_with("expired")), "{causes:?}");
        broker.pass(60_000);
        assert!(!broker.texts(1).contains(&"short".to_owned()));
        assert_eq!(broker.engine.stats().expired, 1);
    }
}
