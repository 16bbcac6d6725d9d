// SPDX-License-Identifier: Apache-2.0
//! Bodies in pieces: where they lie, and for how long.

use crate::broker::{Broker, Draft, Reaction, branch, draft, subscribe};
use sabir_engine::{Config, DeadLetter, Limits, Policy};
use sabir_model::verb::{Outcome, Reason, Subscribe, Transact, Verb};
use sabir_model::{BranchAct, BranchStep};

const PIECES: [&[u8]; 3] = [b"one ", b"two ", b"three"];

fn broker(destinations: &[&str]) -> Broker {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, destinations);
    broker
}

fn publish(broker: &mut Broker) {
    let token = broker.publish_long(1, 0, draft("long"), &PIECES);
    assert_eq!(broker.answer(1, token), Some(Reaction::Done));
}

/// Accepts what has come, which must be the long message.
fn accept(broker: &mut Broker, session: u64) {
    let got = broker.got_long(session);
    assert_eq!(got.len(), 1);
    let (delivery, body) = &got[0];
    assert_eq!(body, b"one two three");
    let (subscription, tag) = (delivery.subscription, delivery.tag);
    drop(got);
    assert_eq!(broker.settle(session, subscription, tag, Outcome::Accept), Reaction::Done);
    broker.commit();
}

#[test]
fn a_body_lies_there_once_for_all_queues_and_goes_with_the_last_of_its_messages() {
    let mut broker = broker(&["queue://A", "queue://B"]);
    publish(&mut broker);
    assert_eq!(broker.store.bodies(), (3, 2));
    assert_eq!(broker.taken.get(&1), Some(&13));
    broker.open(2);
    broker.subscribe(2, 1, &["queue://A"], 10);
    accept(&mut broker, 2);
    assert_eq!(broker.store.bodies(), (3, 1));
    broker.subscribe(2, 2, &["queue://B"], 10);
    accept(&mut broker, 2);
    assert_eq!(broker.store.bodies(), (0, 0));
    assert_eq!(broker.engine.stats().resident_bytes, 0);
}

#[test]
fn a_body_on_its_way_to_a_consumer_stays_whatever_becomes_of_its_message() {
    let mut broker = broker(&["queue://Q"]);
    publish(&mut broker);
    broker.open(2);
    broker.subscribe_with(2, 1, Subscribe { browse: true, ..subscribe(&["queue://Q"]) });
    let looked_at = broker.got_long(2).swap_remove(0).0;
    broker.open(3);
    broker.subscribe(3, 1, &["queue://Q"], 10);
    accept(&mut broker, 3);
    assert_eq!(broker.store.bodies(), (3, 0));
    drop(looked_at);
    broker.pass(1_000);
    broker.input(sabir_engine::Input::Tick);
    broker.commit();
    assert_eq!(broker.store.bodies(), (0, 0));
}

#[test]
fn a_message_that_is_not_persistent_is_not_delivered_before_its_body_has_arrived() {
    let mut broker = broker(&["queue://Q"]);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    broker.auto_commit = false;
    broker.publish_long(1, 0, Draft { persistent: false, ..draft("long") }, &PIECES);
    assert!(broker.got_long(2).is_empty() && broker.taken.is_empty());
    broker.auto_commit = true;
    broker.commit();
    accept(&mut broker, 2);
    broker.commit();
    assert_eq!(broker.store.bodies(), (0, 0));
}

#[test]
fn a_crash_keeps_long_messages_and_removes_what_no_message_names() {
    let mut broker = broker(&["queue://Q"]);
    publish(&mut broker);
    broker.publish_long(1, 0, Draft { persistent: false, ..draft("long") }, &PIECES);
    broker.pieces(1, &PIECES[..2]);
    broker.commit();
    assert_eq!(broker.store.bodies(), (8, 1));
    let bytes = broker.engine.stats().bytes;
    let mut broker = broker.crash(usize::MAX);
    broker.commit();
    assert_eq!(broker.store.bodies(), (3, 1));
    assert_eq!(broker.engine.stats().bytes, bytes / 2);
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    publish(&mut broker);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 1);
    accept(&mut broker, 2);
    accept(&mut broker, 2);
    assert_eq!((broker.store.bodies(), broker.engine.stats().bytes), ((0, 0), 0));
}

#[test]
fn a_session_that_leaves_or_sends_another_message_gives_its_body_up() {
    let mut broker = broker(&["queue://Q"]);
    broker.pieces(1, &PIECES[..1]);
    broker.commit();
    assert_eq!(broker.store.bodies(), (1, 0));
    broker.publish_all(1, 1, ["short"]);
    broker.commit();
    assert_eq!(broker.store.bodies(), (0, 0));
    broker.pieces(1, &PIECES[..2]);
    broker.pieces(1, &PIECES);
    broker.commit();
    assert_eq!(broker.store.bodies(), (3, 0));
    broker.close(1);
    broker.commit();
    assert_eq!(broker.store.bodies(), (0, 0));
}

