// SPDX-License-Identifier: Apache-2.0
//! What belongs to others, in all the ways in which it can be named.

use super::check_log;
use super::client::{Client, Refusal, Wire};
use crate::data;
use sabir_protocol_openwire::codec::DestinationKind::{Queue, TempQueue, TempTopic, Topic};
use sabir_protocol_openwire::codec::{
    Command, ConnectionInfo, DestinationInfo, DestinationKind, Message, RemoveSubscriptionInfo,
    TransactionId, TransactionInfo, XaTransactionId,
};
use sabir_tests::process::{Broker, Options, program};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

const SECURITY: &str = "java.lang.SecurityException";

/// A broker for these users, whose passwords are their names, with these rules.
pub fn with_users(data: &Path, users: &[&str], rules: &str) -> Options {
    std::fs::create_dir_all(data).expect("the data folder can be made");
    for user in users {
        let mut add = std::process::Command::new(program());
        add.args(["user", "add", user, "--password-stdin", "--data"]).arg(data);
        let mut child = add.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("sabir starts");
        child.stdin.take().expect("piped").write_all(format!("{user}\n").as_bytes()).expect("read");
        assert!(child.wait().expect("ended").success());
    }
    let config = data.with_extension("toml");
    std::fs::write(&config, rules).expect("written");
    let mut options = Options::new(data);
    options.arguments = vec!["--config".to_owned(), config.display().to_string()];
    options
}

const RULES: &str = r#"
[[authorization]]
destination = "queue://A"
allow = ["read", "write", "admin"]
users = ["ann"]

[[authorization]]
destination = "topic://T"
allow = ["read", "write"]
users = ["ann"]

[[authorization]]
destination = "queue://OPEN.#"
allow = ["read", "write"]
users = ["*"]

[[authorization]]
destination = "topic://OPEN.#"
allow = ["read", "write"]
users = ["*"]
"#;

#[test]
fn a_composite_is_allowed_where_each_of_its_parts_is() {
    let (_folder, data) = data();
    let broker = with_users(&data, &["ann", "bob"], RULES).start();
    let mut bob = Client::log_in_as(&broker, "bob");
    bob.produce(1, None).expect("a producer without a destination");
    let composites: [(DestinationKind, &str); 8] = [
        (Queue, "OPEN.x,A"),
        (Queue, "A,OPEN.x"),
        (Queue, "OPEN.x,queue://A"),
        (Queue, "OPEN.x, A "),
        (Topic, "queue://OPEN.x,T"),
        (Topic, "OPEN.x,queue://A"),
        (Queue, "OPEN.x,topic://T"),
        (Queue, "A?consumer.prefetchSize=1"),
    ];
    for (number, (kind, name)) in (10..).zip(composites) {
        let refusals = [
            bob.publish(kind, name, "stolen").expect_err(name),
            bob.produce(number, Some((kind, name))).expect_err(name),
            bob.consume(number, kind, name, 10).expect_err(name),
        ];
        for refusal in refusals {
            assert_eq!(refusal.class, SECURITY, "{name}: {refusal:?}");
        }
    }
    // Of what was refused no part has arrived.
    bob.publish(Queue, "OPEN.x", "allowed").expect("allowed");
    bob.consume(1, Queue, "OPEN.x", 10).expect("allowed");
    let message = bob.receive_message();
    assert!(content(&message).ends_with(b"allowed"), "{message:?}");
    check_log(&broker, 60);
}

fn content(message: &Message) -> Vec<u8> {
    use sabir_protocol_openwire::codec::Blob;
    match &message.content {
        Some(Blob::Own(bytes)) => bytes.to_vec(),
        other => panic!("no content: {other:?}"),
    }
}

#[test]
fn a_wildcard_opens_nothing_that_its_user_may_not_read() {
    let (_folder, data) = data();
    let broker = with_users(&data, &["ann", "bob"], RULES).start();
    let mut bob = Client::log_in_as(&broker, "bob");
    let patterns: [(DestinationKind, &str); 9] = [
        (Queue, ">"),
        (Queue, "*"),
        (Queue, "OPEN.x,>"),
        (Topic, ">"),
        (Topic, "*"),
        (Topic, "OPEN.>,*"),
        (Topic, "*.>"),
        (Queue, "topic://>"),
        (Topic, "$sabir.>"),
    ];
    for (number, (kind, pattern)) in (1..).zip(patterns) {
        let refusal = bob.consume(number, kind, pattern, 10).expect_err(pattern);
        assert_eq!(refusal.class, SECURITY, "{pattern}: {refusal:?}");
    }
    bob.consume(100, Topic, "OPEN.>", 10).expect("all of it is allowed");
}

