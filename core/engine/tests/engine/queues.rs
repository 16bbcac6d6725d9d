// SPDX-License-Identifier: Apache-2.0
//! Queues: order, competition, credit, settling.

use crate::broker::{Broker, Reaction, draft, subscribe};
use sabir_model::Destination;
use sabir_model::delivery::DeliveryKind;
use sabir_model::verb::{Outcome, Query, Reason, Settle, SettleRange, Subscribe, Verb};

fn broker_with_queue() -> Broker {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    broker
}

#[test]
fn a_message_reaches_its_consumer_once_and_is_gone_when_accepted() {
    let mut broker = broker_with_queue();
    broker.publish_all(1, 1, ["a"]);
    broker.open(2);
    broker.subscribe(2, 7, &["queue://Q"], 10);
    let got = broker.got(2);
    assert_eq!(got.len(), 1);
    assert_eq!((got[0].text.as_str(), got[0].subscription, got[0].redelivered), ("a", 7, false));
    broker.accept(2, &got[0]);
    assert_eq!(broker.store.durable_entries(), 0);
    assert_eq!(broker.engine.stats().messages, 0);
    broker.close(2);
    broker.open(3);
    broker.subscribe(3, 1, &["queue://Q"], 10);
    assert!(broker.got(3).is_empty());
}

#[test]
fn a_persistent_message_is_neither_delivered_nor_confirmed_before_it_is_committed() {
    let mut broker = broker_with_queue();
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    broker.auto_commit = false;
    let token = broker.publish(1, 1, draft("a"));
    assert_eq!(broker.answer(1, token), None);
    assert!(broker.got(2).is_empty());
    broker.submit().unwrap();
    broker.serve();
    assert_eq!(broker.answer(1, token), None);
    broker.sync(1);
    broker.serve();
    assert_eq!(broker.answer(1, token), Some(Reaction::Done));
    assert_eq!(broker.texts(2), ["a"]);
}

#[test]
fn a_message_that_is_not_persistent_goes_through_at_once_and_never_to_the_store() {
    let mut broker = broker_with_queue();
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    broker.auto_commit = false;
    let token = broker.publish(1, 1, crate::broker::Draft { persistent: false, ..draft("a") });
    assert_eq!(broker.answer(1, token), Some(Reaction::Done));
    assert_eq!(broker.texts(2), ["a"]);
    broker.commit();
    assert_eq!(broker.store.durable_entries() + broker.store.temporary_entries(), 0);
}

#[test]
fn answers_come_in_the_order_of_the_requests_also_when_a_later_one_needs_no_commit() {
    let mut broker = broker_with_queue();
    broker.auto_commit = false;
    let first = broker.publish(1, 1, draft("a"));
    let second = broker.publish(1, 1, crate::broker::Draft { persistent: false, ..draft("b") });
    assert!(broker.replies.get(&1).is_none_or(|replies| replies.is_empty()));
    broker.commit();
    let order: Vec<u64> = broker.replies[&1].iter().map(|reply| reply.token).collect();
    assert_eq!(order, [first, second]);
}

#[test]
fn competing_consumers_are_served_in_turn() {
    let mut broker = broker_with_queue();
    broker.open(2);
    broker.open(3);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    broker.subscribe(3, 1, &["queue://Q"], 10);
    broker.publish_all(1, 1, ["a", "b", "c", "d"]);
    assert_eq!(broker.texts(2), ["a", "c"]);
    assert_eq!(broker.texts(3), ["b", "d"]);
}

#[test]
fn a_consumer_of_higher_priority_is_served_while_it_has_credit() {
    let mut broker = broker_with_queue();
    broker.open(2);
    broker.open(3);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    broker.subscribe_with(3, 1, Subscribe { priority: 5, credit: 2, ..subscribe(&["queue://Q"]) });
    broker.publish_all(1, 1, ["a", "b", "c"]);
    assert_eq!(broker.texts(3), ["a", "b"]);
    assert_eq!(broker.texts(2), ["c"]);
}

