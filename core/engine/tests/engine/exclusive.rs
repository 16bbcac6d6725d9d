// SPDX-License-Identifier: Apache-2.0
//! Who is served: consumers of higher priority first, and exclusive ones alone.

use crate::broker::{Broker, subscribe};
use sabir_model::verb::{Outcome, Subscribe, Verb};

fn broker() -> Broker {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    broker
}

fn consumer(broker: &mut Broker, session: u64, priority: i8, exclusive: bool, credit: u64) {
    broker.open(session);
    let wanted = Subscribe { priority, exclusive, credit, ..subscribe(&["queue://Q"]) };
    broker.subscribe_with(session, 1, wanted);
}

/// Takes one delivery after the other and accepts it.
fn drain(broker: &mut Broker, session: u64) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let got = broker.got(session);
        if got.is_empty() {
            return texts;
        }
        for one in got {
            broker.accept(session, &one);
            texts.push(one.text);
        }
    }
}

#[test]
fn lower_priorities_are_served_when_the_higher_are_full_and_no_longer() {
    let mut broker = broker();
    consumer(&mut broker, 2, 0, false, 1);
    consumer(&mut broker, 3, 0, false, 1);
    consumer(&mut broker, 4, 9, false, 2);
    consumer(&mut broker, 5, -5, false, 100);
    broker.publish_all(1, 1, ["1", "2", "3", "4", "5"]);
    let high = broker.got(4);
    assert_eq!(high.iter().map(|got| got.text.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((broker.texts(2), broker.texts(3)), (vec!["3".to_owned()], vec!["4".to_owned()]));
    assert_eq!(broker.texts(5), ["5"]);
    broker.accept(4, &high[0]);
    broker.publish_all(1, 1, ["6", "7"]);
    assert_eq!((broker.texts(4), broker.texts(5)), (vec!["6".to_owned()], vec!["7".to_owned()]));
}

#[test]
fn priority_decides_between_consumers_with_different_selectors_too() {
    let mut broker = broker();
    broker.open(2);
    let wanted =
        Subscribe { selector: Some("color IS NULL".into()), priority: 3, ..subscribe(&["queue://Q"]) };
    consumer(&mut broker, 3, 0, false, 100);
    broker.subscribe_with(2, 1, wanted);
    broker.publish_all(1, 1, ["1", "2"]);
    assert_eq!((broker.texts(2).len(), broker.texts(3).len()), (2, 0));
}

#[test]
fn of_exclusive_consumers_the_one_of_highest_priority_is_served_and_of_those_the_oldest() {
    let mut broker = broker();
    consumer(&mut broker, 2, 0, true, 100);
    consumer(&mut broker, 3, 0, true, 100);
    consumer(&mut broker, 4, 7, true, 100);
    consumer(&mut broker, 5, 7, true, 100);
    for (session, text) in [(4, "a"), (5, "b"), (2, "c"), (3, "d")] {
        broker.publish_all(1, 1, [text]);
        assert_eq!(drain(&mut broker, session), [text]);
        broker.close(session);
    }
    broker.publish_all(1, 1, ["e"]);
    assert_eq!(broker.engine.stats().in_flight, 0);
}

#[test]
fn the_next_exclusive_consumer_goes_on_where_the_one_before_was() {
    let mut broker = broker();
    consumer(&mut broker, 2, 0, true, 3);
    consumer(&mut broker, 3, 0, true, 2);
    broker.publish_all(1, 1, ["1", "2", "3", "4", "5", "6"]);
    let got = broker.got(2);
    broker.accept(2, &got[0]);
    assert!(broker.got(3).is_empty());
    // The second and third come back in their places, before what was never delivered.
    broker.close(2);
    let mut order = Vec::new();
    loop {
        let got = broker.got(3);
        let Some(first) = got.first() else { break };
        assert!(got.len() <= 2);
        let outcome = Verb::Settle(sabir_model::verb::Settle {
            range: sabir_model::verb::SettleRange::UpTo(got.last().map_or(first.tag, |last| last.tag)),
            outcome: Outcome::Accept,
        });
        order.extend(got.into_iter().map(|got| (got.text, got.redelivered)));
        broker.done(3, 1, 0, outcome);
    }
    let expected = [("2", true), ("3", true), ("4", true), ("5", false), ("6", false)]
        .map(|(text, again)| (text.to_owned(), again));
    assert_eq!(order, expected);
}

#[test]
fn an_exclusive_consumer_without_credit_still_keeps_others_from_being_served() {
    let mut broker = broker();
    consumer(&mut broker, 2, 0, false, 100);
    consumer(&mut broker, 3, 0, true, 1);
    broker.publish_all(1, 1, ["1", "2", "3"]);
    assert_eq!(
        (drain(&mut broker, 3), drain(&mut broker, 2)),
        (vec!["1".into(), "2".into(), "3".into()], vec![])
    );
}

#[test]
fn when_the_last_exclusive_consumer_goes_the_others_are_served_again() {
    let mut broker = broker();
    consumer(&mut broker, 2, 0, false, 100);
    consumer(&mut broker, 3, 0, false, 100);
    broker.publish_all(1, 1, ["1", "2"]);
    assert_eq!((drain(&mut broker, 2), drain(&mut broker, 3)), (vec!["1".to_owned()], vec!["2".to_owned()]));
    consumer(&mut broker, 4, 0, true, 1);
    broker.publish_all(1, 1, ["3", "4", "5"]);
    assert_eq!(broker.texts(4), ["3"]);
    broker.close(4);
    let mut got = drain(&mut broker, 2);
    got.extend(drain(&mut broker, 3));
    got.sort();
    assert_eq!(got, ["3", "4", "5"]);
}
