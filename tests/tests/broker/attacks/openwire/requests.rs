// SPDX-License-Identifier: Apache-2.0
//! One client that has logged in, and whose commands make no sense.

use super::client::{Client, Refusal, Wire};
use super::{End, MIB, check_log, once, witness_beside};
use crate::data;
use sabir_protocol_openwire::codec::DestinationKind::{Queue, Topic};
use sabir_protocol_openwire::codec::{
    BrokerInfo, Command, ConnectionControl, ConnectionError, ConnectionId, ConsumerControl, ControlCommand,
    Destination, DestinationInfo, ExceptionResponse, Message, MessageAck, MessageDispatch,
    MessageDispatchNotification, MessageId, MessageKind, MessagePull, ObjectId, ProducerId, RemoveInfo,
    RemoveSubscriptionInfo, ReplayCommand, Response, SessionId, SessionInfo, Throwable, TransactionId,
    TransactionInfo, XaTransactionId,
};
use sabir_tests::process::{Broker, Options};
use sabir_tests::stomp;
use std::sync::Arc;
use std::time::Duration;

/// What one refused command may cost.
const MEMORY_BOUND: u64 = 2 * MIB;

#[test]
fn commands_that_make_no_sense_are_refused_and_the_client_goes_on() {
    let (_folder, data) = data();
    let broker = Options::new(&data).set("limits.max_selector_bytes", "65536").start();
    let mut witness = witness_beside(&broker);
    for wire in [Wire::LOOSE, Wire::TIGHT] {
        let mut client = Client::log_in(&broker, wire);
        for (what, command, words) in senseless(&mut client) {
            witness.during(what, MEMORY_BOUND, || {
                let refusal = client.ask(command).expect_err(what);
                let text = format!("{}: {}", refusal.class, refusal.text);
                assert!(text.contains(words), "{what}: {words:?} is not in {text:?}");
                assert!(client.is_alive(), "{what}: the connection has ended");
            });
        }
    }
    check_log(&broker, 60);
}

type Senseless = (&'static str, Command, &'static str);

fn senseless(client: &mut Client) -> Vec<Senseless> {
    let mut all = missing();
    all.extend(distributed(client));
    all.extend(selectors(client));
    all.extend(messages(client));
    let queue = |name: &str| Some(Arc::new(Destination::new(Queue, name)));
    let duplex = BrokerInfo { duplex_connection: true, network_connection: true, ..BrokerInfo::default() };
    let ended = TransactionInfo {
        transaction_id: Some(client.transaction_id(77)),
        kind: TransactionInfo::COMMIT_ONE_PHASE,
        ..TransactionInfo::default()
    };
    let operation = |operation_type| DestinationInfo {
        destination: queue("a"),
        operation_type,
        ..DestinationInfo::default()
    };
    let session = SessionId { connection_id: "ID:somebody-else:1".into(), value: 1 };
    let other = Arc::new(ConnectionId { value: "ID:somebody-else:1".into() });
    let composite = (0..200).map(|number| format!("q{number}")).collect::<Vec<_>>().join(",");
    let mut early = client.consumer_info(9, Queue, "a", 1);
    early.consumer_id = Some(Arc::new(sabir_protocol_openwire::codec::ConsumerId {
        session_id: 5,
        ..(*client.consumer_id(9)).clone()
    }));
    all.extend([
        (
            "an order to the broker",
            Command::ControlCommand(ControlCommand {
                command: Some("shutdown".into()),
                ..ControlCommand::default()
            }),
            "takes no orders",
        ),
        ("the other half of a bridge", Command::BrokerInfo(Box::new(duplex)), "duplex"),
        ("a transaction that is not open", Command::TransactionInfo(ended), "has not been started"),
        (
            "a destination that is neither made nor removed",
            Command::DestinationInfo(operation(7)),
            "there is no 7",
        ),
        (
            "a session of another connection",
            Command::SessionInfo(SessionInfo {
                session_id: Some(Arc::new(session)),
                ..SessionInfo::default()
            }),
            "does not carry",
        ),
        (
            "the end of another connection",
            Command::RemoveInfo(RemoveInfo {
                object_id: Some(ObjectId::Connection(other)),
                ..RemoveInfo::default()
            }),
            "does not carry",
        ),
        (
            "a consumer of a session that has not begun",
            Command::ConsumerInfo(Box::new(early)),
            "has not begun",
        ),
        (
            "a composite of 200",
            Command::ConsumerInfo(Box::new(client.consumer_info(9, Queue, &composite, 1))),
            "max_composite",
        ),
        (
            "a wildcard within a name",
            Command::ConsumerInfo(Box::new(client.consumer_info(9, Topic, "a.>.b", 1))),
            "before its last word",
        ),
        (
            "a destination without a name",
            Command::ConsumerInfo(Box::new(client.consumer_info(9, Topic, " , ", 1))),
            "no name",
        ),
        (
            "a destination of 30,000 bytes",
            Command::ConsumerInfo(Box::new(client.consumer_info(9, Queue, &"x".repeat(30_000), 1))),
            "",
        ),
        (
            "options of 30,000 bytes",
            Command::ConsumerInfo(Box::new(client.consumer_info(
                9,
                Queue,
                &format!("q?{}", "x".repeat(30_000)),
                1,
            ))),
            "max_destination_bytes",
        ),
        (
            "an advisory of 30,000 bytes",
            Command::ConsumerInfo(Box::new(client.consumer_info(
                9,
                Topic,
                &format!("ActiveMQ.Advisory.FULL.{}", "x".repeat(30_000)),
                1,
            ))),
            "",
        ),
        (
            "a destination with control characters",
            Command::ConsumerInfo(Box::new(client.consumer_info(9, Queue, "a\u{1b}[31m\nb", 1))),
            "",
        ),
    ]);
    all
}

