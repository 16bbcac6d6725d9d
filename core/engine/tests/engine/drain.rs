// SPDX-License-Identifier: Apache-2.0
//! Credit that is used or lost: what is there comes first, then the answer, and nothing after it.

use crate::broker::{Broker, Draft, Reaction, draft, subscribe};
use sabir_engine::Input;
use sabir_model::verb::{Outcome, Reason, Settle, SettleRange, Subscribe, Verb};

fn pulling(destinations: &[&str]) -> Subscribe {
    Subscribe { credit: 0, link_credit: true, ..subscribe(destinations) }
}

/// Sends a drain. Answers behind how many deliveries it was answered, or `None`: not yet.
fn drain(broker: &mut Broker, session: u64, id: u64, amount: u64) -> Option<usize> {
    let token = broker.send(session, id, 0, Verb::Credit { amount, set: false, drain: true });
    broker.answer(session, token).map(|reaction| {
        assert_eq!(reaction, Reaction::Done);
        broker.behind[&token]
    })
}

#[test]
fn an_empty_queue_answers_at_once_and_later_messages_find_no_credit() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["queue://q"]);
    broker.subscribe_with(1, 1, pulling(&["queue://q"]));
    assert_eq!(drain(&mut broker, 1, 1, 1), Some(0));
    broker.publish_all(1, 1, ["1", "2", "3"]);
    assert!(broker.got(1).is_empty());
    assert_eq!(drain(&mut broker, 1, 1, 2), Some(2));
    assert_eq!(broker.texts(1), ["1", "2"]);
    // Credit that was given before without a drain is used and dropped too.
    broker.done(1, 1, 0, Verb::Credit { amount: 5, set: false, drain: false });
    assert_eq!(drain(&mut broker, 1, 1, 0), Some(1));
    broker.publish_all(1, 1, ["4"]);
    assert_eq!(broker.texts(1), ["3"]);
}

#[test]
fn what_lies_in_the_store_is_read_before_the_answer() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["queue://q"]);
    broker.publish_all(1, 1, ["1", "2"]);
    let mut broker = broker.crash(0);
    broker.open(1);
    broker.subscribe_with(1, 1, pulling(&["queue://q"]));
    assert_eq!(drain(&mut broker, 1, 1, 1), Some(1));
    assert_eq!(drain(&mut broker, 1, 1, 10), Some(2));
    assert_eq!(broker.texts(1), ["1", "2"]);
    assert_eq!(drain(&mut broker, 1, 1, 1), Some(0));
}

#[test]
fn a_rare_match_far_behind_is_found_before_the_answer() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["queue://q"]);
    let many: Vec<String> = (0..3_000).map(|at| at.to_string()).collect();
    broker.publish_all(1, 1, many.iter().map(String::as_str));
    let rare = Draft { color: Some("red"), ..draft("rare") };
    broker.publish(1, 1, rare);
    let mut broker = broker.crash(0);
    broker.open(1);
    let selector = Some("color = 'red'".to_owned());
    broker.subscribe_with(1, 1, Subscribe { selector, ..pulling(&["queue://q"]) });
    assert_eq!(drain(&mut broker, 1, 1, 1), Some(1));
    assert_eq!(broker.texts(1), ["rare"]);
    assert_eq!(drain(&mut broker, 1, 1, 1), Some(0));
}

#[test]
fn what_is_not_committed_is_not_waited_for() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["queue://q"]);
    broker.subscribe_with(1, 1, pulling(&["queue://q"]));
    broker.auto_commit = false;
    let confirm = broker.publish(1, 1, draft("1"));
    assert_eq!(drain(&mut broker, 1, 1, 1), Some(0));
    assert_eq!(broker.answer(1, confirm), None);
    broker.commit();
    assert!(broker.got(1).is_empty());
    assert_eq!(broker.answer(1, confirm), Some(Reaction::Done));
}

