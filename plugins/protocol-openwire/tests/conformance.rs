// SPDX-License-Identifier: Apache-2.0
//! The protocol suite over OpenWire, through the tables of the plugin contract. What peers say is written by the crate's
//! own codec: frames are no text that could lie beside it.

use sabir_host::{Capacities, Registry};
use sabir_model::message::BodyKind;
use sabir_protocol_openwire::codec::{
    Blob, Command, ConnectionId, ConnectionInfo, ConsumerControl, ConsumerId, ConsumerInfo, Destination,
    DestinationInfo, DestinationKind, Encoder, KeepAliveInfo, LocalTransactionId, Message, MessageAck,
    MessageId, MessageKind, MessagePull, ObjectId, Options, ProducerId, ProducerInfo, RemoveInfo, SessionId,
    SessionInfo, ShutdownInfo, TransactionId, TransactionInfo, WireFormatInfo,
};
use sabir_protocol_openwire::convert::Names;
use sabir_testkit::protocol::{Script, Step, Subject, run};
use std::sync::Arc;

const CONNECTION: &str = "ID:suite-1:1";

/// A peer that writes a script.
struct Writer {
    encoder: Encoder,
    commands: i32,
    steps: Vec<Step>,
}

impl Writer {
    /// A peer that agrees on this version.
    fn new(version: i32, tight: bool) -> Writer {
        let mut writer = Writer { encoder: Encoder::new(Options::initial()), commands: 0, steps: Vec::new() };
        let mut info = WireFormatInfo { version, ..WireFormatInfo::preferred() };
        info.set("TightEncodingEnabled", sabir_protocol_openwire::codec::map::Value::Boolean(tight));
        writer.tell(Command::WireFormatInfo(Box::new(info.clone())));
        // What the broker says lies in between the two as far as it matters here: it offers no stacks.
        let mut theirs = WireFormatInfo::preferred();
        theirs.set("StackTraceEnabled", sabir_protocol_openwire::codec::map::Value::Boolean(false));
        writer.encoder.renegotiate(Options::negotiate(&theirs, &info).unwrap());
        writer
    }

    /// One that has logged in, and begun session 1.
    fn logged_in(version: i32, tight: bool) -> Writer {
        let mut writer = Writer::new(version, tight);
        writer.ask(Command::ConnectionInfo(Box::new(ConnectionInfo {
            connection_id: Some(Arc::new(ConnectionId { value: CONNECTION.into() })),
            client_id: Some("suite".into()),
            manageable: true,
            client_master: true,
            ..ConnectionInfo::default()
        })));
        writer.step(Step::Answer);
        let id = SessionId { connection_id: CONNECTION.into(), value: 1 };
        writer.tell(Command::SessionInfo(SessionInfo {
            session_id: Some(Arc::new(id)),
            ..SessionInfo::default()
        }));
        writer
    }

    fn ask(&mut self, mut command: Command) {
        command.set_response_required(true);
        self.tell(command);
    }

    fn tell(&mut self, mut command: Command) {
        self.commands += 1;
        command.set_command_id(self.commands);
        let mut bytes = Vec::new();
        self.encoder.encode(&command, &mut bytes).unwrap();
        self.steps.push(Step::Send(bytes));
    }

    fn step(&mut self, step: Step) {
        self.steps.push(step);
    }

    fn finish(self, name: &str) -> Script {
        Script { name: name.to_owned(), steps: self.steps }
    }
}

fn destination(kind: DestinationKind, name: &str) -> Option<Arc<Destination>> {
    Some(Arc::new(Destination::new(kind, name)))
}

fn consumer_id(value: i64) -> Option<Arc<ConsumerId>> {
    Some(Arc::new(ConsumerId { connection_id: CONNECTION.into(), session_id: 1, value }))
}

fn consumer(value: i64, kind: DestinationKind, name: &str, prefetch_size: i32) -> Command {
    Command::ConsumerInfo(Box::new(ConsumerInfo {
        consumer_id: consumer_id(value),
        destination: destination(kind, name),
        prefetch_size,
        ..ConsumerInfo::default()
    }))
}

