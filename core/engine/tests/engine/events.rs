// SPDX-License-Identifier: Apache-2.0
//! What the engine tells of itself on the topics that begin with `$sabir.event.`.

use crate::broker::{Broker, Draft, Reaction, draft, parse, subscribe};
use sabir_engine::{Config, Limits, Policy, PolicyRule};
use sabir_model::delivery::DeliveryKind;
use sabir_model::message::Field;
use sabir_model::property::Value;
use sabir_model::verb::{Answer, Attach, Bind, Delete, Outcome, Query, Reason, Subscribe, Verb};
use sabir_model::{Destination, Message, fields};

/// The messages that have come for a session.
fn messages(broker: &mut Broker, session: u64) -> Vec<Message> {
    let deliveries = broker.deliveries.remove(&session).unwrap_or_default();
    let message = |kind| match kind {
        DeliveryKind::Message { message, .. } => Some(message),
        _ => None,
    };
    deliveries.into_iter().filter_map(|delivery| message(delivery.kind)).collect()
}

fn text_of(head: &sabir_model::Head<'_>, name: &str) -> String {
    match head.property(name) {
        Some(Value::Text(text)) => text.to_owned(),
        _ => String::new(),
    }
}

/// Events as `topic event destination`.
fn events(broker: &mut Broker, session: u64) -> Vec<String> {
    let text = |message: &Message, name| text_of(&message.head(), name);
    messages(broker, session)
        .iter()
        .map(|message| {
            let topic = message.head().text(Field::Destination).unwrap().to_owned();
            let topic = topic.strip_prefix("topic://$sabir.event.").unwrap().to_owned();
            format!("{topic} {} {}", text(message, "event"), text(message, "destination"))
        })
        .collect()
}

/// A broker with a session 9 that listens to these topics.
fn listening(topics: &[&str]) -> Broker {
    let mut broker = Broker::new();
    broker.open(9);
    let topics: Vec<String> = topics.iter().map(|topic| format!("topic://$sabir.event.{topic}")).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    broker.subscribe(9, 1, &topics, 1_000);
    broker
}

#[test]
fn temporary_destinations_are_told_of_before_anybody_can_send_to_them() {
    let mut broker = listening(&["temp-queue", "temp-topic"]);
    broker.open(1);
    broker.auto_commit = false;
    assert_eq!(broker.declare(1, "temp-queue://t"), Reaction::Told("t".into()));
    assert_eq!(events(&mut broker, 9), ["temp-queue added temp-queue://t"]);
    broker.declare(1, "temp-topic://u");
    let delete = Delete {
        destination: Some(Destination::parse("temp-queue://t").unwrap()),
        subscription_name: None,
        if_empty: false,
        if_unused: false,
    };
    broker.done(1, 0, 0, Verb::Delete(Box::new(delete)));
    broker.close(1);
    let expected = [
        "temp-topic added temp-topic://u",
        "temp-queue removed temp-queue://t",
        "temp-topic removed temp-topic://u",
    ];
    assert_eq!(events(&mut broker, 9), expected);
}

#[test]
fn queues_topics_connections_consumers_and_producers_are_told_of() {
    let mut broker = listening(&["#"]);
    // Its own subscription to events is no news.
    assert!(events(&mut broker, 9).is_empty());
    broker.open_as(1, Some("client"));
    broker.produce(1, 1, &["queue://Q"]);
    broker.subscribe(1, 1, &["queue://Q"], 10);
    broker.produce(1, 2, &["topic://T"]);
    broker.subscribe(1, 2, &["topic://T.#"], 10);
    let expected = [
        "connection added ",
        "producer.queue.Q added queue://Q",
        "queue added queue://Q",
        "consumer.queue.Q added queue://Q",
        "topic added topic://T",
        "producer.topic.T added topic://T",
        "consumer.topic.T.# added topic://T.#",
    ];
    assert_eq!(events(&mut broker, 9), expected);
    broker.done(1, 2, 0, Verb::Detach);
    broker.close(1);
    let expected = [
        "topic removed topic://T",
        "producer.topic.T removed topic://T",
        "consumer.queue.Q removed queue://Q",
        "consumer.topic.T.# removed topic://T.#",
        "producer.queue.Q removed queue://Q",
        "connection removed ",
    ];
    assert_eq!(events(&mut broker, 9), expected);
}

