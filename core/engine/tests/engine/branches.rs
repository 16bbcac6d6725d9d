// SPDX-License-Identifier: Apache-2.0
//! Branches of distributed transactions: together, in two phases, and whatever happens in between.

use crate::broker::{Broker, Draft, Reaction, branch, draft, parse, subscribe};
use sabir_engine::{Config, Limits, Policy, PolicyRule};
use sabir_model::fields::{self, flag, number};
use sabir_model::verb::{Attach, Outcome, Query, Reason, Subscribe, Transact, Verb};
use sabir_model::{BranchAct, BranchStep};

/// A transaction of the sessions' own.
const PART: u64 = 5;

fn with(limits: Limits) -> Broker {
    let mut broker = Broker::with(Config { limits, ..Config::default() });
    open(&mut broker, 1);
    broker
}

fn broker() -> Broker {
    with(Limits::default())
}

/// A session with a producer for the queue `A` and one for another queue and a topic.
fn open(broker: &mut Broker, session: u64) {
    broker.open(session);
    producers(broker, session);
}

fn producers(broker: &mut Broker, session: u64) {
    broker.produce(session, 1, &["queue://A"]);
    broker.produce(session, 2, &["queue://B", "topic://T"]);
}

fn publish(broker: &mut Broker, session: u64, producer: u64, draft: Draft<'_>) {
    broker.done(session, producer, PART, Verb::Publish(draft.message()));
}

/// A branch that consumes `in` from `A` and publishes `out` to `B` and the topic, prepared by session 1.
fn prepared(broker: &mut Broker) {
    broker.publish_all(1, 1, ["in", "other"]);
    broker.subscribe(1, 1, &["queue://A"], 1);
    let got = broker.got(1);
    begun(broker, 1, 9);
    publish(broker, 1, 2, draft("out"));
    broker.settle_in(1, PART, 1, got[0].tag, Outcome::Accept);
    assert_eq!(broker.branch(1, 0, BranchAct::Prepare, 9), Reaction::Done);
}

fn begun(broker: &mut Broker, session: u64, number: u8) {
    assert_eq!(broker.branch(session, PART, BranchAct::Begin, number), Reaction::Done);
}

/// Everything that a queue holds, seen by a session of its own.
fn drain(broker: &mut Broker, session: u64, queue: &str) -> Vec<String> {
    broker.open(session);
    broker.subscribe(session, 1, &[queue], 100);
    let got = broker.got(session);
    got.iter().for_each(|one| broker.accept(session, one));
    broker.close(session);
    got.into_iter().map(|one| one.text).collect()
}

/// What the store holds once nothing waits: no hidden log, no key of a branch.
fn assert_nothing_is_left(broker: &mut Broker) {
    broker.commit();
    assert_eq!(broker.engine.stats().prepared, 0);
    assert!(broker.store.keys.keys().all(|key| key[1] != 0x70), "keys of branches are left");
    assert!(broker.store.summaries().iter().all(|log| log.log >> 60 != 1), "hidden logs are left");
    assert_eq!(broker.store.temporary_entries(), 0);
}

#[test]
fn what_is_prepared_is_kept_from_everybody_until_it_is_committed_and_then_counts_at_once() {
    for restart in [false, true] {
        let mut broker = broker();
        broker.open_as(3, Some("c"));
        let durable = Subscribe { name: Some("s".to_owned()), durable: true, ..subscribe(&["topic://T"]) };
        broker.subscribe_with(3, 1, durable.clone());
        broker.close(3);
        prepared(&mut broker);
        if restart {
            broker = broker.crash(0);
            open(&mut broker, 1);
            assert_eq!(drain(&mut broker, 2, "queue://A"), ["other"]);
        }
        assert_eq!(broker.prepared(1), [9]);
        assert_eq!(drain(&mut broker, 4, "queue://B"), [""; 0]);
        let before = broker.batches;
        assert_eq!(broker.branch(1, 0, BranchAct::Commit, 9), Reaction::Done);
        assert_eq!(broker.batches - before, 1);
        assert_eq!(broker.prepared(1), [0; 0]);
        assert_eq!(drain(&mut broker, 4, "queue://B"), ["out"]);
        broker.open_as(3, Some("c"));
        broker.subscribe_with(3, 1, durable);
        assert_eq!(broker.texts(3), ["out"]);
        broker.close(1);
        let left: &[&str] = if restart { &[] } else { &["other"] };
        assert_eq!(drain(&mut broker, 2, "queue://A"), left);
        assert_nothing_is_left(&mut broker);
        assert_eq!(broker.branch(3, 0, BranchAct::Commit, 9), Reaction::Refused(Reason::NotFound));
    }
}

