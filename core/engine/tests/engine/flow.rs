// SPDX-License-Identifier: Apache-2.0
//! Flow control, full stores, failed stores, draining and stopping.

use crate::broker::{Broker, Draft, Reaction, draft, subscribe};
use sabir_engine::{Admin, Config, Input, Limits, Policy, PolicyRule, WhenFull};
use sabir_model::store::{Batch, Op};
use sabir_model::verb::{Outcome, Reason, Settle, SettleRange, Subscribe, Transact, Verb};

fn broker_with(policy: Policy) -> Broker {
    let limits = Limits { max_parked_per_session: 3, ..Limits::default() };
    let mut broker = Broker::with(Config { default_policy: policy, limits, ..Config::default() });
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    broker
}

fn bounded(max_messages: u64, when_full: WhenFull) -> Broker {
    broker_with(Policy { max_messages, when_full, ..Policy::default() })
}

#[test]
fn a_publish_to_a_full_queue_waits_and_the_settles_of_its_session_go_on() {
    let mut broker = bounded(2, WhenFull::Park);
    broker.publish_all(1, 1, ["a", "b"]);
    let third = broker.publish(1, 1, draft("c"));
    let fourth = broker.publish(1, 1, draft("d"));
    assert_eq!(broker.answer(1, third), None);
    let change = broker.out.flow.pop().unwrap().1;
    assert!(change.parked && !change.pause_reading && change.reason.contains("queue://Q is full"));
    // The same session consumes: its settles are answered, and make room.
    broker.subscribe(1, 1, &["queue://Q"], 1);
    let got = broker.got(1);
    broker.accept(1, &got[0]);
    assert_eq!(broker.answer(1, third), Some(Reaction::Done));
    assert_eq!(broker.answer(1, fourth), None);
    let got = broker.got(1);
    broker.accept(1, &got[0]);
    assert_eq!(broker.answer(1, fourth), Some(Reaction::Done));
    let last = broker.out.flow.pop().unwrap().1;
    assert!(!last.parked && last.reason.is_empty());
    assert_eq!(broker.texts(1), ["c"]);
}

#[test]
fn a_session_with_too_many_parked_publishes_is_no_longer_read_from() {
    let mut broker = bounded(1, WhenFull::Park);
    for text in ["a", "b", "c", "d"] {
        broker.publish(1, 1, draft(text));
    }
    let changes: Vec<bool> = broker.out.flow.drain(..).map(|(_, change)| change.pause_reading).collect();
    assert_eq!(changes, [false, true]);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    for expected in ["a", "b", "c", "d"] {
        let got = broker.got(2);
        assert_eq!(got[0].text, expected);
        broker.accept(2, &got[0]);
    }
    assert_eq!(
        broker.out.flow.last().map(|(_, change)| (change.parked, change.pause_reading)),
        Some((false, false))
    );
    assert_eq!(broker.engine.stats().parked, 0);
}

#[test]
fn what_was_parked_is_not_lost_with_its_session() {
    let mut broker = bounded(1, WhenFull::Park);
    for text in ["a", "b"] {
        broker.publish(1, 1, draft(text));
    }
    broker.close(1);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    let got = broker.got(2);
    broker.accept(2, &got[0]);
    assert_eq!(broker.texts(2), ["b"]);
}

#[test]
fn publishes_of_one_producer_that_wait_at_different_queues_keep_their_order() {
    let mut broker = broker_with(Policy { max_bytes: 4_000, when_full: WhenFull::Park, ..Policy::default() });
    broker.open_as(2, Some("desk"));
    for (id, name) in [(1, "first"), (2, "second")] {
        let subscribe = Subscribe { durable: true, name: Some(name.to_owned()), ..subscribe(&["topic://T"]) };
        broker.subscribe_with(2, id, subscribe);
    }
    broker.produce(1, 2, &["topic://T"]);
    let text = |letter: &str, count: usize| letter.repeat(count);
    broker.publish_all(1, 2, [&*text("a", 700), &*text("b", 1_000)]);
    let small = broker.publish(1, 2, draft(&text("c", 300)));
    let large = broker.publish(1, 2, draft(&text("d", 1_100)));
    let got = broker.got(2);
    let of = |subscription: u64| got.iter().filter(move |got| got.subscription == subscription);
    // The first queue has room for the small one now, which has to wait at the second one then.
    broker.accept(2, of(1).next().unwrap());
    assert_eq!((broker.answer(1, small), broker.answer(1, large)), (None, None));
    // Both have room for everything at once.
    let last = got.iter().map(|got| got.tag).max().unwrap();
    let settle = Settle { range: SettleRange::SessionUpTo(last), outcome: Outcome::Accept };
    broker.done(2, 1, 0, Verb::Settle(settle));
    let got = broker.got(2);
    let letters = |subscription: u64| -> String {
        got.iter().filter(|got| got.subscription == subscription).map(|got| &got.text[..1]).collect()
    };
    assert_eq!((letters(1), letters(2)), ("cd".to_owned(), "cd".to_owned()));
}