#[test]
fn an_event_says_who_and_how_many() {
    let mut broker = listening(&["consumer.queue.Q"]);
    for session in [1, 2] {
        broker.open_as(session, Some(&format!("client{session}")));
        let selector = Some("color = 'red'".to_owned());
        broker.subscribe_with(session, 7, Subscribe { selector, priority: 3, ..subscribe(&["queue://Q"]) });
    }
    broker.close(1);
    let told = messages(&mut broker, 9);
    let counts: Vec<_> = told.iter().map(|message| message.head().property("consumers")).collect();
    assert_eq!(counts, [1, 2, 1].map(|count| Some(Value::Int(count))));
    let head = told[1].head();
    assert_eq!(head.property("connection"), Some(Value::Text("c2")));
    assert_eq!(head.property("client"), Some(Value::Text("client2")));
    assert_eq!(head.property("id"), Some(Value::Long(7)));
    assert_eq!(head.property("priority"), Some(Value::Byte(3)));
    assert_eq!(head.property("selector"), Some(Value::Text("color = 'red'")));
    assert!(!head.persistent() && head.timestamp_ms() > 0);
    assert_ne!(told[0].head().text(Field::Id), told[1].head().text(Field::Id));
}

fn list(broker: &mut Broker, session: u64, topic: &str) -> (String, Vec<Message>) {
    let wanted = Destination::topic(&format!("$sabir.event.{topic}")).unwrap();
    let token = broker.send(session, 0, 0, Verb::Query(Box::new(Query::List(wanted))));
    let replies = broker.replies.get_mut(&session).unwrap();
    let reply = replies.iter().find(|reply| reply.token == token).unwrap();
    let Answer::Told(told) = &reply.answer else { panic!("{reply:?}") };
    let events = fields::iter(&told.fields)
        .map(Result::unwrap)
        .map(|(number, head)| {
            assert_eq!(number, fields::number::MESSAGE);
            Message::joined(head.to_vec().into()).unwrap()
        })
        .collect();
    (told.text.clone(), events)
}

#[test]
fn whoever_comes_later_can_ask_for_the_events_that_would_tell_what_there_is() {
    let mut broker = Broker::new();
    broker.open_as(1, Some("client"));
    broker.produce(1, 1, &["queue://Q", "topic://T"]);
    broker.open(2);
    let selector = Some("color = 'red'".to_owned());
    broker.subscribe_with(2, 7, Subscribe { selector, priority: 3, ..subscribe(&["queue://Q"]) });
    broker.subscribe(1, 2, &["queue://Q"], 10);
    broker.subscribe(1, 3, &["topic://T.#"], 10);
    broker.open(9);
    broker.subscribe(9, 1, &["topic://$sabir.event.#"], 10);
    let (count, consumers) = list(&mut broker, 9, "consumer.queue.Q");
    assert_eq!((count.as_str(), consumers.len()), ("2", 2));
    let head = consumers.iter().map(Message::head).find(|head| text_of(head, "connection") == "c2").unwrap();
    assert_eq!(head.text(Field::Destination), Some("topic://$sabir.event.consumer.queue.Q"));
    assert_eq!(head.property("event"), Some(Value::Text("added")));
    assert_eq!(head.property("id"), Some(Value::Long(7)));
    assert_eq!(head.property("consumers"), Some(Value::Int(2)));
    assert_eq!(head.property("selector"), Some(Value::Text("color = 'red'")));
    for (topic, expected) in [
        ("consumer.#", 3),
        ("consumer.topic.#", 1),
        ("producer.#", 2),
        ("producer.queue.Q", 1),
        ("connection", 3),
        ("#", 8),
        ("queue", 0),
        ("consumer.queue.R", 0),
    ] {
        assert_eq!(list(&mut broker, 9, topic).1.len(), expected, "{topic}");
    }
}

