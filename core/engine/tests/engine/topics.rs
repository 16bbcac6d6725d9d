// SPDX-License-Identifier: Apache-2.0
//! Topics, subscriptions, exchanges and temporary destinations.

use crate::broker::{Broker, Draft, Reaction, draft, parse, subscribe};
use sabir_model::verb::{Attach, Bind, Declare, Delete, ExchangeKind, Reason, Subscribe, Transact, Verb};
use sabir_model::{Destination, DestinationKind};

fn durable(topic: &str, name: &str) -> Subscribe {
    Subscribe { durable: true, name: Some(name.into()), ..subscribe(&[topic]) }
}

#[test]
fn every_subscription_of_a_topic_gets_every_message_and_nobody_none() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["topic://T"]);
    broker.publish_all(1, 1, ["nobody hears this"]);
    for session in [2, 3] {
        broker.open(session);
        broker.subscribe(session, 1, &["topic://T"], 10);
    }
    broker.publish_all(1, 1, ["a"]);
    assert_eq!((broker.texts(2), broker.texts(3)), (vec!["a".to_owned()], vec!["a".to_owned()]));
    assert_eq!(broker.store.durable_entries(), 0);
    broker.close(2);
    assert_eq!(broker.engine.stats().queues, 1);
}

#[test]
fn wildcards_selectors_and_no_local_decide_what_a_subscription_gets() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["topic://price.eu.gold"]);
    broker.open(2);
    broker.produce(2, 1, &["topic://price.us"]);
    broker.subscribe(2, 1, &["topic://price.#"], 10);
    broker.subscribe(2, 2, &["topic://price.*"], 10);
    let red = Subscribe { selector: Some("color = 'red'".into()), ..subscribe(&["topic://price.#"]) };
    broker.subscribe_with(2, 3, red);
    let foreign = Subscribe { no_local: true, ..subscribe(&["topic://price.#", "topic://price.us"]) };
    broker.subscribe_with(2, 4, foreign);
    broker.publish(1, 1, Draft { color: Some("red"), ..draft("gold") });
    broker.publish(2, 1, draft("us"));
    let mut got: Vec<(u64, String)> =
        broker.got(2).into_iter().map(|got| (got.subscription, got.text)).collect();
    got.sort();
    let expected = [(1, "gold"), (1, "us"), (2, "us"), (3, "gold"), (4, "gold")];
    assert_eq!(got, expected.map(|(id, text)| (id, text.to_owned())));
}

/// What a subscription that wants nothing of its own gets of messages that are put off, from itself and from another.
fn delayed_without_local(
    wanted: &Subscribe,
    client_ids: [Option<&str>; 2],
    in_transaction: bool,
) -> Vec<String> {
    let mut broker = Broker::new();
    for (session, client_id) in (1..).zip(client_ids) {
        broker.open_as(session, client_id);
        broker.produce(session, 1, &["topic://T"]);
    }
    broker.subscribe_with(1, 1, Subscribe { no_local: true, ..wanted.clone() });
    let deliver_at_ms = broker.now.unix_ms + 120_000;
    for (session, text) in [(1, "own"), (2, "other")] {
        let message = Draft { deliver_at_ms, ..draft(text) }.message();
        let transaction = u64::from(in_transaction);
        if in_transaction {
            broker.transact(session, transaction, Transact::Begin);
        }
        broker.done(session, 1, transaction, Verb::Publish(message));
        if in_transaction {
            broker.transact(session, transaction, Transact::Commit);
        }
    }
    broker.pass(130_000);
    broker.texts(1)
}

#[test]
fn delayed_messages_do_not_come_back_to_a_subscription_that_wants_nothing_of_its_own() {
    let passing = subscribe(&["topic://T"]);
    let kept = durable("topic://T", "sub");
    for in_transaction in [false, true] {
        assert_eq!(delayed_without_local(&passing, [None, None], in_transaction), ["other"]);
        assert_eq!(delayed_without_local(&kept, [Some("a"), Some("b")], in_transaction), ["other"]);
        // Of a durable subscription all that has its client id is its own.
        assert!(delayed_without_local(&kept, [Some("a"), Some("a")], in_transaction).is_empty());
    }
}