#[test]
fn a_prepare_is_not_answered_before_it_is_durable_and_a_crash_before_that_leaves_nothing() {
    let mut broker = broker();
    broker.auto_commit = false;
    begun(&mut broker, 1, 9);
    let token = broker.send(1, 2, PART, Verb::Publish(draft("out").message()));
    assert_eq!(broker.answer(1, token), Some(Reaction::Done));
    let step = BranchStep::new(BranchAct::Prepare, branch(9));
    let token = broker.send(1, 0, 0, Verb::Branch(Box::new(step)));
    assert_eq!(broker.answer(1, token), None);
    broker.submit();
    assert_eq!(broker.answer(1, token), None);
    let mut broker = broker.crash(0);
    broker.open(1);
    assert_eq!(broker.prepared(1), [0; 0]);
    assert_nothing_is_left(&mut broker);
}

#[test]
fn rolled_back_after_a_restart_what_was_consumed_returns_and_what_was_published_is_gone() {
    let mut broker = broker();
    prepared(&mut broker);
    let mut broker = broker.crash(0);
    open(&mut broker, 1);
    assert_eq!(broker.engine.stats().in_flight, 1);
    assert_eq!(broker.branch(1, 0, BranchAct::Rollback, 9), Reaction::Done);
    broker.subscribe(1, 1, &["queue://A"], 10);
    let got: Vec<_> = broker.got(1).into_iter().map(|one| (one.text, one.count, one.redelivered)).collect();
    // The consumer had been given the other one too, when settling the first gave it credit.
    assert_eq!(got, [("in".to_owned(), 1, true), ("other".to_owned(), 0, true)]);
    assert_eq!(drain(&mut broker, 2, "queue://B"), [""; 0]);
    assert_nothing_is_left(&mut broker);
}

#[test]
fn the_attempts_of_what_returns_are_counted_on_over_restarts() {
    let mut broker = broker();
    broker.publish_all(1, 1, ["in"]);
    for attempts in 0..3 {
        broker.subscribe(1, 1, &["queue://A"], 10);
        let got = broker.got(1);
        assert_eq!((got.len(), got[0].count), (1, attempts));
        begun(&mut broker, 1, 9);
        broker.settle_in(1, PART, 1, got[0].tag, Outcome::Accept);
        assert_eq!(broker.branch(1, 0, BranchAct::Prepare, 9), Reaction::Done);
        broker = broker.crash(0);
        open(&mut broker, 1);
        assert_eq!(broker.branch(1, 0, BranchAct::Rollback, 9), Reaction::Done);
    }
}

#[test]
fn what_has_expired_while_it_was_prepared_does_not_return() {
    for restart in [false, true] {
        let mut broker = broker();
        let expiration_ms = broker.now.unix_ms + 1_000;
        broker.publish(1, 1, Draft { expiration_ms, ..draft("in") });
        broker.subscribe(1, 1, &["queue://A"], 10);
        let got = broker.got(1);
        begun(&mut broker, 1, 9);
        broker.settle_in(1, PART, 1, got[0].tag, Outcome::Accept);
        broker.branch(1, 0, BranchAct::Prepare, 9);
        if restart {
            broker = broker.crash(0);
        } else {
            broker.close(1);
        }
        broker.advance(2_000);
        open(&mut broker, 2);
        assert_eq!(broker.branch(2, 0, BranchAct::Rollback, 9), Reaction::Done);
        assert_eq!(drain(&mut broker, 3, "queue://A"), [""; 0]);
        assert_eq!(drain(&mut broker, 3, "queue://ActiveMQ.DLQ"), ["in"]);
    }
}