#[test]
fn a_message_without_its_pieces_or_to_nowhere_is_refused_and_leaves_nothing() {
    let mut broker = broker(&["queue://Q"]);
    let token = broker.publish_long(1, 0, draft("long"), &[]);
    assert_eq!(broker.answer(1, token), Some(Reaction::Refused(Reason::Invalid)));
    broker.pieces(1, &PIECES);
    let message = draft("long").message().with_body(sabir_model::message::Apart::Arrived(1));
    let token = broker.send(1, 1, 0, Verb::Publish(message));
    assert_eq!(broker.answer(1, token), Some(Reaction::Refused(Reason::Invalid)));
    broker.done(1, 1, 0, Verb::Detach);
    let token = broker.publish_long(1, 0, draft("long"), &PIECES);
    assert_eq!(broker.answer(1, token), Some(Reaction::Refused(Reason::NotFound)));
    broker.commit();
    assert_eq!(broker.store.bodies(), (0, 0));
}

#[test]
fn consuming_a_long_message_makes_room_in_a_full_store() {
    let mut broker = broker(&["queue://Q"]);
    publish(&mut broker);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 1);
    broker.fill_up();
    // Something that finds no room stands in front of the removal.
    broker.publish(1, 1, draft("refused"));
    accept(&mut broker, 2);
    assert_eq!(broker.store.bodies().0, 0);
    broker.make_room();
    broker.commit();
    assert_eq!(broker.store.bodies(), (0, 0));
}

#[test]
fn a_transaction_holds_its_long_messages_until_it_ends() {
    let mut broker = broker(&["queue://Q"]);
    for (tx, end) in [(7, Transact::Rollback), (8, Transact::Commit)] {
        broker.transact(1, tx, Transact::Begin);
        let token = broker.publish_long(1, tx, draft("long"), &PIECES);
        assert_eq!(broker.answer(1, token), Some(Reaction::Done));
        broker.commit();
        assert_eq!(broker.store.bodies(), (3, 0));
        assert_eq!(broker.transact(1, tx, end), Reaction::Done);
        broker.commit();
        assert_eq!(broker.store.bodies(), if end == Transact::Commit { (3, 1) } else { (0, 0) });
    }
}

#[test]
fn a_long_message_is_put_off_dies_and_is_paged_like_any_other() {
    let policy =
        Policy { resident_bytes: 1, dead_letter: DeadLetter::Shared("DLQ".to_owned()), ..Policy::default() };
    let limits = Limits { memory_bytes: 1_000, ..Limits::default() };
    let mut broker = Broker::with(Config { default_policy: policy, limits, ..Config::default() });
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    for persistent in [true, false] {
        let due = broker.now.unix_ms + 5_000;
        let token =
            broker.publish_long(1, 0, Draft { persistent, deliver_at_ms: due, ..draft("long") }, &PIECES);
        assert_eq!(broker.answer(1, token), Some(Reaction::Done));
        broker.open(2);
        broker.subscribe(2, 1, &["queue://Q"], 10);
        assert!(broker.got_long(2).is_empty());
        broker.pass(6_000);
        let got = broker.got_long(2);
        let (subscription, tag) = (got[0].0.subscription, got[0].0.tag);
        assert_eq!(got[0].1, b"one two three");
        drop(got);
        let outcome = Outcome::Reject { reason: "no".to_owned() };
        assert_eq!(broker.settle(2, subscription, tag, outcome), Reaction::Done);
        broker.commit();
        if persistent {
            broker.subscribe(2, 2, &["queue://DLQ"], 10);
            accept(&mut broker, 2);
        }
        assert_eq!(broker.store.bodies(), (0, 0), "persistent {persistent}");
        broker.close(2);
    }
}

/// A branch with one long message is prepared by session 1.
fn prepared(broker: &mut Broker, draft: Draft<'_>) {
    assert_eq!(broker.branch(1, 7, BranchAct::Begin, 9), Reaction::Done);
    let token = broker.publish_long(1, 7, draft, &PIECES);
    assert_eq!(broker.answer(1, token), Some(Reaction::Done));
    assert_eq!(broker.branch(1, 0, BranchAct::Prepare, 9), Reaction::Done);
    broker.commit();
    assert_eq!(broker.store.bodies(), (3, 0));
}