#[test]
fn who_sent_a_delayed_message_is_known_after_a_crash_by_its_client_id() {
    let mut broker = Broker::new();
    broker.open_as(1, Some("a"));
    broker.subscribe_with(1, 1, Subscribe { no_local: true, ..durable("topic://T", "sub") });
    broker.produce(1, 1, &["topic://T"]);
    let deliver_at_ms = broker.now.unix_ms + 120_000;
    broker.publish(1, 1, Draft { deliver_at_ms, ..draft("own") });
    let mut broker = broker.crash(0);
    // Another session of the number that the sender's had is not the sender.
    broker.open_as(1, Some("b"));
    let passing = Subscribe { no_local: true, ..subscribe(&["topic://T"]) };
    broker.subscribe_with(1, 1, passing);
    broker.open_as(2, Some("a"));
    broker.subscribe_with(2, 1, Subscribe { no_local: true, ..durable("topic://T", "sub") });
    broker.pass(130_000);
    assert_eq!((broker.texts(1), broker.texts(2).len()), (vec!["own".to_owned()], 0));
}

#[test]
fn no_local_says_nothing_of_queues() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    broker.subscribe_with(1, 1, Subscribe { no_local: true, ..subscribe(&["queue://Q"]) });
    broker.publish_all(1, 1, ["own"]);
    assert_eq!(broker.texts(1), ["own"]);
}

#[test]
fn a_durable_subscription_collects_while_its_consumer_is_away_and_through_a_crash() {
    let mut broker = Broker::new();
    broker.open_as(1, Some("client"));
    broker.subscribe_with(1, 1, durable("topic://T", "sub"));
    broker.close(1);
    broker.open(2);
    broker.produce(2, 1, &["topic://T"]);
    broker.publish_all(2, 1, ["a", "b"]);
    let mut broker = broker.crash(0);
    broker.open_as(3, Some("client"));
    broker.subscribe_with(3, 1, durable("topic://T", "sub"));
    assert_eq!(broker.texts(3), ["a", "b"]);
    broker.open_as(4, Some("client"));
    let second = Verb::Subscribe(Box::new(durable("topic://T", "sub")));
    assert_eq!(broker.ask(4, 1, 0, second), Reaction::Refused(Reason::Conflict));
    broker.done(3, 1, 0, Verb::Unsubscribe { forget: true });
    assert_eq!((broker.engine.stats().queues, broker.store.durable_entries()), (0, 0));
}

#[test]
fn one_body_is_stored_for_all_durable_subscriptions() {
    let mut broker = Broker::new();
    broker.open_as(1, Some("client"));
    for id in 1..=5 {
        broker.subscribe_with(1, id, durable("topic://T", &format!("sub{id}")));
    }
    broker.open(2);
    broker.produce(2, 1, &["topic://T"]);
    broker.publish_all(2, 1, ["a"]);
    assert_eq!((broker.store.durable_entries(), broker.store.durable_records()), (5, 1));
    let got = broker.got(1);
    assert_eq!(got.len(), 5);
    for one in &got[..4] {
        broker.accept(1, one);
    }
    assert_eq!((broker.store.durable_entries(), broker.store.durable_records()), (1, 1));
}

#[test]
fn another_selector_makes_another_durable_subscription_of_the_same_name() {
    let mut broker = Broker::new();
    broker.open_as(1, Some("client"));
    broker.subscribe_with(1, 1, durable("topic://T", "sub"));
    broker.produce(1, 1, &["topic://T"]);
    broker.done(1, 1, 0, Verb::Unsubscribe { forget: false });
    broker.publish_all(1, 1, ["old"]);
    let other = Subscribe { selector: Some("color = 'red'".into()), ..durable("topic://T", "sub") };
    broker.subscribe_with(1, 1, other);
    assert!(broker.got(1).is_empty());
}

#[test]
fn consumers_of_a_shared_subscription_share_its_messages() {
    let mut broker = Broker::new();
    let shared = Subscribe { shared: true, ..durable("topic://T", "sub") };
    for session in [1, 2] {
        broker.open(session);
        broker.subscribe_with(session, 1, shared.clone());
    }
    broker.produce(1, 1, &["topic://T"]);
    broker.publish_all(1, 1, ["a", "b"]);
    assert_eq!((broker.texts(1), broker.texts(2)), (vec!["a".to_owned()], vec!["b".to_owned()]));
}