#[test]
fn a_consumer_that_is_still_there_has_again_what_it_had_when_its_branch_is_rolled_back() {
    for prepare in [false, true] {
        let mut broker = broker();
        broker.publish_all(1, 1, ["a", "b", "c"]);
        broker.subscribe(1, 1, &["queue://A"], 10);
        let got = broker.got(1);
        begun(&mut broker, 1, 9);
        for one in [&got[1], &got[0]] {
            broker.settle_in(1, PART, 1, one.tag, Outcome::Accept);
        }
        if prepare {
            broker.branch(1, 0, BranchAct::Prepare, 9);
        }
        open(&mut broker, 2);
        assert_eq!(broker.branch(2, 0, BranchAct::Rollback, 9), Reaction::Done);
        broker.subscribe(2, 1, &["queue://A"], 10);
        assert_eq!((broker.texts(1), broker.texts(2)), (vec![], vec![]), "they are with their consumer");
        for one in &got {
            broker.accept(1, one);
        }
        assert_eq!(broker.engine.stats().messages, 0);
        broker.close(1);
        assert_eq!(broker.engine.stats().in_flight, 0);
    }
}

#[test]
fn the_end_of_its_session_undoes_what_is_open_and_leaves_what_is_prepared() {
    let mut broker = broker();
    prepared(&mut broker);
    begun(&mut broker, 1, 8);
    publish(&mut broker, 1, 2, draft("open"));
    broker.close(1);
    broker.open(2);
    assert_eq!(broker.prepared(2), [9]);
    assert_eq!(broker.branch(2, 0, BranchAct::Rollback, 8), Reaction::Refused(Reason::NotFound));
    assert_eq!(drain(&mut broker, 3, "queue://A"), ["other"]);
    assert_eq!(broker.branch(2, 0, BranchAct::Commit, 9), Reaction::Done);
    assert_eq!(drain(&mut broker, 3, "queue://B"), ["out"]);
    assert_eq!(broker.engine.stats().transactions, 0);
    assert_nothing_is_left(&mut broker);
}

#[test]
fn a_branch_that_did_nothing_says_so_and_is_gone() {
    let mut broker = broker();
    begun(&mut broker, 1, 9);
    let step = BranchStep::new(BranchAct::Prepare, branch(9));
    let token = broker.send(1, 0, 0, Verb::Branch(Box::new(step)));
    let told = broker.told(1, token);
    let flags: Vec<_> = fields::iter(&told).map(Result::unwrap).collect();
    assert_eq!(flags, [(number::FLAGS, &flag::BRANCH_READ_ONLY.to_le_bytes()[..])]);
    assert_eq!(broker.prepared(1), [0; 0]);
    assert_eq!(broker.branch(1, 0, BranchAct::Commit, 9), Reaction::Refused(Reason::NotFound));
    assert_eq!(broker.engine.stats().transactions, 0);
}

#[test]
fn one_phase_commits_what_is_open_and_what_is_prepared_and_two_phases_only_what_is_prepared() {
    let mut broker = broker();
    begun(&mut broker, 1, 9);
    publish(&mut broker, 1, 1, draft("one"));
    assert_eq!(broker.branch(1, 0, BranchAct::Commit, 9), Reaction::Refused(Reason::Invalid));
    assert_eq!(broker.transact(1, PART, Transact::Commit), Reaction::Refused(Reason::Invalid));
    assert_eq!(broker.branch(1, 0, BranchAct::CommitOnePhase, 9), Reaction::Done);
    begun(&mut broker, 1, 9);
    publish(&mut broker, 1, 1, draft("two"));
    broker.branch(1, 0, BranchAct::Prepare, 9);
    assert_eq!(broker.branch(1, 0, BranchAct::CommitOnePhase, 9), Reaction::Done);
    assert_eq!(drain(&mut broker, 2, "queue://A"), ["one", "two"]);
    assert_nothing_is_left(&mut broker);
}