/// Without what they are about.
fn missing() -> Vec<Senseless> {
    let unnamed =
        RemoveSubscriptionInfo { subscription_name: Some("x".into()), ..RemoveSubscriptionInfo::default() };
    vec![
        ("a session without id", Command::SessionInfo(SessionInfo::default()), "no sessionId"),
        ("a consumer without id", Command::ConsumerInfo(Box::default()), "no consumerId"),
        ("a producer without id", Command::ProducerInfo(Default::default()), "no producerId"),
        ("the end of nothing", Command::RemoveInfo(RemoveInfo::default()), "no objectId"),
        ("a message from nobody", Command::Message(Box::default()), "no producerId"),
        ("an acknowledgement by nobody", Command::MessageAck(Box::default()), "no consumerId"),
        ("a request by nobody", Command::MessagePull(MessagePull::default()), "no consumerId"),
        ("a control of nobody", Command::ConsumerControl(ConsumerControl::default()), "no consumerId"),
        ("no destination to be made", Command::DestinationInfo(DestinationInfo::default()), "no destination"),
        (
            "a transaction without id",
            Command::TransactionInfo(TransactionInfo::default()),
            "no transactionId",
        ),
        ("a durable subscription of nobody", Command::RemoveSubscriptionInfo(unnamed), ""),
    ]
}

fn distributed(client: &mut Client) -> Vec<Senseless> {
    let xa = XaTransactionId {
        format_id: i32::MAX,
        global_transaction_id: vec![0xff; 20_000].into(),
        branch_qualifier: vec![0; 20_000].into(),
    };
    let xa = Arc::new(TransactionId::Xa(xa));
    let step = |kind, transaction_id: &Arc<TransactionId>| {
        Command::TransactionInfo(TransactionInfo {
            transaction_id: Some(transaction_id.clone()),
            kind,
            ..TransactionInfo::default()
        })
    };
    let mut all: Vec<Senseless> = [
        TransactionInfo::BEGIN,
        TransactionInfo::PREPARE,
        TransactionInfo::COMMIT_ONE_PHASE,
        TransactionInfo::COMMIT_TWO_PHASE,
        TransactionInfo::ROLLBACK,
        TransactionInfo::FORGET,
        TransactionInfo::END,
        99,
    ]
    .map(|kind| ("a step of a distributed transaction", step(kind, &xa), "xaErrorCode"))
    .into();
    let mut message = client.text(Queue, "a", "x");
    message.transaction_id = Some(xa);
    all.push(("a message of a distributed transaction", Command::Message(Box::new(message)), "xaErrorCode"));
    let local = client.transaction_id(1);
    for kind in [TransactionInfo::PREPARE, TransactionInfo::COMMIT_TWO_PHASE, TransactionInfo::END, 99] {
        all.push(("a step that local ones have not", step(kind, &local), "committed in one phase"));
    }
    all
}