#[test]
fn an_exclusive_consumer_is_served_alone_and_the_next_one_after_it() {
    let mut broker = broker_with_queue();
    for session in [2, 3, 4] {
        broker.open(session);
    }
    broker.subscribe(2, 1, &["queue://Q"], 10);
    broker.subscribe_with(3, 1, Subscribe { exclusive: true, ..subscribe(&["queue://Q"]) });
    broker.subscribe_with(4, 1, Subscribe { exclusive: true, ..subscribe(&["queue://Q"]) });
    broker.publish_all(1, 1, ["a", "b"]);
    assert_eq!((broker.texts(2).len(), broker.texts(4).len()), (0, 0));
    assert_eq!(broker.texts(3), ["a", "b"]);
    broker.close(3);
    assert_eq!(broker.texts(4), ["a", "b"]);
    broker.close(4);
    assert_eq!(broker.texts(2), ["a", "b"]);
}

#[test]
fn the_prefetch_window_bounds_what_is_in_flight_and_settling_moves_it_on() {
    let mut broker = broker_with_queue();
    broker.publish_all(1, 1, ["a", "b", "c", "d"]);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 2);
    let got = broker.got(2);
    assert_eq!(got.len(), 2);
    broker.accept(2, &got[1]);
    assert_eq!(broker.texts(2), ["c"]);
    broker.accept(2, &got[0]);
    assert_eq!(broker.texts(2), ["d"]);
}

#[test]
fn link_credit_is_used_up_and_only_given_anew() {
    let mut broker = broker_with_queue();
    broker.publish_all(1, 1, ["a", "b", "c"]);
    broker.open(2);
    broker.subscribe_with(2, 1, Subscribe { link_credit: true, credit: 1, ..subscribe(&["queue://Q"]) });
    let got = broker.got(2);
    broker.accept(2, &got[0]);
    assert!(broker.got(2).is_empty());
    broker.done(2, 1, 0, Verb::Credit { amount: 2, set: false, drain: false });
    assert_eq!(broker.texts(2), ["b", "c"]);
}

#[test]
fn higher_priorities_are_delivered_first() {
    let mut broker = broker_with_queue();
    for (text, priority) in [("low", 0), ("normal", 4), ("high", 9), ("high2", 9)] {
        broker.publish(1, 1, crate::broker::Draft { priority, ..draft(text) });
    }
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    assert_eq!(broker.texts(2), ["high", "high2", "normal", "low"]);
}

#[test]
fn ranges_cumulative_and_session_wide_settles_take_what_they_say() {
    let mut broker = broker_with_queue();
    broker.publish_all(1, 1, ["a", "b", "c", "d", "e"]);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 3);
    broker.subscribe(2, 2, &["queue://Q"], 100);
    let got = broker.got(2);
    assert_eq!(got.len(), 5);
    let settle = |range| Verb::Settle(Settle { range, outcome: Outcome::Accept });
    broker.done(2, 1, 0, settle(SettleRange::Tags { first: 2, last: 2 }));
    assert_eq!(broker.engine.stats().messages, 4);
    assert_eq!(
        broker.ask(2, 1, 0, settle(SettleRange::Tags { first: 2, last: 2 })),
        Reaction::Refused(Reason::NotFound)
    );
    broker.done(2, 1, 0, settle(SettleRange::UpTo(3)));
    assert_eq!(broker.engine.stats().messages, 2);
    broker.done(2, 0, 0, settle(SettleRange::SessionUpTo(5)));
    assert_eq!((broker.engine.stats().messages, broker.store.durable_entries()), (0, 0));
}

#[test]
fn selectors_give_each_consumer_its_own_and_leave_the_rest_waiting() {
    let mut broker = broker_with_queue();
    for (text, color) in [("1", "red"), ("2", "blue"), ("3", "green"), ("4", "red")] {
        broker.publish(1, 1, crate::broker::Draft { color: Some(color), ..draft(text) });
    }
    broker.open(2);
    let red = Subscribe { selector: Some("color = 'red'".into()), ..subscribe(&["queue://Q"]) };
    broker.subscribe_with(2, 1, red);
    assert_eq!(broker.texts(2), ["1", "4"]);
    let blue = Subscribe { selector: Some("color = 'blue'".into()), ..subscribe(&["queue://Q"]) };
    broker.subscribe_with(2, 2, blue);
    assert_eq!(broker.texts(2), ["2"]);
    broker.publish(1, 1, crate::broker::Draft { color: Some("red"), ..draft("5") });
    broker.publish(1, 1, crate::broker::Draft { color: Some("black"), ..draft("6") });
    assert_eq!(broker.texts(2), ["5"]);
    broker.open(3);
    broker.subscribe(3, 1, &["queue://Q"], 10);
    assert_eq!(broker.texts(3), ["3", "6"]);
}