#[test]
fn parts_of_several_sessions_count_together() {
    for orderly in [None, Some(true), Some(false)] {
        let mut broker = broker();
        open(&mut broker, 2);
        broker.publish_all(1, 1, ["in"]);
        broker.subscribe(2, 1, &["queue://A"], 10);
        let got = broker.got(2);
        for session in [1, 2] {
            begun(&mut broker, session, 9);
            publish(&mut broker, session, 2, draft(["first", "second"][session as usize - 1]));
        }
        broker.settle_in(2, PART, 1, got[0].tag, Outcome::Accept);
        if orderly == Some(true) {
            broker.done(2, 0, 0, Verb::Disconnect);
        }
        if orderly.is_some() {
            broker.close(2);
        }
        let answer = broker.branch(1, 0, BranchAct::Prepare, 9);
        if orderly == Some(false) {
            assert_eq!(answer, Reaction::Refused(Reason::RolledBack));
            assert_eq!(drain(&mut broker, 3, "queue://A"), ["in"]);
            assert_eq!(drain(&mut broker, 3, "queue://B"), [""; 0]);
            assert_nothing_is_left(&mut broker);
            continue;
        }
        assert_eq!(answer, Reaction::Done);
        let mut broker = broker.crash(0);
        broker.open(1);
        assert_eq!(broker.branch(1, 0, BranchAct::Commit, 9), Reaction::Done);
        assert_eq!(drain(&mut broker, 3, "queue://A"), [""; 0]);
        assert_eq!(drain(&mut broker, 3, "queue://B"), ["first", "second"]);
        assert_nothing_is_left(&mut broker);
    }
}

#[test]
fn whoever_waits_for_the_end_of_a_branch_is_told_by_whomever_it_ends() {
    for (act, flags) in
        [(BranchAct::Commit, flag::BRANCH_COMMITTED), (BranchAct::Rollback, flag::BRANCH_RESTORED)]
    {
        let mut broker = broker();
        open(&mut broker, 2);
        begun(&mut broker, 1, 9);
        begun(&mut broker, 2, 9);
        publish(&mut broker, 1, 1, draft("m"));
        let step = BranchStep::new(BranchAct::Await, branch(9));
        let token = broker.send(2, 0, PART, Verb::Branch(Box::new(step)));
        assert_eq!(broker.branch(1, 0, BranchAct::Prepare, 9), Reaction::Done);
        // It is not in the way of other answers.
        broker.publish_all(2, 1, ["x"]);
        assert_eq!(broker.answer(2, token), None);
        assert_eq!(broker.branch(1, 0, act, 9), Reaction::Done);
        let told = broker.told(2, token);
        let told: Vec<_> = fields::iter(&told).map(Result::unwrap).collect();
        assert_eq!(told, [(number::FLAGS, &flags.to_le_bytes()[..])]);
    }
    let mut broker = broker();
    assert_eq!(broker.branch(1, PART, BranchAct::Await, 9), Reaction::Refused(Reason::NotFound));
}

#[test]
fn what_a_user_has_prepared_others_neither_see_nor_end_unless_they_administer_everything() {
    let mut broker = broker();
    for (session, user) in [(11, "ann"), (12, "bob")] {
        broker.open_user(session, user);
        producers(&mut broker, session);
    }
    begun(&mut broker, 11, 9);
    publish(&mut broker, 11, 1, draft("ann's"));
    // The same name of another user is another branch.
    begun(&mut broker, 12, 9);
    assert_eq!(broker.branch(11, 0, BranchAct::Prepare, 9), Reaction::Done);
    assert_eq!(broker.branch(12, 0, BranchAct::Rollback, 9), Reaction::Done);
    let mut broker = broker.crash(0);
    for (session, user) in [(11, "ann"), (12, "bob"), (13, "ann")] {
        broker.open_user(session, user);
    }
    assert_eq!((broker.prepared(12), broker.prepared(13)), (vec![], vec![9]));
    for act in [BranchAct::Commit, BranchAct::CommitOnePhase, BranchAct::Rollback] {
        assert_eq!(broker.branch(12, 0, act, 9), Reaction::Refused(Reason::NotFound));
    }
    let token = broker.send(12, 0, 0, Verb::Query(Box::new(Query::Prepared { all: true })));
    let told = broker.told(12, token);
    let told: Vec<_> = fields::iter(&told).map(Result::unwrap).collect();
    assert_eq!(told[0], (number::BRANCH, &branch(9).to_bytes()[..]));
    assert_eq!(told[1], (number::USER, &b"ann"[..]));
    let counts: Vec<u64> =
        told[2..].iter().map(|(_, value)| u64::from_le_bytes((*value).try_into().unwrap())).collect();
    assert_eq!((counts.len(), &counts[..2]), (4, &[1, 0][..]));
    assert!(counts[2] > 0 && counts[3] > 1_600_000_000_000);
    let step = BranchStep { operator: true, ..BranchStep::new(BranchAct::Commit, branch(9)) };
    broker.done(12, 0, 0, Verb::Branch(Box::new(step)));
    assert_eq!(drain(&mut broker, 4, "queue://A"), ["ann's"]);
}