#[test]
fn a_shared_subscription_that_belongs_to_no_client_is_not_lost_to_another_of_its_name() {
    let mut broker = Broker::new();
    let shared = Subscribe { shared: true, ..durable("topic://T", "sub") };
    broker.open(1);
    broker.open(2);
    broker.subscribe_with(1, 1, shared.clone());
    broker.produce(2, 1, &["topic://T"]);
    let others = [
        Subscribe { shared: true, ..durable("topic://U", "sub") },
        Subscribe { selector: Some("color = 'red'".into()), ..shared.clone() },
    ];
    let conflict = Reaction::Refused(Reason::Conflict);
    for in_use in [true, false] {
        if !in_use {
            broker.close(1);
            broker.publish_all(2, 1, ["kept"]);
        }
        for other in &others {
            assert_eq!(broker.ask(2, 1, 0, Verb::Subscribe(Box::new(other.clone()))), conflict);
        }
    }
    broker.subscribe_with(2, 1, shared);
    assert_eq!(broker.texts(2), ["kept"]);
}

#[test]
fn a_durable_and_a_passing_shared_subscription_of_one_name_are_two_also_after_a_crash() {
    let mut broker = Broker::new();
    let of = |durable_one| Subscribe { shared: true, durable: durable_one, ..durable("topic://T", "sub") };
    let begin = |broker: &mut Broker| {
        for (session, durable_one) in [(1, true), (2, false), (3, true), (4, false)] {
            broker.open_as(session, None);
            broker.subscribe_with(session, 1, of(durable_one));
        }
        broker.produce(1, 1, &["topic://T"]);
    };
    begin(&mut broker);
    broker.publish_all(1, 1, ["a", "b"]);
    let got = [1, 3, 2, 4].map(|session| broker.texts(session));
    assert_eq!(got, ["a", "b", "a", "b"].map(|text| vec![text.to_owned()]));
    // The passing one goes with its last consumer; the durable one stays.
    for session in 1..=4 {
        broker.close(session);
    }
    assert_eq!(broker.engine.stats().queues, 1);
    let mut broker = broker.crash(0);
    begin(&mut broker);
    broker.publish_all(1, 1, ["c"]);
    let durable: Vec<String> = [1, 3].into_iter().flat_map(|session| broker.texts(session)).collect();
    let passing: Vec<String> = [2, 4].into_iter().flat_map(|session| broker.texts(session)).collect();
    assert_eq!((durable.len(), passing), (3, vec!["c".to_owned()]));
    // By name the durable one is meant.
    for session in [1, 3] {
        broker.close(session);
    }
    broker.open(5);
    broker.done(5, 0, 0, delete_subscription("sub"));
    broker.produce(5, 1, &["topic://T"]);
    broker.publish_all(5, 1, ["d"]);
    assert_eq!(broker.texts(2).len() + broker.texts(4).len(), 1);
    assert_eq!(broker.engine.stats().queues, 1);
}

fn delete_subscription(name: &str) -> Verb {
    Verb::Delete(Box::new(Delete {
        destination: None,
        subscription_name: Some(name.into()),
        if_empty: false,
        if_unused: false,
    }))
}

#[test]
fn a_durable_subscription_of_a_client_changes_its_topic_only_while_nobody_uses_it() {
    let mut broker = Broker::new();
    broker.open_as(1, Some("client"));
    broker.open_as(2, Some("client"));
    broker.produce(2, 1, &["topic://U"]);
    let of = |topic: &str| Subscribe { shared: true, ..durable(topic, "sub") };
    broker.subscribe_with(1, 1, of("topic://T"));
    let changed = || Verb::Subscribe(Box::new(of("topic://U")));
    assert_eq!(broker.ask(2, 1, 0, changed()), Reaction::Refused(Reason::Conflict));
    broker.done(1, 1, 0, Verb::Unsubscribe { forget: false });
    // One that is shared and one that is not cannot have the same name.
    let alone = Verb::Subscribe(Box::new(durable("topic://U", "sub")));
    assert_eq!(broker.ask(2, 1, 0, alone), Reaction::Refused(Reason::Conflict));
    broker.done(2, 1, 0, changed());
    broker.publish_all(2, 1, ["new"]);
    assert_eq!(broker.texts(2), ["new"]);
}

#[test]
fn a_durable_subscription_is_deleted_by_its_name_and_client() {
    let mut broker = Broker::new();
    broker.open_as(1, Some("client"));
    broker.subscribe_with(1, 1, durable("topic://T", "sub"));
    let delete = |name: &str| {
        Verb::Delete(Box::new(Delete {
            destination: None,
            subscription_name: Some(name.into()),
            if_empty: false,
            if_unused: false,
        }))
    };
    assert_eq!(broker.ask(1, 0, 0, delete("sub")), Reaction::Refused(Reason::Conflict));
    broker.done(1, 1, 0, Verb::Unsubscribe { forget: false });
    broker.open_as(2, Some("other"));
    assert_eq!(broker.ask(2, 0, 0, delete("sub")), Reaction::Refused(Reason::NotFound));
    broker.done(1, 0, 0, delete("sub"));
}