fn producer_id() -> Option<Arc<ProducerId>> {
    Some(Arc::new(ProducerId { connection_id: CONNECTION.into(), value: 1, session_id: 1 }))
}

fn text(sequence: i64, queue: &str, transaction: Option<Arc<TransactionId>>) -> Command {
    Command::Message(Box::new(Message {
        kind: MessageKind::Text,
        producer_id: producer_id(),
        destination: destination(DestinationKind::Queue, queue),
        transaction_id: transaction,
        message_id: Some(MessageId {
            producer_id: producer_id(),
            producer_sequence_id: sequence,
            ..MessageId::default()
        }),
        persistent: true,
        content: Some(Blob::from(b"\0\0\0\x05hello".to_vec())),
        ..Message::default()
    }))
}

/// An acknowledgement of a message of the suite's.
fn ack(kind: u8, number: i64, transaction: Option<Arc<TransactionId>>) -> Command {
    Command::MessageAck(Box::new(MessageAck {
        transaction_id: transaction,
        consumer_id: consumer_id(1),
        ack_type: kind,
        last_message_id: Some(MessageId {
            broker_sequence_id: number,
            ..Names::new(1).message_id(&format!("suite-{number}"))
        }),
        message_count: 1,
        ..MessageAck::default()
    }))
}

fn login() -> Script {
    // The first script is the one after which sessions are idle.
    let mut writer = Writer::logged_in(12, true);
    writer.step(Step::Expect { closed: false });
    writer.finish("login")
}

fn produce(version: i32, tight: bool) -> Script {
    let mut writer = Writer::logged_in(version, tight);
    writer.ask(Command::ProducerInfo(ProducerInfo {
        producer_id: producer_id(),
        destination: destination(DestinationKind::Queue, "A,topic://B"),
        window_size: 10_000,
        ..ProducerInfo::default()
    }));
    writer.step(Step::Answer);
    writer.tell(text(1, "A,topic://B", None));
    // Answers that come together become one ProducerAck; the suite wants the same bytes for those that come one by one.
    writer.step(Step::Answer);
    writer.tell(text(2, "C", None));
    writer.ask(text(3, "C", None));
    writer.step(Step::Answer);
    writer.ask(Command::DestinationInfo(DestinationInfo {
        destination: destination(DestinationKind::TempQueue, "ID:suite-1:1:1"),
        operation_type: DestinationInfo::ADD,
        ..DestinationInfo::default()
    }));
    writer.ask(Command::RemoveInfo(RemoveInfo {
        object_id: producer_id().map(ObjectId::Producer),
        ..RemoveInfo::default()
    }));
    writer.step(Step::Answer);
    writer.step(Step::Expect { closed: false });
    writer.finish(&format!("produce-{version}"))
}

fn consume(version: i32, tight: bool) -> Script {
    let mut writer = Writer::logged_in(version, tight);
    writer.ask(consumer(1, DestinationKind::Queue, "Q", 100));
    writer.step(Step::Answer);
    writer.step(Step::Deliver(5, BodyKind::Text, b"hello".to_vec()));
    writer.step(Step::Deliver(2, BodyKind::Bytes, vec![0; 5000]));
    writer.step(Step::Deliver(1, BodyKind::None, Vec::new()));
    for (kind, number) in [(MessageAck::DELIVERED, 3), (MessageAck::STANDARD, 2), (MessageAck::INDIVIDUAL, 4)]
    {
        writer.tell(ack(kind, number, None));
    }
    writer.ask(ack(MessageAck::POISON, 5, None));
    writer.tell(Command::ConsumerControl(ConsumerControl {
        consumer_id: consumer_id(1),
        prefetch: 50,
        ..ConsumerControl::default()
    }));
    writer.step(Step::Answer);
    writer.ask(Command::RemoveInfo(RemoveInfo {
        object_id: consumer_id(1).map(ObjectId::Consumer),
        last_delivered_sequence_id: 6,
        ..RemoveInfo::default()
    }));
    writer.step(Step::Answer);
    writer.step(Step::Deliver(1, BodyKind::Text, b"late".to_vec()));
    writer.finish(&format!("consume-{version}"))
}