fn selectors(client: &mut Client) -> Vec<Senseless> {
    let doctype = r#"XPATH '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'"#;
    let deep = |before: &str, inner: &str, after: &str| {
        format!("{}{inner}{}", before.repeat(8_000), after.repeat(8_000))
    };
    [
        ("8,000 parentheses", deep("(", "a = 1", ")"), "nested deeper"),
        ("8,000 NOT", deep("NOT ", "a = 1", ""), "nested deeper"),
        ("a selector that is no expression", "a ==".to_owned(), "InvalidSelector"),
        ("XPATH with a DOCTYPE", doctype.to_owned(), "InvalidSelector"),
    ]
    .map(|(what, selector, words)| {
        let mut info = client.consumer_info(9, Queue, "a", 1);
        info.selector = Some(selector.into());
        (what, Command::ConsumerInfo(Box::new(info)), words)
    })
    .into()
}

fn messages(client: &mut Client) -> Vec<Senseless> {
    let with_properties = |client: &mut Client, properties: &[u8]| {
        let message = client.text(Queue, "a", "x");
        Command::Message(Box::new(Message {
            marshalled_properties: Some(properties.to_vec().into()),
            ..message
        }))
    };
    let nested = [&[0, 0, 0, 1][..], &[0, 1, b'a', 11, 0, 0, 0, 1].repeat(100_000)].concat();
    let lists = [&[0, 0, 0, 1, 0, 1, b'a'][..], &[12, 0, 0, 0, 1].repeat(100_000)].concat();
    let format = "MessageFormat";
    let mut all: Vec<Senseless> = [
        ("2^31 - 1 properties", &[0x7f, 0xff, 0xff, 0xff][..]),
        ("properties of a negative number", &[0x80, 0, 0, 0]),
        ("a property more than there is", &[0, 0, 0, 2, 0, 1, b'a', 1, 1]),
        ("a property behind the last", &[0, 0, 0, 0, 0, 1, b'a', 1, 1]),
        ("half a count of properties", &[0, 0]),
        ("a property of 2 GiB", &[0, 0, 0, 1, 0, 1, b'a', 10, 0x7f, 0xff, 0xff, 0xff]),
        ("a property of no type", &[0, 0, 0, 1, 0, 1, b'a', 99]),
        ("a property's name that is not UTF-8", &[0, 0, 0, 1, 0, 2, 0xc0, 0x00, 1, 1]),
        ("a property's name that ends too late", &[0, 0, 0, 1, 0xff, 0xff, b'a']),
        ("properties nested 100,000 deep", &nested),
        ("lists nested 100,000 deep", &lists),
    ]
    .map(|(what, properties)| (what, with_properties(client, properties), format))
    .into();
    let mut orphan = client.text(Queue, "a", "x");
    orphan.message_id = None;
    let mut stranger = client.text(Queue, "a", "x");
    let foreign = ProducerId { connection_id: "ID:somebody-else:1".into(), value: 1, session_id: 1 };
    stranger.producer_id = Some(Arc::new(foreign.clone()));
    stranger.message_id = Some(MessageId {
        producer_id: Some(Arc::new(foreign)),
        producer_sequence_id: i64::MAX,
        ..MessageId::default()
    });
    let nowhere = client.text(Queue, "a.>", "x");
    let several = client.text(Topic, ">", "x");
    let long = client.text(Queue, &"x".repeat(30_000), "x");
    let mut begun = client.text(Queue, "a", "x");
    begun.transaction_id = Some(client.transaction_id(5));
    all.extend([
        ("a message without id", Command::Message(Box::new(orphan)), ""),
        (
            "a message in the name of another connection's producer",
            Command::Message(Box::new(stranger)),
            "does not carry",
        ),
        ("a message to a wildcard", Command::Message(Box::new(nowhere)), "wildcard"),
        ("a message to all topics", Command::Message(Box::new(several)), "wildcard"),
        ("a message to a name of 30,000 bytes", Command::Message(Box::new(long)), ""),
        (
            "a message in a transaction that has not begun",
            Command::Message(Box::new(begun)),
            "has not been started",
        ),
    ]);
    all
}