#[test]
fn a_temporary_queue_is_consumed_by_its_owner_only_and_goes_with_it() {
    let mut broker = Broker::new();
    broker.open(1);
    assert_eq!(broker.declare(1, "temp-queue://t1"), Reaction::Told("t1".into()));
    broker.open(2);
    broker.produce(2, 1, &["temp-queue://t1"]);
    broker.publish_all(2, 1, ["reply"]);
    let thief = Verb::Subscribe(Box::new(subscribe(&["temp-queue://t1"])));
    assert_eq!(broker.ask(2, 9, 0, thief), Reaction::Refused(Reason::Forbidden));
    assert_eq!(broker.declare(2, "temp-queue://t1"), Reaction::Refused(Reason::Conflict));
    broker.subscribe(1, 1, &["temp-queue://t1"], 10);
    assert_eq!(broker.texts(1), ["reply"]);
    assert_eq!(broker.store.durable_entries(), 0);
    broker.close(1);
    let token = broker.publish(2, 1, draft("late"));
    assert_eq!(broker.answer(2, token), Some(Reaction::Refused(Reason::NotFound)));
}

#[test]
fn a_temporary_topic_is_consumed_by_its_owner_only_and_goes_with_it() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.declare(1, "temp-topic://t1");
    broker.subscribe(1, 1, &["temp-topic://t1"], 10);
    broker.open(2);
    broker.produce(2, 1, &["temp-topic://t1"]);
    broker.publish_all(2, 1, ["reply"]);
    assert_eq!(broker.texts(1), ["reply"]);
    let thief = Verb::Subscribe(Box::new(subscribe(&["temp-topic://t1"])));
    assert_eq!(broker.ask(2, 9, 0, thief), Reaction::Refused(Reason::Forbidden));
    broker.close(1);
    let token = broker.publish(2, 1, draft("late"));
    assert_eq!(broker.answer(2, token), Some(Reaction::Refused(Reason::NotFound)));
}

pub fn exchange(broker: &mut Broker, name: &str, kind: ExchangeKind) {
    let declare = Declare {
        destination: Destination::new(DestinationKind::Exchange, name).unwrap(),
        exchange_kind: Some(kind),
        durable: true,
        auto_delete: false,
        exclusive: false,
        passive: false,
    };
    broker.done(1, 0, 0, Verb::Declare(Box::new(declare)));
}

pub fn bind(source: &str, target: &str, key: &str, selector: Option<&str>) -> Verb {
    Verb::Bind(Box::new(Bind {
        source: Destination::parse(source).unwrap(),
        target: Destination::parse(target).unwrap(),
        key: key.into(),
        selector: selector.map(str::to_owned),
    }))
}

#[test]
fn who_takes_from_several_queues_is_told_from_which_a_message_comes() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["queue://A.x", "queue://A.y", "queue://B"]);
    broker.publish_all(1, 1, ["m"]);
    broker.subscribe(1, 1, &["queue://A.#"], 10);
    let queues = |got: &[crate::broker::Got]| -> Vec<Vec<(u16, String)>> {
        got.iter()
            .map(|one| {
                let fields = sabir_model::fields::iter(&one.label).map(Result::unwrap);
                fields.map(|(field, value)| (field, String::from_utf8(value.to_vec()).unwrap())).collect()
            })
            .collect()
    };
    let from = |queue: &str| vec![(sabir_model::fields::LABEL_QUEUE, format!("queue://{queue}"))];
    assert_eq!(queues(&broker.got(1)), [from("A.x"), from("A.y")]);
    broker.subscribe(1, 2, &["queue://B"], 10);
    assert_eq!(queues(&broker.got(1)), [Vec::new()]);
}

