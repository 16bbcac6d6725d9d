// SPDX-License-Identifier: Apache-2.0
//! What a producer sends again is confirmed and stored once: across connections, crashes, transactions and full queues.

use crate::broker::{Broker, Draft, Reaction, draft};
use sabir_engine::{Client, Config, Input, Limits, Policy, PolicyRule};
use sabir_model::store::Op;
use sabir_model::verb::{Attach, Reason, SessionId, Transact, Verb};

/// The text is the count.
fn numbered(text: &str) -> Draft<'_> {
    Draft { sequence: text.parse().ok(), ..draft(text) }
}

fn waiting(broker: &mut Broker, queue: &str) -> Vec<String> {
    broker.open(900);
    broker.subscribe(900, 1, &[queue], 1_000);
    let texts = broker.texts(900);
    broker.close(900);
    texts
}

fn send(broker: &mut Broker, session: u64, texts: &[&str]) {
    for text in texts {
        let token = broker.publish(session, 1, numbered(text));
        assert_eq!(broker.answer(session, token), Some(Reaction::Done), "{text}");
    }
}

fn producer(broker: &mut Broker, session: u64, name: &str, queue: &str) {
    broker.open(session);
    broker.produce_as(session, 1, name, &[queue]);
}

#[test]
fn what_is_sent_again_over_another_connection_is_confirmed_and_stored_once() {
    let mut broker = Broker::new();
    producer(&mut broker, 1, "p", "queue://q");
    send(&mut broker, 1, &["1", "2", "3"]);
    broker.close(1);
    producer(&mut broker, 2, "p", "queue://q");
    send(&mut broker, 2, &["2", "3", "4"]);
    assert_eq!(broker.engine.stats().duplicates, 2);
    assert_eq!(waiting(&mut broker, "queue://q"), ["1", "2", "3", "4"]);
}

#[test]
fn others_with_the_same_counts_lose_nothing_whoever_and_wherever_they_are() {
    let config = Config { virtual_hosts: vec!["other".to_owned()], ..Config::default() };
    let mut broker = Broker::with(config);
    producer(&mut broker, 1, "p", "queue://q");
    send(&mut broker, 1, &["1"]);
    producer(&mut broker, 2, "another", "queue://q");
    send(&mut broker, 2, &["1"]);
    // The same name of another user, who could otherwise swallow what is not his.
    let client = Client { user: Some("eve".to_owned()), ..Client::default() };
    broker.input(Input::Open { session: SessionId(3), client });
    broker.produce_as(3, 1, "p", &["queue://q"]);
    send(&mut broker, 3, &["1", "9"]);
    let client = Client { virtual_host: "other".to_owned(), ..Client::default() };
    broker.input(Input::Open { session: SessionId(4), client });
    broker.produce_as(4, 1, "p", &["queue://q"]);
    send(&mut broker, 4, &["1"]);
    // Without a name, or without a count, nothing is compared.
    broker.open(5);
    broker.produce(5, 1, &["queue://q"]);
    send(&mut broker, 5, &["1", "1"]);
    broker.publish_all(1, 1, ["none", "none"]);
    assert_eq!(broker.engine.stats().duplicates, 0);
    assert_eq!(waiting(&mut broker, "queue://q").len(), 8);
}

#[test]
fn a_repetition_is_confirmed_no_earlier_than_the_message_itself() {
    let mut broker = Broker::new();
    producer(&mut broker, 1, "p", "queue://q");
    producer(&mut broker, 2, "p", "queue://q");
    send(&mut broker, 1, &["1"]);
    broker.auto_commit = false;
    let first = broker.publish(1, 1, numbered("2"));
    // While it waits in the batch that is being filled, and while that is on its way.
    let again = broker.publish(2, 1, numbered("2"));
    assert_eq!((broker.answer(1, first), broker.answer(2, again)), (None, None));
    broker.submit().unwrap();
    let third = broker.publish(2, 1, numbered("2"));
    assert_eq!((broker.answer(2, again), broker.answer(2, third)), (None, None));
    broker.sync(1);
    broker.serve();
    for (session, token) in [(1, first), (2, again), (2, third)] {
        assert_eq!(broker.answer(session, token), Some(Reaction::Done));
    }
    assert_eq!(broker.submit(), None, "nothing is written for a repetition");
}

