// SPDX-License-Identifier: Apache-2.0
//! Topics, subscriptions, exchanges and temporary destinations.

use crate::broker::{Broker, Draft, Reaction, draft, parse, subscribe};
use sabir_model::verb::{Attach, Bind, Declare, Delete, ExchangeKind, Reason, Subscribe, Verb};
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
fn a_durable_subscription_is_not_mixed_up_with_one_of_its_name_that_goes_with_its_consumers() {
    for first_is_durable in [true, false] {
        let mut broker = Broker::new();
        broker.open(1);
        broker.open(2);
        let of =
            |durable_one| Subscribe { shared: true, durable: durable_one, ..durable("topic://T", "sub") };
        broker.subscribe_with(1, 1, of(first_is_durable));
        let other = Verb::Subscribe(Box::new(of(!first_is_durable)));
        assert_eq!(broker.ask(2, 1, 0, other), Reaction::Refused(Reason::Conflict));
    }
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

fn exchange(broker: &mut Broker, name: &str, kind: ExchangeKind) {
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

fn bind(source: &str, target: &str, key: &str, selector: Option<&str>) -> Verb {
    Verb::Bind(Box::new(Bind {
        source: Destination::parse(source).unwrap(),
        target: Destination::parse(target).unwrap(),
        key: key.into(),
        selector: selector.map(str::to_owned),
    }))
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