#[test]
fn prepared_branches_are_bounded_in_number_and_in_what_they_hold() {
    let mut broker = with(Limits { max_prepared: 2, max_prepared_items: 5, ..Limits::default() });
    for (number, count, fits) in [(1, 3, true), (2, 3, false), (3, 2, true), (4, 1, false)] {
        begun(&mut broker, 1, number);
        for _ in 0..count {
            publish(&mut broker, 1, 1, draft("m"));
        }
        let expected = if fits { Reaction::Done } else { Reaction::Refused(Reason::RolledBack) };
        assert_eq!(broker.branch(1, 0, BranchAct::Prepare, number), expected, "branch {number}");
    }
    assert_eq!(broker.prepared(1), [1, 3]);
    broker.branch(1, 0, BranchAct::Rollback, 1);
    broker.branch(1, 0, BranchAct::Rollback, 3);
    assert_nothing_is_left(&mut broker);
}

#[test]
fn a_part_that_was_refused_rolls_the_whole_branch_back() {
    let mut broker = with(Limits { max_transaction_items: 1, ..Limits::default() });
    begun(&mut broker, 1, 9);
    publish(&mut broker, 1, 1, draft("m"));
    let one_more = broker.ask(1, 1, PART, Verb::Publish(draft("n").message()));
    assert_eq!(one_more, Reaction::Refused(Reason::Limit));
    assert_eq!(broker.branch(1, 0, BranchAct::Prepare, 9), Reaction::Refused(Reason::RolledBack));
    assert_eq!(broker.branch(1, 0, BranchAct::Rollback, 9), Reaction::Refused(Reason::NotFound));
    assert_eq!(drain(&mut broker, 2, "queue://A"), [""; 0]);
    assert_nothing_is_left(&mut broker);
}

#[test]
fn a_large_branch_of_every_kind_of_message_is_whole_after_a_restart() {
    for restart in [false, true] {
        let mut broker = with(Limits { transaction_spill_bytes: 300, ..Limits::default() });
        broker.open(2);
        broker.subscribe(2, 1, &["topic://T"], 1_000);
        begun(&mut broker, 1, 9);
        let deliver_at_ms = broker.now.unix_ms + 60_000;
        let texts: Vec<String> = (0..400).map(|n| format!("message {n}")).collect();
        for text in &texts {
            publish(&mut broker, 1, 1, draft(text));
            publish(&mut broker, 1, 2, draft(text));
        }
        publish(&mut broker, 1, 1, Draft { deliver_at_ms, ..draft("later") });
        publish(&mut broker, 1, 1, Draft { persistent: false, ..draft("not persistent") });
        publish(&mut broker, 1, 1, Draft { priority: 9, ..draft("urgent") });
        assert_eq!(broker.branch(1, 0, BranchAct::Prepare, 9), Reaction::Done);
        if restart {
            broker = broker.crash(0);
        }
        broker.open(3);
        assert_eq!(broker.branch(3, 0, BranchAct::Commit, 9), Reaction::Done);
        let mut expected = texts.clone();
        if !restart {
            expected.push("not persistent".to_owned());
            assert_eq!(broker.texts(2), texts);
            broker.close(2);
        }
        broker.commit();
        let all = |broker: &mut Broker, queue: &str| {
            broker.open(4);
            broker.subscribe(4, 1, &[queue], 1_000);
            let got = broker.got(4);
            got.iter().for_each(|one| broker.accept(4, one));
            broker.close(4);
            got.into_iter().map(|one| one.text).collect::<Vec<_>>()
        };
        let mut got = all(&mut broker, "queue://A");
        // It may come while others are being read from the store, but it is of another lane in any case.
        let urgent = got.iter().position(|text| text == "urgent").unwrap();
        got.remove(urgent);
        assert_eq!(got, expected);
        assert_eq!(all(&mut broker, "queue://B"), texts);
        assert_eq!(broker.engine.stats().delayed, 1);
        broker.pass(61_000);
        assert_eq!(all(&mut broker, "queue://A"), ["later"]);
        assert_nothing_is_left(&mut broker);
    }
}