#[test]
fn a_released_message_is_offered_again_to_the_selector_that_wants_it() {
    let mut broker = broker_with_queue();
    broker.open(2);
    broker.open(3);
    let red = Subscribe { selector: Some("color = 'red'".into()), ..subscribe(&["queue://Q"]) };
    broker.subscribe_with(2, 1, red.clone());
    broker.publish(1, 1, crate::broker::Draft { color: Some("red"), ..draft("1") });
    let got = broker.got(2);
    broker.subscribe_with(3, 1, red);
    broker.close(2);
    let again = broker.got(3);
    assert_eq!((again[0].text.as_str(), again[0].redelivered), ("1", true));
    assert_eq!(got.len(), 1);
}

#[test]
fn a_bad_selector_is_refused_with_its_own_reason() {
    let mut broker = broker_with_queue();
    let bad = Subscribe { selector: Some("color = = 1".into()), ..subscribe(&["queue://Q"]) };
    assert_eq!(broker.ask(1, 1, 0, Verb::Subscribe(Box::new(bad))), Reaction::Refused(Reason::BadSelector));
}

#[test]
fn a_pattern_of_queues_joins_those_that_exist_and_those_that_come() {
    let mut broker = broker_with_queue();
    broker.produce(1, 2, &["queue://orders.eu"]);
    broker.publish_all(1, 2, ["old"]);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://orders.*"], 10);
    broker.produce(1, 3, &["queue://orders.us"]);
    broker.publish_all(1, 3, ["new"]);
    broker.publish_all(1, 1, ["other"]);
    assert_eq!(broker.texts(2), ["old", "new"]);
}

#[test]
fn a_composite_reaches_all_its_destinations_with_one_stored_body() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["queue://A", "queue://B", "queue://A"]);
    broker.publish_all(1, 1, ["m"]);
    assert_eq!((broker.store.durable_entries(), broker.store.durable_records()), (2, 1));
    broker.open(2);
    broker.subscribe(2, 1, &["queue://A", "queue://B"], 10);
    assert_eq!(broker.texts(2), ["m", "m"]);
}

#[test]
fn wildcards_are_refused_where_messages_go() {
    let mut broker = Broker::new();
    broker.open(1);
    for name in ["queue://a.*", "topic://#"] {
        let attach =
            sabir_model::verb::Attach { destinations: crate::broker::parse(&[name]), producer_name: None };
        assert_eq!(broker.ask(1, 1, 0, Verb::Attach(Box::new(attach))), Reaction::Refused(Reason::Invalid));
    }
}