#[test]
fn a_prepared_branch_holds_its_long_messages_over_restarts_until_it_ends() {
    for restarts in [0, 1, 3] {
        for end in [BranchAct::Commit, BranchAct::Rollback] {
            // What is at hand for a commit that comes soon, and what is not.
            for memory_bytes in [1 << 20, 1] {
                let limits = Limits { memory_bytes, ..Limits::default() };
                let mut broker = Broker::with(Config { limits, ..Config::default() });
                broker.open(1);
                broker.produce(1, 1, &["queue://A", "queue://B"]);
                prepared(&mut broker, draft("long"));
                for _ in 0..restarts {
                    broker = broker.crash(usize::MAX);
                    broker.open(1);
                    broker.commit();
                    assert_eq!((broker.store.bodies(), broker.prepared(1)), ((3, 0), vec![9]));
                }
                assert_eq!(broker.branch(1, 0, end, 9), Reaction::Done);
                broker.commit();
                if end == BranchAct::Commit {
                    assert_eq!(broker.store.bodies(), (3, 2));
                    // What was committed outlives a crash as if it had been published.
                    broker = broker.crash(usize::MAX);
                    broker.open(2);
                    for (id, queue) in [(1, "queue://A"), (2, "queue://B")] {
                        broker.subscribe(2, id, &[queue], 10);
                        accept(&mut broker, 2);
                    }
                }
                broker.commit();
                assert_eq!(broker.store.bodies(), (0, 0), "{restarts} restarts, {end:?}");
                assert_eq!(broker.engine.stats().bytes, 0);
            }
        }
    }
}

#[test]
fn a_long_message_of_a_branch_that_was_never_prepared_for_sure_is_gone_after_a_crash() {
    let mut broker = broker(&["queue://Q"]);
    assert_eq!(broker.branch(1, 7, BranchAct::Begin, 9), Reaction::Done);
    broker.publish_long(1, 7, draft("long"), &PIECES);
    broker.commit();
    broker.auto_commit = false;
    let step = BranchStep::new(BranchAct::Prepare, branch(9));
    let token = broker.send(1, 0, 0, Verb::Branch(Box::new(step)));
    assert_eq!(broker.answer(1, token), None);
    let mut broker = broker.crash(0);
    broker.open(1);
    broker.commit();
    assert_eq!((broker.store.bodies(), broker.prepared(1)), ((0, 0), Vec::new()));
}

#[test]
fn a_long_message_of_a_branch_may_be_delayed_and_need_not_be_persistent() {
    for (persistent, restart) in [(true, false), (true, true), (false, false)] {
        let mut broker = broker(&["queue://Q"]);
        let due = broker.now.unix_ms + 5_000;
        prepared(&mut broker, Draft { persistent, deliver_at_ms: due, ..draft("long") });
        if restart {
            broker = broker.crash(usize::MAX);
            broker.open(1);
        }
        assert_eq!(broker.branch(1, 0, BranchAct::Commit, 9), Reaction::Done);
        broker.commit();
        broker.open(2);
        broker.subscribe(2, 1, &["queue://Q"], 10);
        assert!(broker.got_long(2).is_empty());
        broker.pass(6_000);
        accept(&mut broker, 2);
        assert_eq!(broker.store.bodies(), (0, 0), "persistent {persistent}, restart {restart}");
    }
    let mut broker = broker(&["queue://Q"]);
    prepared(&mut broker, Draft { persistent: false, ..draft("long") });
    assert_eq!(broker.branch(1, 0, BranchAct::Commit, 9), Reaction::Done);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    accept(&mut broker, 2);
    broker.commit();
    assert_eq!(broker.store.bodies(), (0, 0));
}

#[test]
fn a_long_message_that_a_branch_consumes_stays_until_it_is_committed() {
    for end in [BranchAct::Commit, BranchAct::Rollback] {
        let mut broker = broker(&["queue://Q"]);
        publish(&mut broker);
        broker.subscribe(1, 1, &["queue://Q"], 10);
        let tag = broker.got_long(1)[0].0.tag;
        assert_eq!(broker.branch(1, 7, BranchAct::Begin, 9), Reaction::Done);
        broker.settle_in(1, 7, 1, tag, Outcome::Accept);
        assert_eq!(broker.branch(1, 0, BranchAct::Prepare, 9), Reaction::Done);
        let mut broker = broker.crash(usize::MAX);
        broker.open(1);
        broker.commit();
        assert_eq!(broker.store.bodies(), (3, 1));
        assert_eq!(broker.branch(1, 0, end, 9), Reaction::Done);
        broker.subscribe(1, 1, &["queue://Q"], 10);
        broker.commit();
        if end == BranchAct::Rollback {
            accept(&mut broker, 1);
        }
        assert_eq!(broker.store.bodies(), (0, 0), "{end:?}");
    }
}