#[test]
fn exchanges_route_by_key_pattern_and_condition_also_after_a_crash() {
    let mut broker = Broker::new();
    broker.open(1);
    exchange(&mut broker, "direct", ExchangeKind::Direct);
    exchange(&mut broker, "topic", ExchangeKind::Topic);
    exchange(&mut broker, "fanout", ExchangeKind::Fanout);
    exchange(&mut broker, "headers", ExchangeKind::Headers);
    broker.done(1, 0, 0, bind("exchange://direct", "queue://D", "key", None));
    broker.done(1, 0, 0, bind("exchange://topic", "queue://T", "a.*", None));
    broker.done(1, 0, 0, bind("exchange://headers", "queue://H", "", Some("color = 'red'")));
    broker.done(1, 0, 0, bind("exchange://fanout", "exchange://topic", "", None));
    broker.done(1, 0, 0, bind("exchange://fanout", "exchange://direct", "", None));
    // A circle is no harm.
    broker.done(1, 0, 0, bind("exchange://topic", "exchange://fanout", "#", None));
    let mut broker = broker.crash(0);
    broker.open(1);
    let mut send = |destination: &str, color: &str| {
        broker.produce(1, 1, &[destination]);
        let token = broker.publish(1, 1, Draft { color: Some(color), ..draft("m") });
        let reaction = broker.answer(1, token).unwrap();
        let list = |name: &str| {
            let verb = Verb::Subscribe(Box::new(subscribe(&[name])));
            Verb::clone(&verb)
        };
        let mut counts = Vec::new();
        for name in ["queue://D", "queue://T", "queue://H"] {
            broker.done(1, 7, 0, list(name));
            let got = broker.got(1);
            for one in &got {
                broker.accept(1, one);
            }
            counts.push(got.len());
            broker.done(1, 7, 0, Verb::Unsubscribe { forget: false });
        }
        (reaction, counts)
    };
    assert_eq!(send("exchange://direct/key", "red"), (Reaction::Done, vec![1, 0, 0]));
    assert_eq!(send("exchange://topic/a.b", "red"), (Reaction::Done, vec![0, 1, 0]));
    assert_eq!(send("exchange://headers", "red"), (Reaction::Done, vec![0, 0, 1]));
    assert_eq!(send("exchange://fanout/a.key", "red"), (Reaction::Done, vec![0, 1, 0]));
    assert_eq!(send("exchange://default/D", "red"), (Reaction::Done, vec![1, 0, 0]));
    let nowhere = Reaction::Refused(Reason::NotFound);
    assert_eq!(send("exchange://headers", "blue"), (nowhere.clone(), vec![0, 0, 0]));
    assert_eq!(send("exchange://direct/other", "red"), (nowhere, vec![0, 0, 0]));
}

#[test]
fn a_topic_bound_to_a_queue_fills_it() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.done(1, 0, 0, bind("topic://VirtualTopic.orders", "queue://Consumer.a.orders", "", None));
    broker.produce(1, 1, &["topic://VirtualTopic.orders"]);
    broker.publish_all(1, 1, ["m"]);
    broker.subscribe(1, 1, &["queue://Consumer.a.orders"], 10);
    assert_eq!(broker.texts(1), ["m"]);
    let unbind = Bind {
        source: Destination::topic("VirtualTopic.orders").unwrap(),
        target: Destination::queue("Consumer.a.orders").unwrap(),
        key: String::new(),
        selector: None,
    };
    broker.done(1, 0, 0, Verb::Unbind(Box::new(unbind)));
    broker.publish_all(1, 1, ["n"]);
    assert!(broker.texts(1).is_empty());
}

#[test]
fn virtual_hosts_share_nothing() {
    let config =
        sabir_engine::Config { virtual_hosts: vec!["other".into()], ..sabir_engine::Config::default() };
    let mut broker = Broker::with(config);
    broker.open(1);
    let client = sabir_engine::Client { virtual_host: "other".into(), ..Default::default() };
    let session = sabir_model::SessionId(2);
    broker.input(sabir_engine::Input::Open { session, client });
    broker.produce(1, 1, &["queue://Q"]);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    broker.publish_all(1, 1, ["m"]);
    assert!(broker.texts(2).is_empty());
    let client = sabir_engine::Client { virtual_host: "none".into(), ..Default::default() };
    broker.input(sabir_engine::Input::Open { session: sabir_model::SessionId(3), client });
    assert_eq!(broker.out.closes.len(), 1);
}

#[test]
fn composites_are_bounded_and_never_empty() {
    let mut broker = Broker::new();
    broker.open(1);
    let many: Vec<String> = (0..101).map(|n| format!("queue://{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let attach =
        |names: &[&str]| Verb::Attach(Box::new(Attach { destinations: parse(names), producer_name: None }));
    assert_eq!(broker.ask(1, 1, 0, attach(&many)), Reaction::Refused(Reason::Limit));
    assert_eq!(broker.ask(1, 1, 0, attach(&[])), Reaction::Refused(Reason::Invalid));
}