#[test]
fn a_publish_that_waits_is_not_overtaken_at_another_queue_by_one_that_need_not_wait() {
    let mut broker = bounded(1, WhenFull::Park);
    broker.open_as(2, Some("desk"));
    for (id, name, selector) in [(1, "red", Some("color = 'red'")), (2, "all", None)] {
        let (name, selector) = (Some(name.to_owned()), selector.map(str::to_owned));
        broker.subscribe_with(
            2,
            id,
            Subscribe { durable: true, name, selector, ..subscribe(&["topic://T"]) },
        );
    }
    broker.produce(1, 2, &["topic://T"]);
    let red = |text| Draft { color: Some("red"), ..draft(text) };
    broker.publish(1, 2, red("first"));
    let got = broker.got(2);
    assert_eq!(got.len(), 2);
    let second = broker.publish(1, 2, red("second"));
    // There is room in the queue of all, but not in that of the red ones.
    broker.accept(2, got.iter().find(|got| got.subscription == 2).unwrap());
    let third = broker.publish(1, 2, draft("third"));
    assert_eq!((broker.answer(1, second), broker.answer(1, third)), (None, None));
    broker.accept(2, got.iter().find(|got| got.subscription == 1).unwrap());
    let got = broker.got(2);
    assert_eq!(got.iter().map(|got| &*got.text).collect::<Vec<_>>(), ["second", "second"]);
    for got in &got {
        broker.accept(2, got);
    }
    assert_eq!(broker.texts(2), ["third"]);
    assert_eq!(broker.answer(1, third), Some(Reaction::Done));
}

#[test]
fn policy_may_refuse_or_drop_the_oldest_instead() {
    let mut broker = bounded(2, WhenFull::Refuse);
    broker.publish_all(1, 1, ["a", "b"]);
    let third = broker.publish(1, 1, draft("c"));
    assert_eq!(broker.answer(1, third), Some(Reaction::Refused(Reason::Full)));

    let mut broker = bounded(2, WhenFull::DropOldest);
    broker.publish_all(1, 1, ["a", "b", "c", "d"]);
    broker.subscribe(1, 1, &["queue://Q"], 10);
    assert_eq!(broker.texts(1), ["c", "d"]);
    assert_eq!(broker.store.durable_entries(), 2);
    assert_eq!(broker.engine.stats().dropped, 2);
}

#[test]
fn a_queue_bounded_in_bytes_still_takes_one_message_that_is_larger() {
    let mut broker = broker_with(Policy { max_bytes: 100, when_full: WhenFull::Refuse, ..Policy::default() });
    let large = "x".repeat(200);
    broker.publish_all(1, 1, [large.as_str()]);
    let second = broker.publish(1, 1, draft("a"));
    assert_eq!(broker.answer(1, second), Some(Reaction::Refused(Reason::Full)));
}