fn transact() -> Script {
    let mut writer = Writer::logged_in(12, true);
    writer.ask(consumer(1, DestinationKind::Queue, "Q", 100));
    writer.step(Step::Answer);
    writer.step(Step::Deliver(3, BodyKind::Text, b"hello".to_vec()));
    for (value, end) in [(1, TransactionInfo::ROLLBACK), (2, TransactionInfo::COMMIT_ONE_PHASE)] {
        let connection_id = Some(Arc::new(ConnectionId { value: CONNECTION.into() }));
        let id = Arc::new(TransactionId::Local(LocalTransactionId { value, connection_id }));
        let step = |kind| {
            Command::TransactionInfo(TransactionInfo {
                transaction_id: Some(id.clone()),
                kind,
                ..TransactionInfo::default()
            })
        };
        writer.tell(step(TransactionInfo::BEGIN));
        writer.ask(text(value, "C", Some(id.clone())));
        writer.tell(ack(MessageAck::STANDARD, 2, Some(id.clone())));
        writer.ask(step(end));
        writer.step(Step::Answer);
    }
    writer.finish("transact")
}

fn pull_and_leave() -> Script {
    let mut writer = Writer::logged_in(10, true);
    writer.ask(consumer(1, DestinationKind::Queue, "Q", 0));
    writer.step(Step::Answer);
    for timeout in [-1, 0, 300] {
        writer.tell(Command::MessagePull(MessagePull {
            consumer_id: consumer_id(1),
            timeout,
            ..MessagePull::default()
        }));
    }
    writer.step(Step::Answer);
    writer.step(Step::Advance(300));
    writer.step(Step::Answer);
    writer.ask(Command::KeepAliveInfo(KeepAliveInfo::default()));
    writer.step(Step::Advance(12_000));
    let connection = ObjectId::Connection(Arc::new(ConnectionId { value: CONNECTION.into() }));
    writer.ask(Command::RemoveInfo(RemoveInfo { object_id: Some(connection), ..RemoveInfo::default() }));
    writer.step(Step::Answer);
    writer.tell(Command::ShutdownInfo(ShutdownInfo::default()));
    writer.step(Step::Expect { closed: true });
    writer.finish("pull-and-leave")
}

fn refused() -> Script {
    let mut writer = Writer::logged_in(12, true);
    writer.ask(consumer(1, DestinationKind::Topic, "T.>", 10));
    writer.step(Step::Refuse);
    writer.tell(text(1, "nowhere", None));
    writer.step(Step::Refuse);
    writer.step(Step::Expect { closed: false });
    writer.step(Step::Send(vec![0xff; 16]));
    writer.step(Step::Expect { closed: true });
    writer.finish("refused")
}

fn subject() -> Subject {
    let mut registry = Registry::new();
    registry.add(&sabir_protocol_openwire::PLUGIN).unwrap();
    let scripts = vec![
        login(),
        produce(12, true),
        produce(3, false),
        consume(12, true),
        consume(5, false),
        transact(),
        pull_and_leave(),
        refused(),
    ];
    let mut subject = Subject::new(registry.protocol("openwire").unwrap(), scripts);
    // The largest step of the scripts: the end of a consumer.
    subject.least = Capacities { verbs: 3, arena_bytes: 700, segments: 3, owned: 1 };
    subject.idle_bytes = 6144;
    subject
}

#[test]
fn openwire_keeps_every_contract_of_a_protocol() {
    let report = run(&subject());
    println!("{report}");
    assert!(report.all_passed(), "{report}");
}

#[test]
fn a_script_that_expects_too_much_fails() {
    let mut subject = subject();
    subject.scripts.truncate(1);
    subject.scripts[0].steps.push(Step::Expect { closed: true });
    let report = run(&subject);
    assert!(report.failures().any(|case| case.id == "protocol.script"), "{report}");
}