#[test]
fn destinations_and_subscriptions_of_others_stay() {
    let (_folder, data) = data();
    let broker = with_users(&data, &["ann", "bob"], RULES).start();
    let mut ann = Client::negotiated(&broker, Wire::TIGHT);
    let mut info = ann.connection_info(Some("ann"), Some("ann"));
    info.client_id = Some("desk".into());
    info.response_required = true;
    ann.ask(Command::ConnectionInfo(Box::new(info.clone()))).expect("the password is right");
    ann.session(1).expect("a session");
    let mut durable = ann.consumer_info(1, Topic, "T", 10);
    durable.subscription_name = Some("news".into());
    ann.ask(Command::ConsumerInfo(Box::new(durable))).expect("a durable subscription");
    ann.produce(1, None).expect("a producer");
    ann.publish(Queue, "A", "kept").expect("a message is taken");

    let mut bob = Client::log_in_as(&broker, "bob");
    for operation in [DestinationInfo::ADD, DestinationInfo::REMOVE] {
        for name in ["A", "OPEN.x"] {
            let refusal = bob.destination(operation, Queue, name).expect_err("it takes admin");
            assert_eq!(refusal.class, SECURITY, "{refusal:?}");
        }
    }
    for client_id in [Some("desk"), None] {
        let end = RemoveSubscriptionInfo {
            subscription_name: Some("news".into()),
            client_id: client_id.map(Into::into),
            ..RemoveSubscriptionInfo::default()
        };
        bob.ask(Command::RemoveSubscriptionInfo(end)).expect_err("it is ann's");
    }
    // Nor can another user take the client id, whatever is said of a failure.
    for failover_reconnect in [false, true] {
        let mut thief = Client::negotiated(&broker, Wire::TIGHT);
        let stolen = ConnectionInfo {
            client_id: Some("desk".into()),
            failover_reconnect,
            ..thief.connection_info(Some("bob"), Some("bob"))
        };
        let refusal = thief.ask(Command::ConnectionInfo(Box::new(stolen))).expect_err("it is ann's");
        assert!(refusal.class.contains("InvalidClientID") || refusal.class == SECURITY, "{refusal:?}");
    }
    assert!(ann.is_alive());
    ann.publish(Topic, "T", "news").expect("a message is taken");
    ann.receive_message();
}

#[test]
fn a_message_cannot_say_that_somebody_else_sent_it() {
    let (_folder, data) = data();
    let broker = with_users(&data, &["ann", "bob"], RULES).start();
    let mut bob = Client::log_in_as(&broker, "bob");
    bob.produce(1, None).expect("a producer");
    let mut message = bob.text(Queue, "OPEN.x", "x");
    message.user_id = Some("ann".into());
    if bob.ask(Command::Message(Box::new(message))).is_err() {
        return;
    }
    // Then the broker has put the right name in its place.
    bob.consume(1, Queue, "OPEN.x", 1).expect("allowed");
    assert_eq!(bob.receive_message().user_id.as_deref(), Some("bob"));
}

#[test]
fn a_temporary_destination_is_its_connections_alone() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    for (kind, scheme) in [(TempQueue, "temp-queue"), (TempTopic, "temp-topic")] {
        let mut owner = Client::log_in(&broker, Wire::TIGHT);
        let name = format!("{}:1", owner.connection.value);
        owner.destination(DestinationInfo::ADD, kind, &name).expect("it is made");
        owner.consume(1, kind, &name, 10).expect("its own");
        let mut thief = Client::log_in(&broker, Wire::TIGHT);
        let mut twin = Client::negotiated(&broker, Wire::TIGHT);
        // Who gives itself the same name is not the same connection.
        twin.connection = owner.connection.clone();
        let _in_or_not: Result<(), Refusal> = twin.introduce(None, None);
        for (who, client) in [("a thief", &mut thief), ("a twin", &mut twin)] {
            attempt(who, client, kind, scheme, &name);
        }
        assert!(owner.is_alive());
        thief.produce(1, None).expect("a producer");
        thief.publish(kind, &name, "the answer").expect("who knows the name may answer");
        assert!(content(&owner.receive_message()).ends_with(b"the answer"));
        // Once its owner has gone nobody gets it back.
        drop(owner);
        await_refusal(&mut thief, kind, &name);
        thief.consume(77, kind, &name, 1).expect_err("it is gone");
    }
}