#[test]
fn other_outcomes_than_done_are_kept_too() {
    let mut broker = broker();
    broker.publish_all(1, 1, ["rejected", "released"]);
    broker.subscribe(1, 1, &["queue://A"], 10);
    let got = broker.got(1);
    begun(&mut broker, 1, 9);
    broker.settle_in(1, PART, 1, got[0].tag, Outcome::Reject { reason: "no".to_owned() });
    broker.settle_in(1, PART, 1, got[1].tag, Outcome::Release { delay_ms: Some(500) });
    broker.branch(1, 0, BranchAct::Prepare, 9);
    let mut broker = broker.crash(0);
    broker.open(1);
    assert_eq!(broker.branch(1, 0, BranchAct::Commit, 9), Reaction::Done);
    assert_eq!(drain(&mut broker, 2, "queue://A"), [""; 0]);
    assert_eq!(drain(&mut broker, 2, "queue://ActiveMQ.DLQ"), ["rejected"]);
    broker.pass(1_000);
    assert_eq!(drain(&mut broker, 2, "queue://A"), ["released"]);
}

#[test]
fn a_client_that_repeats_all_after_losing_its_connection_finds_its_branch_prepared() {
    for restart in [false, true] {
        let mut broker = broker();
        let attach = || Attach { destinations: parse(&["queue://A"]), producer_name: Some("p".to_owned()) };
        let numbered = |sequence| Draft { sequence: Some(sequence), ..draft("m") };
        broker.done(1, 3, 0, Verb::Attach(Box::new(attach())));
        let repeat = |broker: &mut Broker, session, sequence, passing: bool| {
            begun(broker, session, 9);
            publish(broker, session, 3, numbered(sequence));
            // What a restart forgets is not missed.
            if passing {
                publish(broker, session, 2, Draft { persistent: false, ..draft("passing") });
            }
            broker.branch(session, 0, BranchAct::Prepare, 9)
        };
        assert_eq!(repeat(&mut broker, 1, 1, true), Reaction::Done);
        if restart {
            broker = broker.crash(0);
        }
        broker.open(2);
        broker.done(2, 3, 0, Verb::Attach(Box::new(attach())));
        producers(&mut broker, 2);
        assert_eq!(repeat(&mut broker, 2, 1, true), Reaction::Done);
        assert_eq!(broker.branch(2, 0, BranchAct::Prepare, 9), Reaction::Done, "asked again");
        assert_eq!(repeat(&mut broker, 2, 2, true), Reaction::Refused(Reason::Conflict), "other contents");
        assert_eq!(broker.prepared(2), [9]);
        assert_eq!(broker.branch(2, 0, BranchAct::Commit, 9), Reaction::Done);
        // Once it counts, what is repeated is no work any more.
        assert_eq!(repeat(&mut broker, 2, 1, false), Reaction::Told(String::new()));
        assert_eq!(drain(&mut broker, 3, "queue://A"), ["m"]);
        assert_eq!(broker.engine.stats().transactions, 0);
        assert_nothing_is_left(&mut broker);
    }
}

#[test]
fn what_was_sent_before_a_branch_and_lost_by_a_restart_that_it_outlived_is_no_repetition() {
    let policy = Policy { max_messages: 1, ..Policy::default() };
    let mut broker =
        Broker::with(Config { policies: vec![PolicyRule::new("A", policy).unwrap()], ..Config::default() });
    let named = |broker: &mut Broker, session| {
        broker.open(session);
        broker.produce_as(session, 3, "p", &["queue://A"]);
        broker.produce_as(session, 4, "p", &["queue://B"]);
    };
    let numbered = |text, sequence| Draft { sequence: Some(sequence), ..draft(text) };
    named(&mut broker, 1);
    broker.publish(1, 3, numbered("first", 1));
    // There is no room for it.
    let waits = broker.publish(1, 3, numbered("second", 2));
    assert_eq!(broker.answer(1, waits), None);
    begun(&mut broker, 1, 9);
    // Its answer waits behind that of the second.
    broker.send(1, 4, PART, Verb::Publish(numbered("third", 3).message()));
    assert_eq!(broker.branch(1, 0, BranchAct::Prepare, 9), Reaction::Done);
    let mut broker = broker.crash(0);
    named(&mut broker, 2);
    assert_eq!(broker.branch(2, 0, BranchAct::Commit, 9), Reaction::Done);
    assert_eq!(drain(&mut broker, 3, "queue://A"), ["first"]);
    let again = broker.publish(2, 3, numbered("second", 2));
    assert_eq!(broker.answer(2, again), Some(Reaction::Done));
    let again = broker.publish(2, 4, numbered("third", 3));
    assert_eq!(broker.answer(2, again), Some(Reaction::Done));
    assert_eq!(drain(&mut broker, 3, "queue://A"), ["second"]);
    assert_eq!(drain(&mut broker, 3, "queue://B"), ["third"]);
}