#[test]
fn what_is_remembered_survives_a_crash_exactly_as_the_messages_do() {
    for kept in 0..=2 {
        let mut broker = Broker::new();
        producer(&mut broker, 1, "p", "queue://q");
        send(&mut broker, 1, &["1"]);
        broker.auto_commit = false;
        for text in ["2", "3"] {
            broker.publish(1, 1, numbered(text));
            broker.submit().unwrap();
        }
        let mut broker = broker.crash(kept);
        producer(&mut broker, 1, "p", "queue://q");
        send(&mut broker, 1, &["1", "2", "3", "4"]);
        assert_eq!(broker.engine.stats().duplicates, 1 + kept as u64);
        assert_eq!(waiting(&mut broker, "queue://q"), ["1", "2", "3", "4"]);
    }
}

#[test]
fn one_key_is_written_for_a_producer_and_batch_however_many_its_messages() {
    let mut broker = Broker::new();
    producer(&mut broker, 1, "p", "queue://q");
    send(&mut broker, 1, &["1"]);
    broker.auto_commit = false;
    for text in ["2", "3", "4", "5"] {
        broker.publish(1, 1, numbered(text));
    }
    broker.submit().unwrap();
    let (_, batch) = broker.unsynced.back().unwrap();
    assert_eq!(batch.ops.iter().filter(|op| matches!(op, Op::Put { .. })).count(), 1);
    assert_eq!(batch.ops.iter().filter(|op| matches!(op, Op::Append { .. })).count(), 4);
}

#[test]
fn messages_that_are_not_persistent_are_known_again_until_the_broker_ends() {
    let mut broker = Broker::new();
    producer(&mut broker, 1, "p", "queue://q");
    for _ in 0..2 {
        let token = broker.publish(1, 1, Draft { persistent: false, ..numbered("1") });
        assert_eq!(broker.answer(1, token), Some(Reaction::Done));
    }
    assert_eq!(waiting(&mut broker, "queue://q"), ["1"]);
}

#[test]
fn a_transaction_is_remembered_by_its_commit_and_by_nothing_before() {
    for spill in [false, true] {
        let limits = Limits { transaction_spill_bytes: if spill { 1 } else { 1 << 20 }, ..Limits::default() };
        let mut broker = Broker::with(Config { limits, ..Config::default() });
        producer(&mut broker, 1, "p", "queue://q");
        assert_eq!(broker.transact(1, 7, Transact::Begin), Reaction::Done);
        for text in ["1", "2"] {
            broker.done(1, 1, 7, Verb::Publish(numbered(text).message()));
        }
        // The link breaks, and the client plays its open transaction again over another one before the broker knows.
        producer(&mut broker, 2, "p", "queue://q");
        assert_eq!(broker.transact(2, 7, Transact::Begin), Reaction::Done);
        for text in ["1", "2", "3"] {
            broker.done(2, 1, 7, Verb::Publish(numbered(text).message()));
        }
        assert_eq!(broker.transact(2, 7, Transact::Commit), Reaction::Done);
        // What was left of the first one is read late, with its commit.
        assert_eq!(broker.transact(1, 7, Transact::Commit), Reaction::Done);
        // And once more after a crash.
        let mut broker = broker.crash(0);
        producer(&mut broker, 3, "p", "queue://q");
        assert_eq!(broker.transact(3, 1, Transact::Begin), Reaction::Done);
        broker.done(3, 1, 1, Verb::Publish(numbered("3").message()));
        assert_eq!(broker.transact(3, 1, Transact::Commit), Reaction::Done);
        assert_eq!(waiting(&mut broker, "queue://q"), ["1", "2", "3"], "spilled: {spill}");
    }
}

