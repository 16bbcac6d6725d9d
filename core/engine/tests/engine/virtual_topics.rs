// SPDX-License-Identifier: Apache-2.0
//! Queues that are views of topics, by their names.

use crate::broker::{Broker, Draft, Reaction, draft, subscribe};
use sabir_engine::{Admin, Config, Limits, Policy, PolicyRule, VirtualTopic};
use sabir_model::Destination;
use sabir_model::verb::{Bind, Reason, Subscribe, Verb};

fn config_with(selector_aware: bool) -> Config {
    let rule = VirtualTopic::new("VirtualTopic.#", "Consumer.*.{topic}", selector_aware).unwrap();
    Config { virtual_topics: vec![rule], ..Config::default() }
}

fn broker_with(config: Config) -> Broker {
    let mut broker = Broker::with(config);
    broker.open(1);
    broker.produce(1, 1, &["topic://VirtualTopic.ORDERS"]);
    broker
}

fn broker() -> Broker {
    broker_with(config_with(false))
}

fn consume(broker: &mut Broker, session: u64, destination: &str) {
    broker.open(session);
    broker.subscribe(session, 1, &[destination], 100);
}

#[test]
fn a_queue_gets_what_is_published_to_its_topic_and_so_do_plain_subscribers() {
    let mut broker = broker();
    consume(&mut broker, 2, "queue://Consumer.A.VirtualTopic.ORDERS");
    consume(&mut broker, 3, "queue://Consumer.A.VirtualTopic.ORDERS");
    consume(&mut broker, 4, "queue://Consumer.B.VirtualTopic.ORDERS");
    consume(&mut broker, 5, "topic://VirtualTopic.ORDERS");
    consume(&mut broker, 6, "queue://Consumer.A.VirtualTopic.OTHER");
    broker.publish_all(1, 1, ["1", "2"]);
    assert_eq!((broker.texts(2), broker.texts(3)), (vec!["1".to_owned()], vec!["2".to_owned()]));
    assert_eq!((broker.texts(4).len(), broker.texts(5).len(), broker.texts(6).len()), (2, 2, 0));
}

#[test]
fn a_queue_collects_while_its_consumers_are_away_and_through_a_crash() {
    let mut broker = broker();
    assert_eq!(broker.declare(1, "queue://Consumer.A.VirtualTopic.ORDERS"), Reaction::Done);
    broker.publish_all(1, 1, ["1"]);
    let mut broker = broker.crash(0);
    broker.open(1);
    broker.produce(1, 1, &["topic://VirtualTopic.ORDERS"]);
    broker.publish_all(1, 1, ["2"]);
    consume(&mut broker, 2, "queue://Consumer.A.VirtualTopic.ORDERS");
    assert_eq!(broker.texts(2), ["1", "2"]);
}

#[test]
fn messages_can_still_be_sent_to_the_queue_itself_and_reach_it_alone() {
    let mut broker = broker();
    consume(&mut broker, 2, "queue://Consumer.A.VirtualTopic.ORDERS");
    consume(&mut broker, 3, "topic://VirtualTopic.ORDERS");
    broker.produce(1, 2, &["queue://Consumer.A.VirtualTopic.ORDERS"]);
    broker.publish_all(1, 2, ["direct"]);
    assert_eq!((broker.texts(2), broker.texts(3).len()), (vec!["direct".to_owned()], 0));
}

#[test]
fn a_consumer_with_wildcards_sees_the_topics_in_use_and_those_that_come() {
    let mut broker = broker();
    consume(&mut broker, 2, "queue://Consumer.A.VirtualTopic.#");
    broker.publish_all(1, 1, ["1"]);
    assert_eq!(broker.texts(2), ["1"]);
    broker.produce(1, 2, &["topic://VirtualTopic.PRICES.EU"]);
    broker.publish_all(1, 2, ["2"]);
    assert_eq!(broker.texts(2), ["2"]);
    // It is a queue as any other: it goes on collecting.
    broker.close(2);
    broker.publish_all(1, 2, ["3"]);
    consume(&mut broker, 3, "queue://Consumer.A.VirtualTopic.PRICES.EU");
    assert_eq!(broker.texts(3), ["2", "3"]);
}