#[test]
fn a_browser_sees_what_waits_in_order_and_then_its_end_and_takes_nothing() {
    let mut broker = broker_with_queue();
    broker.publish_all(1, 1, ["a", "b", "c"]);
    broker.publish(1, 1, crate::broker::Draft { persistent: false, ..draft("d") });
    broker.open(2);
    let browse = Subscribe { browse: true, credit: 3, ..subscribe(&["queue://Q"]) };
    broker.subscribe_with(2, 1, browse);
    let got = broker.got(2);
    assert_eq!(got.iter().map(|got| got.text.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    broker.publish_all(1, 1, ["later"]);
    for one in &got {
        broker.accept(2, one);
    }
    let rest: Vec<_> = broker.deliveries.remove(&2).unwrap().into_iter().collect();
    assert!(matches!(rest[0].kind, DeliveryKind::Message { .. }));
    assert!(matches!(rest[1].kind, DeliveryKind::EndOfBrowse));
    assert_eq!(rest.len(), 2);
    assert_eq!(broker.engine.stats().messages, 5);
}

#[test]
fn a_non_destructive_queue_shows_all_messages_to_all_consumers_and_keeps_them() {
    let policy = sabir_engine::Policy { non_destructive: true, ..sabir_engine::Policy::default() };
    let config = sabir_engine::Config {
        policies: vec![sabir_engine::PolicyRule::new("Q", policy).unwrap()],
        ..sabir_engine::Config::default()
    };
    let mut broker = Broker::with(config);
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    broker.publish_all(1, 1, ["a"]);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    broker.publish_all(1, 1, ["b"]);
    let got = broker.got(2);
    assert_eq!(got.iter().map(|got| got.text.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    broker.accept(2, &got[0]);
    broker.open(3);
    broker.subscribe(3, 1, &["queue://Q"], 10);
    assert_eq!(broker.texts(3), ["a", "b"]);
}

#[test]
fn what_an_unsubscribed_consumer_had_goes_to_the_others() {
    let mut broker = broker_with_queue();
    broker.open(2);
    broker.open(3);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    broker.publish_all(1, 1, ["a", "b"]);
    assert_eq!(broker.texts(2), ["a", "b"]);
    broker.subscribe(3, 1, &["queue://Q"], 10);
    broker.done(2, 1, 0, Verb::Unsubscribe { forget: false });
    let again = broker.got(3);
    assert_eq!(
        again.iter().map(|got| (got.text.as_str(), got.count)).collect::<Vec<_>>(),
        [("a", 0), ("b", 0)]
    );
    assert!(again[0].redelivered);
}

#[test]
fn removals_of_many_consumers_are_few_operations() {
    let mut broker = broker_with_queue();
    let texts: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    broker.publish_all(1, 1, texts.iter().map(String::as_str));
    broker.auto_commit = false;
    for session in [2, 3, 4] {
        broker.open(session);
        broker.subscribe(session, 1, &["queue://Q"], 1_000);
    }
    // The first consumer has everything; it gives it back, and all share it.
    broker.done(2, 1, 0, Verb::Unsubscribe { forget: false });
    for session in [3, 4] {
        let settle = Settle { range: SettleRange::UpTo(u64::MAX), outcome: Outcome::Accept };
        broker.send(session, 1, 0, Verb::Settle(settle));
    }
    let before = broker.store.removals;
    broker.commit();
    assert_eq!(broker.store.removals - before, 1);
    assert_eq!(broker.store.durable_entries(), 0);
}

#[test]
fn a_removed_queue_cancels_its_consumers_and_leaves_nothing_in_the_store() {
    let mut broker = broker_with_queue();
    broker.publish_all(1, 1, ["a", "b"]);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 1);
    broker.got(2);
    let delete = sabir_model::verb::Delete {
        destination: Some(Destination::queue("Q").unwrap()),
        subscription_name: None,
        if_empty: false,
        if_unused: false,
    };
    broker.done(1, 0, 0, Verb::Delete(Box::new(delete)));
    let cancelled = broker.deliveries.remove(&2).unwrap();
    assert!(matches!(cancelled[0].kind, DeliveryKind::Cancelled { .. }));
    assert_eq!(broker.store.durable_entries(), 0);
    assert_eq!(broker.store.keys.keys().filter(|key| key.starts_with(b"e\x10")).count(), 0);
    assert_eq!(broker.engine.stats().resident_bytes, 0);
    // It is made again by use, and starts anew.
    broker.publish_all(1, 1, ["c"]);
    broker.open(3);
    broker.subscribe(3, 1, &["queue://Q"], 10);
    assert_eq!(broker.texts(3), ["c"]);
}

#[test]
fn a_list_counts_and_an_explanation_names_the_reason() {
    let mut broker = broker_with_queue();
    broker.publish_all(1, 1, ["a"]);
    let all = Destination::queue("#").unwrap();
    assert_eq!(broker.ask(1, 0, 0, Verb::Query(Box::new(Query::List(all)))), Reaction::Told("1".into()));
    let queue = Destination::queue("Q").unwrap();
    let Reaction::Told(text) = broker.ask(1, 0, 0, Verb::Query(Box::new(Query::Explain(queue)))) else {
        panic!("no explanation")
    };
    assert_eq!(text, "1 messages wait, and nobody consumes");
}

#[test]
fn a_stuck_delivery_does_not_make_the_window_grow_for_ever() {
    let mut broker = broker_with_queue();
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 2);
    broker.publish_all(1, 1, ["stuck"]);
    assert_eq!(broker.texts(2), ["stuck"]);
    for round in 0..1_000 {
        broker.publish_all(1, 1, [round.to_string().as_str()]);
        let got = broker.got(2);
        assert_eq!(got.len(), 1);
        broker.accept(2, &got[0]);
    }
    assert_eq!(broker.settle(2, 1, 1, Outcome::Accept), Reaction::Done);
    assert_eq!(broker.engine.stats().messages, 0);
}