/// All the ways to another's temporary destination.
fn attempt(who: &str, client: &mut Client, kind: DestinationKind, scheme: &str, name: &str) {
    let spelled = [
        (kind, name.to_owned()),
        (kind, format!("{name},{name}")),
        (kind, format!("ID:nobody:1,{name}")),
        (Queue, format!("open,{scheme}://{name}")),
        (Topic, format!("{scheme}://{name},open")),
        (Queue, format!("{scheme}://{name}")),
        (kind, format!("{name}?consumer.exclusive=true")),
    ];
    for (number, (kind, spelled)) in (10..).zip(&spelled) {
        client.consume(number, *kind, spelled, 10).expect_err(&format!("{who} consumes {spelled}"));
        let mut browse = client.consumer_info(number, *kind, spelled, 10);
        browse.browser = true;
        client.ask(Command::ConsumerInfo(Box::new(browse))).expect_err(&format!("{who} browses {spelled}"));
        client
            .destination(DestinationInfo::REMOVE, *kind, spelled)
            .expect_err(&format!("{who} removes {spelled}"));
    }
    let _made: Result<(), Refusal> = client.destination(DestinationInfo::ADD, kind, name);
    client.consume(50, kind, name, 10).expect_err(&format!("{who} makes it too and consumes"));
    for pattern in [">", "*", "ID:*", "ID:>"] {
        // Names of temporary destinations are no patterns.
        let _named: Result<(), Refusal> = client.consume(60, kind, pattern, 10);
    }
    let nothing = client.receive_within(Duration::from_millis(50));
    assert!(!matches!(nothing, Ok(Some(Command::MessageDispatch(_)))), "{who} got {nothing:?}");
}

/// The broker sees in its own time that a client has gone.
fn await_refusal(client: &mut Client, kind: DestinationKind, name: &str) {
    for _ in 0..1000 {
        if client.publish(kind, name, "too late").is_err() {
            return;
        }
    }
    panic!("{name} outlives its connection");
}

const OPERATORS: &str = r#"
[[authorization]]
destination = "queue://#"
allow = ["read", "write", "admin"]
users = ["ops"]
"#;

/// What whoever has no part in a branch tries: to see it, and all ways of ending it.
fn assert_invisible(who: &str, client: &mut Client, id: &Arc<TransactionId>) {
    assert_eq!(client.recover(), [], "{who}");
    for kind in [
        TransactionInfo::PREPARE,
        TransactionInfo::COMMIT_ONE_PHASE,
        TransactionInfo::COMMIT_TWO_PHASE,
        TransactionInfo::ROLLBACK,
        TransactionInfo::FORGET,
        TransactionInfo::END,
    ] {
        let refusal = client.step(id, kind).expect_err("it is ann's");
        assert!(refusal.text.ends_with("xaErrorCode:-4"), "{who} with step {kind}: {refusal:?}");
    }
}