#[test]
fn wildcards_make_no_queues_where_policy_makes_none_and_no_more_than_there_may_be() {
    let closed = Policy { auto_create: false, ..Policy::default() };
    let policies = vec![PolicyRule::new("Consumer.#", closed).unwrap()];
    let mut broker = broker_with(Config { policies, ..config_with(false) });
    consume(&mut broker, 2, "queue://Consumer.A.#");
    broker.publish_all(1, 1, ["1"]);
    assert_eq!(broker.engine.stats().queues, 0);
    let limits = Limits { max_queues: 1, ..Limits::default() };
    let mut broker = broker_with(Config { limits, ..config_with(false) });
    consume(&mut broker, 2, "queue://Consumer.A.#");
    broker.produce(1, 2, &["topic://VirtualTopic.OTHER"]);
    let token = broker.publish(1, 2, draft("2"));
    assert_eq!(broker.answer(1, token), Some(Reaction::Refused(Reason::Limit)));
}

#[test]
fn a_queue_that_minds_selectors_gets_only_what_a_consumer_of_it_wants() {
    let mut broker = broker_with(config_with(true));
    let name = "queue://Consumer.A.VirtualTopic.ORDERS";
    broker.open(2);
    let with = |text: &str| Subscribe { selector: Some(text.into()), ..subscribe(&[name]) };
    broker.subscribe_with(2, 1, with("color = 'red'"));
    broker.subscribe_with(2, 2, with("color = 'green'"));
    let send = |broker: &mut Broker| {
        for color in ["red", "green", "blue"] {
            broker.publish(1, 1, Draft { color: Some(color), ..draft(color) });
        }
        let got = broker.texts(2);
        (got, broker.engine.stats().messages - broker.engine.stats().in_flight)
    };
    assert_eq!(send(&mut broker), (vec!["red".to_owned(), "green".to_owned()], 0));
    broker.done(2, 2, 0, Verb::Unsubscribe { forget: false });
    assert_eq!(send(&mut broker).0, ["red"]);
    broker.done(2, 1, 0, Verb::Unsubscribe { forget: false });
    let before = broker.engine.stats().messages;
    send(&mut broker);
    assert_eq!(broker.engine.stats().messages, before, "nobody is there to want anything");
    broker.subscribe(2, 3, &[name], 0);
    assert_eq!(send(&mut broker).1, before + 3);
}

#[test]
fn other_rules_hold_from_when_they_are_set_and_what_clients_have_bound_stays() {
    let mut broker = broker_with(Config::default());
    broker.declare(1, "queue://Consumer.A.VirtualTopic.ORDERS");
    let bind = |target: &str| Bind {
        source: Destination::topic("VirtualTopic.ORDERS").unwrap(),
        target: Destination::queue(target).unwrap(),
        key: String::new(),
        selector: None,
    };
    broker.publish_all(1, 1, ["nobody gets this"]);
    broker.admin(Admin::Configure(Box::new(config_with(false))));
    broker.publish_all(1, 1, ["rule"]);
    let name = "Consumer.A.VirtualTopic.ORDERS";
    // Binding and unbinding it by hand changes nothing of what the rule says.
    broker.done(1, 0, 0, Verb::Bind(Box::new(bind(name))));
    broker.publish_all(1, 1, ["both"]);
    broker.done(1, 0, 0, Verb::Unbind(Box::new(bind(name))));
    let again = Verb::Unbind(Box::new(bind(name)));
    assert_eq!(broker.ask(1, 0, 0, again), Reaction::Refused(Reason::NotFound));
    broker.publish_all(1, 1, ["rule again"]);
    broker.done(1, 0, 0, Verb::Bind(Box::new(bind(name))));
    broker.admin(Admin::Configure(Box::default()));
    broker.publish_all(1, 1, ["by hand"]);
    broker.done(1, 0, 0, Verb::Unbind(Box::new(bind(name))));
    broker.publish_all(1, 1, ["nobody gets this either"]);
    consume(&mut broker, 2, &format!("queue://{name}"));
    assert_eq!(broker.texts(2), ["rule", "both", "rule again", "by hand"]);
}