#[test]
fn publishes_wait_while_too_much_is_on_its_way_to_the_store() {
    let limits = Limits { uncommitted_bytes: 200, ..Limits::default() };
    let mut broker = Broker::with(Config { limits, ..Config::default() });
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    broker.auto_commit = false;
    let tokens: Vec<u64> = (0..20).map(|n| broker.publish(1, 1, draft(&n.to_string()))).collect();
    assert!(broker.engine.stats().parked > 0);
    broker.commit();
    for token in tokens {
        assert_eq!(broker.answer(1, token), Some(Reaction::Done));
    }
    broker.auto_commit = true;
    broker.subscribe(1, 1, &["queue://Q"], 100);
    assert_eq!(broker.texts(1), (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn the_limit_of_unsettled_deliveries_of_a_session_holds_over_all_its_subscriptions() {
    let limits = Limits { max_unsettled_per_session: 3, ..Limits::default() };
    let mut broker = Broker::with(Config { limits, ..Config::default() });
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    broker.publish_all(1, 1, ["a", "b", "c", "d", "e"]);
    broker.subscribe(1, 1, &["queue://Q"], 2);
    broker.subscribe(1, 2, &["queue://Q"], 100);
    let got = broker.got(1);
    assert_eq!(got.len(), 3);
    broker.accept(1, &got[0]);
    assert_eq!(broker.got(1).len(), 1);
}

/// Gives the engine a full store for the pending batch, and answers what is left of the batch.
fn refuse_as_full(broker: &mut Broker) -> (sabir_engine::CommitId, Batch) {
    let mut batch = Batch::default();
    let commit = broker.engine.take_batch(&mut batch).unwrap();
    let input = Input::StoreFull { commit, batch: &mut batch };
    broker.engine.handle(broker.now, input, &mut broker.out);
    (commit, batch)
}

#[test]
fn a_full_store_holds_producers_while_consumers_go_on_and_nothing_is_confirmed_too_early() {
    let mut broker = broker_with(Policy::default());
    broker.publish_all(1, 1, ["a", "b"]);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    let got = broker.got(2);
    broker.commit();
    broker.auto_commit = false;
    let publish = broker.publish(1, 1, draft("c"));
    let range = SettleRange::Tags { first: got[0].tag, last: got[0].tag };
    let settle = broker.send(2, 1, 0, Verb::Settle(Settle { range, outcome: Outcome::Accept }));
    let (held_id, held) = refuse_as_full(&mut broker);
    assert!(held.ops.iter().all(|op| !matches!(op, Op::Remove { .. })), "{held:?}");
    let waiting = broker.publish(1, 1, draft("d"));
    // The removal goes ahead, and its settle is confirmed; the publishes are not.
    let ahead = broker.submit().unwrap();
    assert!(ahead > held_id);
    broker.sync(1);
    broker.serve();
    assert_eq!(broker.answer(2, settle), Some(Reaction::Done));
    assert_eq!((broker.answer(1, publish), broker.answer(1, waiting)), (None, None));
    // A settle that comes now is confirmed too.
    let range = SettleRange::Tags { first: got[1].tag, last: got[1].tag };
    let settle = broker.send(2, 1, 0, Verb::Settle(Settle { range, outcome: Outcome::Accept }));
    broker.submit().unwrap();
    broker.sync(1);
    broker.serve();
    assert_eq!(broker.answer(2, settle), Some(Reaction::Done));
    assert!(broker.got(2).is_empty());
    // Room again: the refused batch is taken, and everything goes on.
    broker.store.apply(&held);
    broker.durable.apply(&held);
    broker.input(Input::StoreRoom);
    broker.input(Input::Committed { commit: sabir_engine::CommitId(ahead.0 + 1) });
    assert_eq!(broker.answer(1, publish), Some(Reaction::Done));
    broker.commit();
    assert_eq!(broker.answer(1, waiting), Some(Reaction::Done));
    assert_eq!(broker.texts(2), ["c", "d"]);
}

#[test]
fn a_commit_that_a_full_store_refused_is_not_answered_with_the_removals_that_went_ahead_of_it() {
    let narrow = Policy { max_messages: 1, ..Policy::default() };
    let policies = vec![PolicyRule::new("F", narrow).unwrap()];
    let mut broker = Broker::with(Config { policies, ..Config::default() });
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    broker.produce(1, 2, &["queue://F"]);
    broker.publish_all(1, 1, ["a", "b"]);
    broker.publish_all(1, 2, ["full"]);
    broker.subscribe(1, 1, &["queue://Q"], 10);
    let got = broker.got(1);
    broker.done(1, 0, 5, Verb::Transact(Transact::Begin));
    broker.commit();
    broker.auto_commit = false;
    // With a publish parked, other answers of the session go past it.
    broker.publish(1, 2, draft("parked"));
    let accept = |tag| {
        let range = SettleRange::Tags { first: tag, last: tag };
        Verb::Settle(Settle { range, outcome: Outcome::Accept })
    };
    let settled = broker.send(1, 1, 0, accept(got[0].tag));
    broker.send(1, 1, 5, accept(got[1].tag));
    broker.send(1, 1, 5, Verb::Publish(draft("c").message()));
    let commit = broker.send(1, 0, 5, Verb::Transact(Transact::Commit));
    let (_, held) = refuse_as_full(&mut broker);
    let ahead = broker.submit().unwrap();
    broker.sync(1);
    broker.serve();
    assert_eq!((broker.answer(1, settled), broker.answer(1, commit)), (Some(Reaction::Done), None));
    broker.store.apply(&held);
    broker.durable.apply(&held);
    broker.input(Input::StoreRoom);
    broker.input(Input::Committed { commit: ahead });
    assert_eq!(broker.answer(1, commit), Some(Reaction::Done));
}

#[test]
fn a_failed_store_confirms_nothing_more_and_ends_all_sessions() {
    let mut broker = broker_with(Policy::default());
    broker.auto_commit = false;
    let publish = broker.publish(1, 1, draft("a"));
    broker.input(Input::StoreFailed { text: "no more".into() });
    assert_eq!(broker.answer(1, publish), Some(Reaction::Refused(Reason::Store)));
    assert_eq!(broker.out.closes.len(), 1);
    let publish = broker.publish(1, 1, draft("b"));
    assert_eq!(broker.answer(1, publish), Some(Reaction::Refused(Reason::Store)));
    assert!(broker.engine.take_batch(&mut Batch::default()).is_none());
}

#[test]
fn draining_refuses_publishes_and_still_delivers_and_stopping_delivers_nothing() {
    let mut broker = broker_with(Policy::default());
    broker.publish_all(1, 1, ["a", "b"]);
    broker.admin(Admin::Drain);
    let publish = broker.publish(1, 1, draft("c"));
    assert_eq!(broker.answer(1, publish), Some(Reaction::Refused(Reason::Stopping)));
    broker.subscribe(1, 1, &["queue://Q"], 1);
    let got = broker.got(1);
    assert_eq!(got.len(), 1);
    broker.admin(Admin::Stop);
    assert_eq!(broker.out.closes.len(), 1);
    broker.accept(1, &got[0]);
    assert!(broker.got(1).is_empty());
    assert_eq!(broker.store.durable_entries(), 1);
}

#[test]
fn other_policies_hold_at_once() {
    let mut broker = bounded(1, WhenFull::Park);
    broker.publish_all(1, 1, ["a"]);
    let parked = broker.publish(1, 1, draft("b"));
    assert_eq!(broker.answer(1, parked), None);
    broker.admin(Admin::Configure(Box::default()));
    assert_eq!(broker.answer(1, parked), Some(Reaction::Done));
}

#[test]
fn a_queue_made_by_use_goes_when_it_is_empty_and_unused_if_policy_says_so() {
    let mut broker = broker_with(Policy { auto_delete: true, ..Policy::default() });
    broker.publish_all(1, 1, ["a"]);
    broker.subscribe(1, 1, &["queue://Q"], 10);
    let got = broker.got(1);
    broker.accept(1, &got[0]);
    assert_eq!(broker.engine.stats().queues, 1);
    broker.done(1, 1, 0, Verb::Unsubscribe { forget: false });
    assert_eq!(broker.engine.stats().queues, 0);
    broker.publish_all(1, 1, ["b"]);
    assert_eq!(broker.engine.stats().queues, 1);
}

#[test]
fn a_queue_made_by_use_stays_while_a_delayed_message_is_to_come_to_it_also_after_a_crash() {
    for crashes in [false, true] {
        let mut broker = broker_with(Policy { auto_delete: true, ..Policy::default() });
        let deliver_at_ms = broker.now.unix_ms + 60_000;
        broker.publish(1, 1, Draft { deliver_at_ms, ..draft("later") });
        broker.publish_all(1, 1, ["now"]);
        if crashes {
            broker = broker.crash(usize::MAX);
            broker.open(1);
        }
        broker.subscribe(1, 1, &["queue://Q"], 10);
        let got = broker.got(1);
        broker.accept(1, &got[0]);
        broker.done(1, 1, 0, Verb::Unsubscribe { forget: false });
        broker.pass(61_000);
        broker.subscribe(1, 2, &["queue://Q"], 10);
        let got = broker.got(1);
        assert_eq!(got[0].text, "later");
        broker.accept(1, &got[0]);
        broker.done(1, 2, 0, Verb::Unsubscribe { forget: false });
        assert_eq!(broker.engine.stats().queues, 0);
    }
}

#[test]
fn a_queue_made_by_use_stays_while_a_message_that_is_to_be_delivered_again_is_put_off() {
    let policy = Policy { auto_delete: true, redelivery_delay_ms: 1_000, ..Policy::default() };
    let mut broker = broker_with(policy);
    broker.publish_all(1, 1, ["a"]);
    broker.subscribe(1, 1, &["queue://Q"], 10);
    let got = broker.got(1);
    broker.release(1, &got[0]);
    broker.done(1, 1, 0, Verb::Unsubscribe { forget: false });
    broker.pass(2_000);
    broker.subscribe(1, 2, &["queue://Q"], 10);
    assert_eq!(broker.texts(1), ["a"]);
}

#[test]
fn a_queue_made_by_use_stays_while_a_large_transaction_is_to_publish_to_it() {
    for outcome in [Transact::Commit, Transact::Rollback] {
        let mut config = Config::default();
        config.default_policy.auto_delete = true;
        config.limits.transaction_spill_bytes = 10;
        let mut broker = Broker::with(config);
        broker.open(1);
        broker.produce(1, 1, &["queue://Q"]);
        broker.done(1, 0, 5, Verb::Transact(Transact::Begin));
        broker.done(1, 1, 5, Verb::Publish(draft("in a transaction").message()));
        // Somebody else comes, finds nothing, and goes.
        broker.subscribe(1, 1, &["queue://Q"], 10);
        broker.done(1, 1, 0, Verb::Unsubscribe { forget: false });
        assert_eq!(broker.engine.stats().queues, 1);
        assert_eq!(broker.transact(1, 5, outcome), Reaction::Done);
        if outcome == Transact::Rollback {
            assert_eq!(broker.engine.stats().queues, 0);
        } else {
            broker.subscribe(1, 2, &["queue://Q"], 10);
            assert_eq!(broker.texts(1), ["in a transaction"]);
        }
    }
}

#[test]
fn a_queue_is_not_made_by_use_if_policy_forbids_it() {
    let mut broker = broker_with(Policy { auto_create: false, ..Policy::default() });
    let publish = broker.publish(1, 1, draft("a"));
    assert_eq!(broker.answer(1, publish), Some(Reaction::Refused(Reason::NotFound)));
    broker.declare(1, "queue://Q");
    broker.publish_all(1, 1, ["a"]);
}

#[test]
fn a_transaction_is_not_held_back_by_a_full_queue_that_it_empties() {
    let mut broker = bounded(1, WhenFull::Park);
    broker.publish_all(1, 1, ["a"]);
    broker.subscribe_with(1, 1, subscribe(&["queue://Q"]));
    let got = broker.got(1);
    broker.done(1, 0, 5, Verb::Transact(Transact::Begin));
    broker.done(1, 1, 5, Verb::Publish(Draft { persistent: true, ..draft("b") }.message()));
    broker.settle_in(1, 5, 1, got[0].tag, Outcome::Accept);
    assert_eq!(broker.transact(1, 5, Transact::Commit), Reaction::Done);
    assert_eq!(broker.texts(1), ["b"]);
}

#[test]
fn what_the_store_could_never_take_is_refused_and_not_waited_for() {
    let mut broker = broker_with(Policy::default());
    broker.engine.set_store_bytes(10_000);
    let large = "x".repeat(5_001);
    let refused = broker.publish(1, 1, draft(&large));
    assert_eq!(broker.answer(1, refused), Some(Reaction::Refused(Reason::Limit)));
    assert_eq!((broker.engine.stats().messages, broker.store.durable_entries()), (0, 0));
    // What lies in memory alone needs no room there; what waits for its time does.
    broker.publish(1, 1, Draft { persistent: false, ..draft(&large) });
    assert_eq!(broker.engine.stats().messages, 1);
    let deliver_at_ms = broker.now.unix_ms + 1_000;
    let later = broker.publish(1, 1, Draft { persistent: false, deliver_at_ms, ..draft(&large) });
    assert_eq!(broker.answer(1, later), Some(Reaction::Refused(Reason::Limit)));
    // Nor does a transaction get larger than that.
    broker.transact(1, 7, Transact::Begin);
    let half = "y".repeat(1_500);
    let first = broker.send(1, 1, 7, Verb::Publish(draft(&half).message()));
    let second = broker.send(1, 1, 7, Verb::Publish(draft(&half).message()));
    assert_eq!(broker.answer(1, first), Some(Reaction::Done));
    assert_eq!(broker.answer(1, second), Some(Reaction::Refused(Reason::Limit)));
}

#[test]
fn many_small_messages_make_no_batch_that_a_small_store_could_never_take() {
    let mut broker = broker_with(Policy::default());
    broker.engine.set_store_bytes(10_000);
    broker.auto_commit = false;
    for n in 0..20 {
        broker.publish(1, 1, draft(&format!("{n:04}{}", "x".repeat(500))));
    }
    assert!(broker.engine.stats().uncommitted_bytes < 4_000);
    assert!(broker.engine.stats().parked > 10);
    broker.auto_commit = true;
    broker.commit();
    assert_eq!((broker.engine.stats().parked, broker.engine.stats().messages), (0, 20));
}

/// A broker whose producers are held for 50 ms, and 10 KiB of memory for each queue; sessions 1 and 2 produce.
fn hasty() -> Broker {
    let default_policy = Policy { resident_bytes: 10_000, ..Policy::default() };
    let mut broker = Broker::with(Config { default_policy, ..Config::default() });
    for session in [1, 2] {
        broker.open(session);
        broker.produce(session, 1, &["queue://Q"]);
    }
    broker
}

/// Publishes messages that are not persistent until the session is held, but no more than `most`.
fn until_held(broker: &mut Broker, session: u64, most: usize) -> Option<usize> {
    broker.out.flow.clear();
    (0..most).find(|n| {
        let text = format!("{n:04}{}", "x".repeat(300));
        broker.publish(session, 1, Draft { persistent: false, ..draft(&text) });
        broker.out.flow.iter().any(|(_, change)| change.pause_reading)
    })
}

#[test]
fn producers_are_held_for_a_moment_instead_of_going_to_the_store_while_a_consumer_makes_room() {
    let mut broker = hasty();
    broker.open(3);
    broker.subscribe(3, 1, &["queue://Q"], 2);
    let mut sent = until_held(&mut broker, 1, 100).expect("memory is used up") + 1;
    let (_, change) = broker.out.flow.pop().unwrap();
    assert!(!change.parked && change.reason.contains("limits.hold_ms"), "{}", change.reason);
    // What was read from it already still finds room, and other producers are held too.
    sent += until_held(&mut broker, 2, 10).expect("it is held at once") + 1;
    broker.out.flow.clear();
    let mut received = 0;
    while broker.out.flow.is_empty() {
        for got in broker.got(3) {
            received += 1;
            broker.accept(3, &got);
        }
    }
    assert!(received < sent, "they go on before everything is gone");
    let resumed: Vec<bool> = broker.out.flow.drain(..).map(|(_, change)| change.pause_reading).collect();
    assert_eq!(resumed, [false, false]);
    assert_eq!((broker.store.temporary_entries(), broker.batches), (0, broker.batches));
}

#[test]
fn producers_of_a_queue_whose_consumer_is_slow_go_on_and_the_store_takes_what_is_too_much() {
    let mut broker = hasty();
    broker.open(3);
    broker.subscribe(3, 1, &["queue://Q"], 2);
    until_held(&mut broker, 1, 100).expect("memory is used up");
    broker.advance(51);
    broker.engine.handle(broker.now, Input::Tick, &mut broker.out);
    let (_, change) = broker.out.flow.pop().unwrap();
    assert!(!change.pause_reading && change.reason.is_empty());
    assert_eq!(until_held(&mut broker, 1, 200), None, "and are not held again soon");
    assert!(broker.store.temporary_entries() > 100);
    assert!(broker.engine.stats().resident_bytes < 25_000);
    broker.advance(2_000);
    assert_eq!(until_held(&mut broker, 1, 1), Some(0), "but once more, after a while");
    broker.close(3);
    broker.engine.handle(broker.now, Input::Tick, &mut broker.out);
    assert!(!broker.out.flow.pop().unwrap().1.pause_reading, "not for nobody");
}

#[test]
fn nobody_is_held_who_does_anything_else_and_none_of_a_queue_without_consumers() {
    let mut broker = hasty();
    assert_eq!(until_held(&mut broker, 1, 100), None, "nobody consumes");
    broker.open(3);
    broker.subscribe(3, 1, &["queue://Q"], 2);
    broker.subscribe(2, 1, &["queue://Other"], 2);
    assert_eq!(until_held(&mut broker, 2, 10), None, "its settles must be read");
    broker.produce(1, 2, &["queue://Other"]);
    assert_eq!(until_held(&mut broker, 1, 10), None, "the other queue has room");
}