#[test]
fn what_only_brokers_send_moves_nothing_and_is_reflected_to_nobody() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = witness_beside(&broker);
    let mut bystander = Client::log_in(&broker, Wire::TIGHT);
    bystander.consume(1, Queue, "bystander", 10).expect("a consumer");
    let thrown = || Some(Box::new(Throwable::new("evil.Klass", "evil\u{1b}[31m")));
    let dispatch = Command::MessageDispatch(Box::new(MessageDispatch {
        consumer_id: Some(bystander.consumer_id(1)),
        ..MessageDispatch::default()
    }));
    let fatal =
        [Command::ReplayCommand(ReplayCommand { last_nak_number: i32::MAX, ..ReplayCommand::default() })];
    let silent = [
        Command::Response(Response::default()),
        Command::ExceptionResponse(ExceptionResponse { exception: thrown(), ..ExceptionResponse::default() }),
        Command::ConnectionError(ConnectionError { exception: thrown(), ..ConnectionError::default() }),
        Command::ConnectionControl(ConnectionControl {
            close: true,
            exit: true,
            ..ConnectionControl::default()
        }),
    ];
    let refused = [
        dispatch,
        Command::MessageDispatchNotification(MessageDispatchNotification {
            consumer_id: Some(bystander.consumer_id(1)),
            ..MessageDispatchNotification::default()
        }),
    ];
    for command in silent {
        let mut client = Client::log_in(&broker, Wire::TIGHT);
        let piece = client.frame(command).1;
        witness.during("answers that nobody asked for", MEMORY_BOUND, || {
            for _ in 0..200 {
                client.write(&piece.repeat(100)).expect("a living connection");
            }
            assert!(client.is_alive());
        });
    }
    for command in refused {
        let mut client = Client::log_in(&broker, Wire::TIGHT);
        let bytes = client.frame(command).1;
        let attack = once("a message for another's consumer", bytes, "nobody's slave").but(End::GoesOn);
        witness.during("a message for another's consumer", MEMORY_BOUND, || attack.run(client));
    }
    for command in fatal {
        let mut client = Client::log_in(&broker, Wire::TIGHT);
        let bytes = client.frame(command).1;
        let attack = once("what belongs to datagrams", bytes, "datagrams");
        witness.during("what belongs to datagrams", MEMORY_BOUND, || attack.run(client));
    }
    bystander.publish(Queue, "bystander", "mine").expect("the bystander works");
    let nothing_else = bystander.receive_message();
    assert!(nothing_else.content.is_some());
    assert!(!broker.log().contains("evil"), "{}", broker.log());
    check_log(&broker, 40);
}

#[test]
fn acknowledgements_of_what_was_never_sent_are_passed_over_and_those_of_ranges_end_where_messages_do() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut witness = witness_beside(&broker);
    let mut client = Client::log_in(&broker, Wire::TIGHT);
    client.produce(1, None).expect("a producer");
    for number in 0..10 {
        client.publish(Queue, "acks", &number.to_string()).expect("a message is taken");
    }
    client.consume(1, Queue, "acks", 10).expect("a consumer");
    let messages: Vec<Message> = (0..10).map(|_| client.receive_message()).collect();
    let unknown = MessageId {
        producer_id: Some(client.producer_id(99)),
        producer_sequence_id: i64::MAX,
        broker_sequence_id: i64::MIN,
        ..MessageId::default()
    };
    let ack =
        |client: &Client, ack_type, first: Option<&MessageId>, last: Option<&MessageId>, message_count| {
            Command::MessageAck(Box::new(MessageAck {
                consumer_id: Some(client.consumer_id(1)),
                ack_type,
                first_message_id: first.cloned(),
                last_message_id: last.cloned(),
                message_count,
                ..MessageAck::default()
            }))
        };
    let last = messages[9].message_id.clone();
    witness.during("acknowledgements of nothing", MEMORY_BOUND, || {
        for kind in 0..=6 {
            for count in [0, -1, i32::MAX, i32::MIN] {
                for (first, last) in [(None, Some(&unknown)), (Some(&unknown), last.as_ref()), (None, None)] {
                    if kind == MessageAck::DELIVERED
                        || (kind == MessageAck::INDIVIDUAL && last != Some(&unknown))
                    {
                        continue;
                    }
                    let command = ack(&client, kind, first, last, count);
                    let _answered: Result<(), Refusal> = client.ask(command);
                }
            }
        }
    });
    for kind in [7, 128, 255] {
        let refusal = client.ask(ack(&client, kind, None, last.as_ref(), 1)).expect_err("no such type");
        assert!(refusal.text.contains("no acknowledgement of type"), "{refusal:?}");
    }
    // Nothing was settled by all that: another gets all ten once this one has gone.
    drop(client);
    let mut other = Client::log_in(&broker, Wire::TIGHT);
    other.consume(1, Queue, "acks", 10).expect("a consumer");
    for _ in 0..10 {
        other.receive_message();
    }
    // A count that has nothing to do with the range: the range counts.
    let mut third = stomp::Client::connect(broker.address).expect("the broker is there");
    let ids: Vec<MessageId> = messages.into_iter().filter_map(|message| message.message_id).collect();
    let command = ack(&other, MessageAck::STANDARD, None, ids.get(4), i32::MAX);
    other.ask(command).expect("an acknowledgement by id");
    drop(other);
    third.subscribe("0", "/queue/acks", "client", 10).expect("a subscription");
    for number in 5..10 {
        assert_eq!(third.receive().expect("a message").text(), number.to_string());
    }
    assert_eq!(third.receive_within(Duration::from_millis(200)).expect("living"), None);
}