#[test]
fn a_branch_outlives_several_restarts_and_the_queues_that_it_is_for_stay() {
    let policy = Policy { auto_delete: true, ..Policy::default() };
    let mut broker = Broker::with(Config { default_policy: policy, ..Config::default() });
    open(&mut broker, 1);
    begun(&mut broker, 1, 9);
    publish(&mut broker, 1, 1, draft("m"));
    broker.branch(1, 0, BranchAct::Prepare, 9);
    for _ in 0..3 {
        broker = broker.crash(0);
        open(&mut broker, 1);
        // Another transaction must not use the same hidden log.
        broker.done(1, 0, 6, Verb::Transact(Transact::Begin));
        broker.done(1, 1, 6, Verb::Publish(draft("x").message()));
        broker.transact(1, 6, Transact::Rollback);
        assert_eq!(drain(&mut broker, 2, "queue://A"), [""; 0]);
        assert_eq!(broker.prepared(1), [9]);
    }
    broker.branch(1, 0, BranchAct::Commit, 9);
    assert_eq!(drain(&mut broker, 2, "queue://A"), ["m"]);
    assert_nothing_is_left(&mut broker);
}

#[test]
fn a_queue_that_is_removed_takes_along_what_was_prepared_for_it() {
    let mut broker = broker();
    prepared(&mut broker);
    for queue in ["queue://A", "queue://B"] {
        let delete = sabir_model::verb::Delete {
            destination: parse(&[queue]).pop(),
            subscription_name: None,
            if_empty: false,
            if_unused: false,
        };
        broker.done(1, 0, 0, Verb::Delete(Box::new(delete)));
    }
    let mut broker = broker.crash(0);
    broker.open(1);
    assert_eq!(broker.prepared(1), [9]);
    assert_eq!(broker.branch(1, 0, BranchAct::Commit, 9), Reaction::Done);
    assert_eq!(broker.engine.stats().messages, 0);
    assert_nothing_is_left(&mut broker);
}

#[test]
fn a_dead_letter_and_a_message_of_a_group_return_as_what_they_were() {
    let mut broker = broker();
    broker.publish_all(1, 1, ["dead"]);
    broker.publish(1, 2, Draft { group: Some("g"), ..draft("grouped") });
    broker.subscribe(1, 1, &["queue://A", "queue://B"], 10);
    for got in broker.got(1) {
        if got.text == "dead" {
            broker.settle(1, 1, got.tag, Outcome::Reject { reason: "no".to_owned() });
        }
    }
    broker.subscribe(1, 2, &["queue://ActiveMQ.DLQ"], 10);
    let dead = broker.got(1).pop().unwrap();
    broker.close(1);
    open(&mut broker, 1);
    broker.subscribe(1, 1, &["queue://ActiveMQ.DLQ", "queue://B"], 10);
    let got = broker.got(1);
    begun(&mut broker, 1, 9);
    for one in &got {
        broker.settle_in(1, PART, 1, one.tag, Outcome::Accept);
    }
    broker.branch(1, 0, BranchAct::Prepare, 9);
    let mut broker = broker.crash(0);
    broker.open(1);
    broker.open(2);
    broker.branch(1, 0, BranchAct::Rollback, 9);
    broker.subscribe(2, 1, &["queue://ActiveMQ.DLQ", "queue://B"], 10);
    let again = broker.got(2);
    let dead_again = again.iter().find(|one| one.text == "dead").unwrap();
    // Behind it stands from which of the two queues it comes.
    assert!(!dead.label.is_empty() && dead_again.label.starts_with(&dead.label), "{:?}", dead_again.label);
    let grouped = again.iter().find(|one| one.text == "grouped").unwrap();
    assert!(grouped.group_first);
}