#[test]
fn a_list_of_events_has_a_bound() {
    let limits = Limits { max_listed: 2, ..Limits::default() };
    let mut broker = Broker::with(Config { limits, ..Config::default() });
    (1..=5).for_each(|session| broker.open(session));
    let (count, events) = list(&mut broker, 1, "connection");
    assert_eq!((count.as_str(), events.len()), ("5", 2));
}

#[test]
fn messages_that_expire_and_become_dead_letters_are_told_of_with_their_heads() {
    for (resident_bytes, why) in [(4 << 20, "in memory"), (500, "read from the store")] {
        let policy = Policy { resident_bytes, ..Policy::default() };
        let policies = vec![PolicyRule::new("Q", policy).unwrap()];
        let mut broker = Broker::with(Config { policies, ..Config::default() });
        broker.open(9);
        let topics = ["topic://$sabir.event.expired.#", "topic://$sabir.event.dead-lettered.#"];
        broker.subscribe(9, 1, &topics, 1_000);
        broker.open(1);
        broker.produce(1, 1, &["queue://Q"]);
        let expiration_ms = broker.now.unix_ms + 10;
        let texts: Vec<String> = (0..40).map(|number| format!("late{number}")).collect();
        for text in &texts {
            broker.publish(1, 1, Draft { expiration_ms, color: Some("red"), ..draft(text) });
        }
        for _ in 0..10 {
            broker.pass(31_000);
        }
        let told = messages(&mut broker, 9);
        let of = |what: &str| -> Vec<&Message> {
            told.iter().filter(|one| text_of(&one.head(), "event") == what).collect()
        };
        assert_eq!((of("expired").len(), of("dead-lettered").len()), (40, 40), "{why}");
        assert_eq!(text_of(&of("dead-lettered")[0].head(), "cause"), "expired", "{why}");
        for one in told.iter() {
            let head = sabir_model::Head::parse(one.body()).unwrap();
            assert_eq!(head.property("color"), Some(Value::Text("red")), "{why}");
            assert_eq!(head.text(Field::Id), Some(&*text_of(&one.head(), "message_id")), "{why}");
        }
        assert_eq!(one_topic(&told), "topic://$sabir.event.expired.queue.Q", "{why}");
    }
}

fn one_topic(told: &[Message]) -> String {
    told[0].head().text(Field::Destination).unwrap().to_owned()
}

#[test]
fn what_becomes_of_events_is_no_event() {
    let policy = Policy { dead_letter_non_persistent: true, ..Policy::default() };
    let mut broker = Broker::with(Config { default_policy: policy, ..Config::default() });
    broker.open(9);
    broker.subscribe(9, 1, &["topic://$sabir.event.#"], 100);
    broker.open(1);
    let first = broker.got(9).remove(0);
    broker.settle(9, 1, first.tag, Outcome::Reject { reason: "no".into() });
    assert_eq!(broker.engine.stats().dead_lettered, 1);
    assert!(events(&mut broker, 9).iter().all(|event| !event.starts_with("dead-lettered")));
}

#[test]
fn wildcards_reach_the_brokers_own_topics_only_where_the_pattern_begins_with_a_dollar() {
    let mut broker = Broker::new();
    for (session, pattern) in [(1, "topic://#"), (2, "topic://*.event.queue"), (3, "topic://$sabir.#")] {
        broker.open(session);
        broker.subscribe(session, 1, &[pattern], 10);
    }
    broker.open(4);
    broker.declare(4, "queue://Q");
    assert_eq!((messages(&mut broker, 1).len(), messages(&mut broker, 2).len()), (0, 0));
    assert!(events(&mut broker, 3).contains(&"queue added queue://Q".to_owned()));
}