#[test]
fn what_one_client_has_another_cannot_acknowledge_control_or_end() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let mut owner = Client::log_in(&broker, Wire::TIGHT);
    owner.produce(1, Some((Queue, "mine"))).expect("a producer");
    owner.consume(1, Queue, "mine", 1).expect("a consumer");
    owner.publish(Queue, "mine", "first").expect("a message is taken");
    owner.publish(Queue, "mine", "second").expect("a message is taken");
    let held = owner.receive_message();
    let mut thief = Client::log_in(&broker, Wire::TIGHT);
    let consumer = owner.consumer_id(1);
    let remove =
        |object_id| Command::RemoveInfo(RemoveInfo { object_id: Some(object_id), ..RemoveInfo::default() });
    let session = SessionId { connection_id: owner.connection.value.clone(), value: 1 };
    let theirs = [
        Command::MessageAck(Box::new(MessageAck {
            consumer_id: Some(consumer.clone()),
            ack_type: MessageAck::STANDARD,
            last_message_id: held.message_id.clone(),
            message_count: 1,
            ..MessageAck::default()
        })),
        Command::ConsumerControl(ConsumerControl {
            consumer_id: Some(consumer.clone()),
            close: true,
            ..ConsumerControl::default()
        }),
        Command::ConsumerControl(ConsumerControl {
            consumer_id: Some(consumer.clone()),
            prefetch: 100,
            ..ConsumerControl::default()
        }),
        Command::ConsumerControl(ConsumerControl {
            consumer_id: Some(consumer.clone()),
            stop: true,
            ..ConsumerControl::default()
        }),
        Command::MessagePull(MessagePull {
            consumer_id: Some(consumer.clone()),
            timeout: -1,
            ..MessagePull::default()
        }),
        remove(ObjectId::Consumer(consumer)),
        remove(ObjectId::Producer(owner.producer_id(1))),
        remove(ObjectId::Session(Arc::new(session))),
        remove(ObjectId::Connection(owner.connection.clone())),
    ];
    for command in theirs {
        // Refused, or passed over as what a client may say of a connection that it had before.
        let _answered: Result<(), Refusal> = thief.ask(command);
        assert!(thief.is_alive());
    }
    // The prefetch of one is still used up by the first.
    let nothing = owner.receive_within(Duration::from_millis(200)).expect("a living connection");
    assert!(!matches!(nothing, Some(Command::MessageDispatch(_))), "{nothing:?}");
    owner
        .ask(Command::MessageAck(Box::new(MessageAck {
            consumer_id: Some(owner.consumer_id(1)),
            ack_type: MessageAck::STANDARD,
            last_message_id: held.message_id,
            message_count: 1,
            ..MessageAck::default()
        })))
        .expect("it is still the owner's");
    owner.receive_message();
    owner.publish(Queue, "mine", "third").expect("its producer is still there");
}

#[test]
fn a_farewell_ends_its_own_connection_alone() {
    let (_folder, data) = data();
    let mut broker = Broker::start(&data);
    let mut other = Client::log_in(&broker, Wire::TIGHT);
    for mut client in [Client::negotiated(&broker, Wire::TIGHT), Client::log_in(&broker, Wire::TIGHT)] {
        client.send(Command::ShutdownInfo(Default::default())).expect("a living connection");
        assert_eq!(super::last_words(&mut client, "a farewell"), None);
    }
    assert!(other.is_alive() && broker.is_alive());
    other.produce(1, None).expect("a producer");
    let message = other.message(MessageKind::Bytes, Queue, "after", b"x".to_vec());
    other.ask(Command::Message(Box::new(message))).expect("the broker takes messages");
}