#[test]
fn what_one_user_has_prepared_another_neither_sees_nor_ends_and_an_operator_does_both() {
    let (_folder, data) = data();
    let options = with_users(&data, &["ann", "bob", "ops"], &format!("{RULES}{OPERATORS}"));
    let mut broker = options.start();
    let xa = |global: &[u8]| {
        let id = XaTransactionId {
            format_id: 1,
            global_transaction_id: global.into(),
            branch_qualifier: b"branch".as_slice().into(),
        };
        Arc::new(TransactionId::Xa(id))
    };
    let (committed, rolled_back) = (xa(b"committed"), xa(b"rolled back"));
    let mut ann = Client::log_in_as(&broker, "ann");
    ann.produce(1, None).expect("a producer");
    for (id, text) in [(&committed, "kept"), (&rolled_back, "dropped")] {
        ann.step(id, TransactionInfo::BEGIN).expect("a branch begins");
        let mut message = ann.text(Queue, "A", text);
        message.transaction_id = Some(id.clone());
        ann.ask(Command::Message(Box::new(message))).expect("a message is taken");
        ann.step(id, TransactionInfo::END).expect("a part ends");
        // Also before it is prepared it is nobody else's.
        assert_eq!(Client::log_in_as(&broker, "bob").recover(), []);
        let refusal = Client::log_in_as(&broker, "bob").step(id, TransactionInfo::ROLLBACK);
        assert!(refusal.expect_err("it is ann's").text.ends_with("xaErrorCode:-4"));
        ann.step(id, TransactionInfo::PREPARE).expect("it is prepared");
    }
    for (life, who) in [(1, "while ann is there"), (2, "after a restart")] {
        let mut bob = Client::log_in_as(&broker, "bob");
        for id in [&committed, &rolled_back] {
            assert_invisible(who, &mut bob, id);
        }
        // The same name is a branch of bob's own, which touches nothing of ann's.
        bob.step(&committed, TransactionInfo::BEGIN).expect("a branch of bob's");
        bob.produce(1, None).expect("a producer");
        let mut message = bob.text(Queue, "OPEN.x", "bob's");
        message.transaction_id = Some(committed.clone());
        bob.ask(Command::Message(Box::new(message))).expect("a message is taken");
        bob.step(&committed, TransactionInfo::END).expect("a part ends");
        bob.step(&committed, TransactionInfo::ROLLBACK).expect("it is rolled back");
        assert_eq!(Client::log_in_as(&broker, "ann").recover().len(), 2, "{who}");
        assert_eq!(Client::log_in_as(&broker, "ops").recover().len(), 2, "{who}");
        if life == 1 {
            broker.kill();
            broker = options.start();
        }
    }
    let mut ops = Client::log_in_as(&broker, "ops");
    ops.step(&rolled_back, TransactionInfo::ROLLBACK).expect("an operator rolls back");
    let mut ann = Client::log_in_as(&broker, "ann");
    ann.step(&committed, TransactionInfo::COMMIT_TWO_PHASE).expect("it is committed");
    assert_eq!((ann.recover().len(), ops.recover().len()), (0, 0));
    ann.consume(1, Queue, "A", 10).expect("a consumer");
    assert!(content(&ann.receive_message()).ends_with(b"kept"));
    let more = ann.receive_within(Duration::from_millis(200)).expect("a living connection");
    assert!(!matches!(more, Some(Command::MessageDispatch(_))), "{more:?}");
    check_log(&broker, 100);
}

#[test]
fn nobody_speaks_on_the_brokers_own_topics() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut listener = Client::log_in(&broker, Wire::TIGHT);
    let watched = "ActiveMQ.Advisory.TempQueue,ActiveMQ.Advisory.TempTopic,ActiveMQ.Advisory.Connection";
    let mut speaker = Client::log_in(&broker, Wire::TIGHT);
    listener.consume(1, Topic, watched, 100).expect("a listener");
    listener.consume(2, Topic, ">", 100).expect("a listener to everything");
    // The broker itself tells of the connections that are there.
    for _ in 0..2 {
        let told = listener.receive_message();
        let topic = told.destination.expect("a destination").physical_name.to_string();
        assert_eq!(topic, "ActiveMQ.Advisory.Connection");
    }
    speaker.produce(1, None).expect("a producer");
    for (kind, name) in [
        (Topic, "ActiveMQ.Advisory.TempQueue"),
        (Topic, "ActiveMQ.Advisory.Connection"),
        (Topic, "$sabir.event.temp-queue"),
        (Topic, "$sabir.event.connection"),
        (Topic, "$sabir.anything"),
        (Queue, "$sabir.anything"),
        (Queue, "open,topic://$sabir.event.connection"),
        (Topic, "ActiveMQ.Advisory.TempTopic,$sabir.event.temp-topic"),
    ] {
        let refusal = speaker.publish(kind, name, "forged").expect_err(name);
        assert!(!refusal.text.is_empty(), "{refusal:?}");
    }
    let heard = listener.receive_within(Duration::from_millis(300)).expect("a living connection");
    assert!(!matches!(heard, Some(Command::MessageDispatch(_))), "{heard:?}");
    // What a listener to everything hears is what is published.
    speaker.publish(Topic, "ordinary", "x").expect("a message is taken");
    let message = listener.receive_message();
    assert_eq!(message.destination.expect("a destination").physical_name.as_ref(), "ordinary");
}