#[test]
fn clients_neither_publish_to_names_that_begin_with_a_dollar_nor_make_them() {
    let mut broker = listening(&["queue"]);
    broker.open(1);
    for name in ["topic://$sabir.event.queue", "topic://$other", "queue://$q"] {
        let attach = Attach { destinations: parse(&["topic://T", name]), producer_name: None };
        let reaction = broker.ask(1, 1, 0, Verb::Attach(Box::new(attach)));
        assert_eq!(reaction, Reaction::Refused(Reason::Forbidden), "{name}");
        assert_eq!(broker.declare(1, name), Reaction::Refused(Reason::Forbidden), "{name}");
    }
    broker.produce(1, 1, &["exchange://default/$q"]);
    let token = broker.publish(1, 1, draft("m"));
    assert_eq!(broker.answer(1, token), Some(Reaction::Refused(Reason::Forbidden)));
    let consume = Verb::Subscribe(Box::new(subscribe(&["queue://$q"])));
    assert_eq!(broker.ask(1, 2, 0, consume), Reaction::Refused(Reason::Forbidden));
    assert!(events(&mut broker, 9).is_empty());
}

#[test]
fn a_subscriber_that_takes_nothing_loses_the_oldest_events_and_holds_nobody() {
    let limits = Limits { max_waiting_events: 3, ..Limits::default() };
    let mut broker = Broker::with(Config { limits, ..Config::default() });
    broker.open(9);
    broker.subscribe(9, 1, &["topic://$sabir.event.temp-queue"], 0);
    broker.open(1);
    for n in 0..10 {
        assert_eq!(broker.declare(1, &format!("temp-queue://t{n}")), Reaction::Told(format!("t{n}")));
    }
    assert_eq!((broker.engine.stats().messages, broker.engine.stats().dropped), (3, 7));
    broker.done(9, 1, 0, Verb::Credit { amount: 10, set: true, drain: false });
    let last = ["t7", "t8", "t9"].map(|name| format!("temp-queue added temp-queue://{name}"));
    assert_eq!(events(&mut broker, 9), last);
}

#[test]
fn events_never_go_to_the_store_however_little_memory_there_is() {
    let limits = Limits { memory_bytes: 2_000, ..Limits::default() };
    let mut broker = Broker::with(Config { limits, ..Config::default() });
    broker.open(9);
    broker.subscribe(9, 1, &["topic://$sabir.event.temp-queue"], 0);
    broker.open(1);
    for n in 0..100 {
        broker.declare(1, &format!("temp-queue://t{n}"));
    }
    assert_eq!(broker.store.temporary_entries(), 0);
    let stats = broker.engine.stats();
    assert!(stats.messages > 0 && stats.resident_bytes <= 2_000, "{stats:?}");
}

#[test]
fn events_can_be_collected_in_a_queue_of_their_own() {
    let mut broker = Broker::new();
    broker.open(1);
    let bind = Bind {
        source: Destination::parse("topic://$sabir.event.connection").unwrap(),
        target: Destination::queue("audit").unwrap(),
        key: String::new(),
        selector: Some("event = 'removed'".into()),
    };
    broker.done(1, 0, 0, Verb::Bind(Box::new(bind)));
    let mut broker = broker.crash(0);
    broker.open(2);
    broker.close(2);
    broker.open(3);
    broker.subscribe(3, 1, &["queue://audit"], 10);
    assert_eq!(events(&mut broker, 3), ["connection removed "]);
}

#[test]
fn virtual_hosts_hear_only_of_themselves() {
    let config = Config { virtual_hosts: vec!["other".into()], ..Config::default() };
    let mut broker = Broker::with(config);
    broker.open(9);
    broker.subscribe(9, 1, &["topic://$sabir.event.#"], 10);
    let client = sabir_engine::Client { virtual_host: "other".into(), ..Default::default() };
    broker.input(sabir_engine::Input::Open { session: sabir_model::SessionId(2), client });
    broker.declare(2, "queue://Q");
    assert!(events(&mut broker, 9).is_empty());
}