#[test]
fn what_was_rolled_back_is_taken_when_it_comes_again_though_later_ones_were_taken_since() {
    let mut broker = Broker::new();
    producer(&mut broker, 1, "p", "queue://q");
    assert_eq!(broker.transact(1, 7, Transact::Begin), Reaction::Done);
    broker.done(1, 1, 7, Verb::Publish(numbered("1").message()));
    send(&mut broker, 1, &["2"]);
    assert_eq!(broker.transact(1, 7, Transact::Rollback), Reaction::Done);
    let mut broker = broker.crash(0);
    producer(&mut broker, 1, "p", "queue://q");
    send(&mut broker, 1, &["1", "2", "1"]);
    assert_eq!(waiting(&mut broker, "queue://q"), ["2", "1"]);
}

fn full_at_one() -> Config {
    let policy = Policy { max_messages: 1, ..Policy::default() };
    Config { policies: vec![PolicyRule::new("full", policy).unwrap()], ..Config::default() }
}

#[test]
fn what_waits_for_room_is_stored_once_and_before_what_the_producer_sent_after_it() {
    let mut broker = Broker::with(full_at_one());
    producer(&mut broker, 1, "p", "queue://full");
    broker.produce_as(1, 2, "p", &["queue://free"]);
    send(&mut broker, 1, &["1"]);
    let parked = broker.publish(1, 1, numbered("2"));
    let behind = broker.publish(1, 2, numbered("3"));
    assert_eq!((broker.answer(1, parked), broker.answer(1, behind)), (None, None));
    // The link breaks; the client sends both again, and they wait with the first ones.
    broker.close(1);
    producer(&mut broker, 2, "p", "queue://full");
    broker.produce_as(2, 2, "p", &["queue://free"]);
    let again = broker.publish(2, 1, numbered("2"));
    let last = broker.publish(2, 2, numbered("3"));
    broker.open(3);
    broker.subscribe(3, 1, &["queue://full"], 10);
    for text in ["1", "2"] {
        let got = broker.got(3);
        assert_eq!(got.iter().map(|one| &*one.text).collect::<Vec<_>>(), [text]);
        broker.accept(3, &got[0]);
    }
    assert!(broker.got(3).is_empty());
    for token in [again, last] {
        assert_eq!(broker.answer(2, token), Some(Reaction::Done));
    }
    assert_eq!(waiting(&mut broker, "queue://free"), ["3"]);
}

#[test]
fn after_a_crash_what_was_waiting_is_taken_when_it_comes_again() {
    let mut broker = Broker::with(full_at_one());
    producer(&mut broker, 1, "p", "queue://full");
    broker.produce_as(1, 2, "p", &["queue://free"]);
    send(&mut broker, 1, &["1"]);
    broker.publish(1, 1, numbered("2"));
    broker.publish(1, 2, numbered("3"));
    let mut broker = broker.crash(0);
    producer(&mut broker, 1, "p", "queue://full");
    broker.produce_as(1, 2, "p", &["queue://free"]);
    broker.publish(1, 1, numbered("2"));
    broker.publish(1, 2, numbered("3"));
    assert_eq!(waiting(&mut broker, "queue://full"), ["1"]);
    broker.open(3);
    broker.subscribe(3, 1, &["queue://full"], 1);
    let got = broker.got(3);
    broker.accept(3, &got[0]);
    assert_eq!(broker.texts(3), ["2"]);
    assert_eq!(waiting(&mut broker, "queue://free"), ["3"]);
}

#[test]
fn what_was_refused_is_no_repetition_when_it_comes_again() {
    let policy = Policy { max_messages: 1, when_full: sabir_engine::WhenFull::Refuse, ..Policy::default() };
    let config = Config { policies: vec![PolicyRule::new("full", policy).unwrap()], ..Config::default() };
    let mut broker = Broker::with(config);
    producer(&mut broker, 1, "p", "queue://full");
    broker.produce_as(1, 2, "p", &["queue://free"]);
    send(&mut broker, 1, &["1"]);
    let refused = broker.publish(1, 1, numbered("2"));
    assert_eq!(broker.answer(1, refused), Some(Reaction::Refused(Reason::Full)));
    broker.done(1, 2, 0, Verb::Publish(numbered("3").message()));
    let mut broker = broker.crash(0);
    producer(&mut broker, 1, "p", "queue://full");
    let refused = broker.publish(1, 1, numbered("2"));
    assert_eq!(broker.answer(1, refused), Some(Reaction::Refused(Reason::Full)));
    broker.open(3);
    broker.subscribe(3, 1, &["queue://full"], 1);
    let got = broker.got(3);
    broker.accept(3, &got[0]);
    send(&mut broker, 1, &["2", "2", "3"]);
    assert_eq!(broker.texts(3), ["2"]);
    assert_eq!(broker.engine.stats().duplicates, 2);
}