#[test]
fn consumers_of_topics_durable_subscriptions_and_browsers_are_drained_likewise() {
    let mut broker = Broker::new();
    broker.open_as(1, Some("c"));
    broker.produce(1, 1, &["topic://t"]);
    broker.produce(1, 2, &["queue://q"]);
    broker.subscribe_with(1, 1, pulling(&["topic://t"]));
    let durable = Subscribe { name: Some("d".to_owned()), durable: true, ..pulling(&["topic://t"]) };
    broker.subscribe_with(1, 2, durable);
    broker.publish_all(1, 1, ["1"]);
    broker.publish_all(1, 2, ["2"]);
    broker.subscribe_with(1, 3, Subscribe { browse: true, ..pulling(&["queue://q"]) });
    for id in [1, 2] {
        assert_eq!(drain(&mut broker, 1, id, 5), Some(1));
        assert_eq!(broker.texts(1), ["1"]);
    }
    assert_eq!(drain(&mut broker, 1, 3, 1), Some(1));
    assert_eq!(broker.texts(1), ["2"]);
}

#[test]
fn a_window_is_closed_until_it_is_opened_again() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["queue://q"]);
    broker.subscribe(1, 1, &["queue://q"], 3);
    broker.publish_all(1, 1, ["1"]);
    assert_eq!(drain(&mut broker, 1, 1, 0), Some(1));
    let got = broker.got(1);
    broker.accept(1, &got[0]);
    broker.publish_all(1, 1, ["2"]);
    assert!(broker.got(1).is_empty());
    broker.done(1, 1, 0, Verb::Credit { amount: 3, set: true, drain: false });
    assert_eq!(broker.texts(1), ["2"]);
}

#[test]
fn a_consumer_that_is_not_served_now_does_not_wait_for_those_who_are() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["queue://q"]);
    broker.publish_all(1, 1, ["1", "2"]);
    let mut broker = broker.crash(0);
    broker.open(1);
    broker.open(2);
    let alone = |credit| Subscribe { exclusive: true, credit, ..pulling(&["queue://q"]) };
    broker.subscribe_with(1, 1, alone(1));
    broker.subscribe_with(2, 1, alone(0));
    assert_eq!(drain(&mut broker, 2, 1, 1), Some(0));
    assert_eq!(broker.texts(1), ["1"]);
}

#[test]
fn a_drain_of_nothing_is_refused_and_one_whose_consumer_goes_is_answered() {
    let mut broker = Broker::new();
    broker.open(1);
    let credit = Verb::Credit { amount: 1, set: false, drain: true };
    assert_eq!(broker.ask(1, 8, 0, credit.clone()), Reaction::Refused(Reason::NotFound));
    broker.input(Input::StoreFailed { text: "gone".to_owned() });
    assert_eq!(broker.ask(1, 8, 0, credit), Reaction::Refused(Reason::Store));
}

/// What consumers give back in any order comes again in the order in which it was sent.
#[test]
fn what_several_consumers_give_back_comes_again_in_its_first_order() {
    let mut broker = Broker::new();
    broker.open(9);
    broker.produce(9, 1, &["queue://q"]);
    for session in 1..=3 {
        broker.open(session);
        broker.subscribe(session, 1, &["queue://q"], 3);
    }
    let texts = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b"];
    broker.publish_all(9, 1, texts);
    let got: Vec<_> = (1..=3).map(|session| broker.got(session)).collect();
    assert!(got.iter().all(|got| got.len() == 3));
    for session in 1..=3 {
        // Nobody is there who could take something back at once.
        broker.done(session, 1, 0, Verb::Credit { amount: 0, set: true, drain: false });
    }
    let give_back = |broker: &mut Broker, session: u64, at: usize, outcome: Outcome| {
        let tag = got[session as usize - 1][at].tag;
        assert_eq!(broker.settle(session, 1, tag, outcome), Reaction::Done);
    };
    let release = || Outcome::Release { delay_ms: Some(0) };
    give_back(&mut broker, 3, 2, Outcome::Return);
    give_back(&mut broker, 1, 1, release());
    give_back(&mut broker, 2, 0, release());
    give_back(&mut broker, 3, 0, release());
    let all = SettleRange::UpTo(u64::MAX);
    for (session, outcome) in [(2, Outcome::Return), (1, release()), (3, Outcome::Return)] {
        broker.done(session, 1, 0, Verb::Settle(Settle { range: all, outcome }));
    }
    broker.open(4);
    broker.subscribe(4, 1, &["queue://q"], 100);
    assert_eq!(broker.texts(4), texts);
}