#[test]
fn a_full_store_keeps_repetitions_waiting_with_what_they_repeat() {
    let mut broker = Broker::new();
    producer(&mut broker, 1, "p", "queue://q");
    producer(&mut broker, 2, "p", "queue://q");
    broker.subscribe(2, 1, &["queue://q"], 10);
    send(&mut broker, 1, &["1", "2"]);
    broker.fill_up();
    let refused = broker.publish(1, 1, numbered("3"));
    let got = broker.got(2);
    // A batch of removals goes ahead of the refused one.
    let accepted = broker.settle(2, 1, got[0].tag, sabir_model::verb::Outcome::Accept);
    assert_eq!(accepted, Reaction::Done);
    let again = broker.publish(2, 1, numbered("3"));
    assert_eq!((broker.answer(1, refused), broker.answer(2, again)), (None, None));
    broker.make_room();
    broker.commit();
    broker.sync(usize::MAX);
    broker.serve();
    assert_eq!(broker.answer(1, refused), Some(Reaction::Done));
    assert_eq!(broker.answer(2, again), Some(Reaction::Done));
    assert_eq!(broker.texts(2), ["3"]);
}

#[test]
fn the_least_recently_used_producers_are_forgotten_in_memory_and_in_the_store() {
    let limits = Limits { max_remembered_producers: 2, ..Limits::default() };
    let mut broker = Broker::with(Config { limits, ..Config::default() });
    for (at, name) in ["a", "b", "a", "c"].into_iter().enumerate() {
        let session = at as u64 + 1;
        broker.advance(10);
        producer(&mut broker, session, name, "queue://q");
        send(&mut broker, session, &["1"]);
        if at == 2 {
            assert_eq!(broker.engine.stats().duplicates, 1);
        }
    }
    let remembered = |broker: &Broker| broker.durable.keys.keys().filter(|key| key[1] == 0x60).count();
    broker.commit();
    assert_eq!(remembered(&broker), 2);
    let mut broker = broker.crash(0);
    for (session, name) in [(1, "a"), (2, "c"), (3, "b")] {
        broker.advance(10);
        producer(&mut broker, session, name, "queue://q");
        send(&mut broker, session, &["1"]);
    }
    assert_eq!(broker.engine.stats().duplicates, 2, "b was forgotten");
}

#[test]
fn nothing_is_compared_where_the_policy_or_the_limit_says_so() {
    let off = Policy { detect_duplicates: false, ..Policy::default() };
    let by_policy = Config { policies: vec![PolicyRule::new("q", off).unwrap()], ..Config::default() };
    let limits = Limits { max_remembered_producers: 0, ..Limits::default() };
    let by_limit = Config { limits, ..Config::default() };
    for config in [by_policy, by_limit] {
        let mut broker = Broker::with(config);
        producer(&mut broker, 1, "p", "queue://q");
        send(&mut broker, 1, &["1", "1"]);
        assert_eq!(waiting(&mut broker, "queue://q"), ["1", "1"]);
        assert!(broker.durable.keys.keys().all(|key| key[1] != 0x60));
    }
}

#[test]
fn a_producer_that_is_made_again_without_a_name_is_compared_no_longer() {
    let mut broker = Broker::new();
    producer(&mut broker, 1, "p", "queue://q");
    send(&mut broker, 1, &["1"]);
    broker.produce(1, 1, &["queue://q"]);
    send(&mut broker, 1, &["1"]);
    let empty =
        Attach { destinations: crate::broker::parse(&["queue://q"]), producer_name: Some(String::new()) };
    broker.done(1, 1, 0, Verb::Attach(Box::new(empty)));
    send(&mut broker, 1, &["1"]);
    assert_eq!(waiting(&mut broker, "queue://q").len(), 3);
}
