// SPDX-License-Identifier: Apache-2.0
//! A session that is fed arbitrary bytes behind beginnings that are in order, cut at arbitrary places, with much room or
//! little in each call, and a broker that confirms most, refuses some, and delivers something in between. What the session
//! writes must be OpenWire. The first byte chooses the beginning and the room. The fuzz target and the tests that replay its
//! corpus share this.

use bytes::Bytes;
use sabir_model::delivery::{Delivery, DeliveryKind};
use sabir_model::fields::{self, number as field};
use sabir_model::message::{BodyKind, Field, Fixed, HeadWriter, Message as ModelMessage};
use sabir_model::verb::{Answer, Reason, Refusal, Reply, Request, Told, Verb};
use sabir_protocol_openwire::codec::{
    Command, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo, Decoder, Destination, DestinationKind,
    Encoder, Framed, LocalTransactionId, Options, ProducerId, ProducerInfo, SessionId, SessionInfo,
    TransactionId, TransactionInfo, WireFormatInfo, map::Value,
};
use sabir_protocol_openwire::{OpenWire, OpenWireSession};
use sabir_sdk::Host;
use sabir_sdk::protocol::{
    Attributes, BodyAssembler, Capacities, ChunkInfo, DeliveryArray, Framing, Input, Now, OutBuffers,
    Protocol, ReplyArray, Session, SessionParams,
};
use std::sync::{Arc, OnceLock};

/// What comes before the arbitrary bytes, and what the broker's end has agreed on by then.
struct Beginning {
    bytes: Vec<u8>,
    agreed: Option<Options>,
}

/// Nothing; agreed but not logged in; logged in, in several versions and encodings.
fn beginnings() -> &'static [Beginning] {
    static MADE: OnceLock<Vec<Beginning>> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut made = vec![Beginning { bytes: Vec::new(), agreed: None }];
        made.push(negotiated(12, true, true).0);
        made.extend([(12, true, true), (12, false, false), (1, true, false), (6, false, true)].map(
            |(version, tight, cache)| {
                let (mut beginning, mut encoder) = negotiated(version, tight, cache);
                for command in login() {
                    // Versions lack commands.
                    let _ = encoder.encode(&command, &mut beginning.bytes);
                }
                beginning
            },
        ));
        made
    })
}

fn negotiated(version: i32, tight: bool, cache: bool) -> (Beginning, Encoder) {
    let mut ours = WireFormatInfo { version, ..WireFormatInfo::preferred() };
    ours.set("TightEncodingEnabled", Value::Boolean(tight));
    ours.set("CacheEnabled", Value::Boolean(cache));
    let mut theirs = WireFormatInfo::preferred();
    theirs.set("StackTraceEnabled", Value::Boolean(false));
    let options = Options::negotiate(&ours, &theirs).expect("what both prefer can be agreed on");
    let mut bytes = Vec::new();
    Encoder::new(Options::initial())
        .encode(&Command::WireFormatInfo(Box::new(ours)), &mut bytes)
        .expect("a first frame can be written");
    (Beginning { bytes, agreed: Some(options) }, Encoder::new(options))
}

const CONNECTION: &str = "ID:c-1:1";

/// A client with consumers of each sort, producers with and without a destination, and a transaction.
fn login() -> Vec<Command> {
    let destination = |kind, name| Some(Arc::new(Destination::new(kind, name)));
    let consumer = |value, kind, name, prefetch_size| {
        let id = ConsumerId { connection_id: CONNECTION.into(), session_id: 1, value };
        Command::ConsumerInfo(Box::new(ConsumerInfo {
            command_id: value as i32,
            response_required: true,
            consumer_id: Some(Arc::new(id)),
            destination: destination(kind, name),
            prefetch_size,
            ..ConsumerInfo::default()
        }))
    };
    let producer = |value, window_size, destination| {
        let id = ProducerId { connection_id: CONNECTION.into(), value, session_id: 1 };
        Command::ProducerInfo(ProducerInfo {
            producer_id: Some(Arc::new(id)),
            destination,
            window_size,
            ..ProducerInfo::default()
        })
    };
    let connection = Arc::new(ConnectionId { value: CONNECTION.into() });
    let session = SessionId { connection_id: CONNECTION.into(), value: 1 };
    let local = LocalTransactionId { value: 1, connection_id: Some(connection.clone()) };
    vec![
        Command::ConnectionInfo(Box::new(ConnectionInfo {
            response_required: true,
            connection_id: Some(connection.clone()),
            client_id: Some("desk".into()),
            manageable: true,
            ..ConnectionInfo::default()
        })),
        Command::SessionInfo(SessionInfo { session_id: Some(Arc::new(session)), ..SessionInfo::default() }),
        consumer(1, DestinationKind::Queue, "q", 10),
        consumer(2, DestinationKind::Topic, "ActiveMQ.Advisory.TempQueue,ActiveMQ.Advisory.TempTopic", 5),
        consumer(3, DestinationKind::Queue, "pulled", 0),
        producer(1, 0, destination(DestinationKind::Queue, "q")),
        producer(2, 4096, None),
        Command::TransactionInfo(TransactionInfo {
            connection_id: Some(connection),
            transaction_id: Some(Arc::new(TransactionId::Local(local))),
            kind: TransactionInfo::BEGIN,
            ..TransactionInfo::default()
        }),
    ]
}

/// Feeds a session with `data` behind a beginning, and asks of it what must always hold.
pub fn session(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let beginnings = beginnings();
    let beginning = &beginnings[usize::from(choice >> 1) % beginnings.len()];
    let room = match choice & 1 {
        0 => Capacities::default(),
        // Room for one step of most commands, so that many find none at first.
        _ => Capacities { verbs: 4, arena_bytes: 3000, segments: 6, owned: 2 },
    };
    Ends::open(beginning, room).feed(&beginning.bytes, data);
}

/// A session, and a broker and a client at its ends.
struct Ends {
    session: OpenWireSession,
    buffers: OutBuffers,
    assembler: BodyAssembler,
    requests: Vec<Request>,
    now: Now,
    /// What the session wrote and the client has not read.
    written: Vec<u8>,
    client: Decoder,
    agreed: Option<Options>,
    frames: usize,
    tag: u64,
}

impl Ends {
    fn open(beginning: &Beginning, room: Capacities) -> Ends {
        let now = Now { monotonic_ms: 1_000_000, unix_ms: 1_700_000_000_000 };
        let openwire = OpenWire::open(Host::none(), "{}").expect("the defaults are settings");
        let params = SessionParams {
            session_id: 1,
            connection_id: "fuzz-1",
            broker: "sabir/0",
            framing: Framing::Stream,
            attributes: Attributes::none(),
            max_head_bytes: 64 * 1024,
            max_message_bytes: 1024 * 1024,
        };
        let mut buffers = OutBuffers::new(room);
        let session = openwire.session(&params, now, &mut buffers.out()).expect("a session opens");
        let written = buffers.output(&[]);
        Ends {
            session,
            buffers,
            assembler: BodyAssembler::new(1024 * 1024),
            requests: Vec::new(),
            now,
            written,
            client: Decoder::new(Options::initial()),
            agreed: beginning.agreed,
            frames: 0,
            tag: 0,
        }
    }

    /// The beginning comes at once, the rest in pieces; broker and time go on in between.
    fn feed(mut self, beginning: &[u8], data: &[u8]) {
        // How the bytes are cut depends on how many there are.
        let cut = (1 + data.len() % 97).max(data.len() / 50);
        let mut kept = Vec::new();
        for chunk in std::iter::once(beginning).chain(data.chunks(cut)) {
            kept.extend_from_slice(chunk);
            if !self.take(&mut kept) || !self.answer() || !self.deliver() || !self.pass_time() {
                break;
            }
            assert!(kept.len() <= 64 * 1024 + 256, "more is left where it was read than is gathered");
        }
        self.read_written();
    }

    /// Offers bytes until nothing more is taken. `false`: the session has closed the link.
    fn take(&mut self, kept: &mut Vec<u8>) -> bool {
        loop {
            let before = self.requests.len();
            self.buffers.reset();
            let input = Input { bytes: kept, info: ChunkInfo::default() };
            self.session.on_bytes(self.now, input, &mut self.buffers.out());
            self.buffers.check(kept.len()).expect("a session keeps to the contract");
            let (consumed, full) = (self.buffers.consumed(), self.buffers.full());
            let wrote = self.collect(kept, &[]);
            kept.drain(..consumed);
            if self.buffers.close() {
                return false;
            }
            if !full {
                return true;
            }
            let stands = consumed == 0 && self.requests.len() == before && !wrote;
            assert!(!stands, "it asks for room for ever");
        }
    }

    /// Keeps what a call has brought. Answers whether something was written.
    fn collect(&mut self, input: &[u8], deliveries: &[Delivery]) -> bool {
        let output = self.buffers.output(deliveries);
        self.written.extend_from_slice(&output);
        self.buffers
            .drain_requests(input, &mut self.assembler, &mut self.requests)
            .expect("a session asks for what can be asked for");
        !output.is_empty()
    }

    /// The broker answers: mostly it does as it was asked.
    fn answer(&mut self) -> bool {
        let asked = std::mem::take(&mut self.requests);
        let replies: Vec<Reply> = asked.iter().filter(|request| request.confirm).map(reply).collect();
        if replies.is_empty() {
            return true;
        }
        self.buffers.reset();
        let array = ReplyArray::of(&replies);
        let taken = self.session.on_replies(self.now, array.lend(), &mut self.buffers.out());
        assert_eq!(taken, replies.len());
        self.collect(&[], &[]);
        !self.buffers.close()
    }

    /// A message for each of the first consumers, in one of the forms that bodies have.
    fn deliver(&mut self) -> bool {
        let deliveries: Vec<Delivery> = (1..=3)
            .map(|subscription| {
                self.tag += 1;
                delivery(subscription, self.tag)
            })
            .collect();
        self.buffers.reset();
        let array = DeliveryArray::of(&deliveries);
        self.session.on_deliveries(self.now, array.lend(), &mut self.buffers.out());
        self.collect(&[], &deliveries);
        !self.buffers.close()
    }

    /// What found no room is written when the deadline has passed, which is at once; then some time passes.
    fn pass_time(&mut self) -> bool {
        for _ in 0..1000 {
            if self.buffers.close() || self.buffers.deadline().is_none_or(|due| due > self.now.monotonic_ms) {
                self.now.monotonic_ms += 700;
                return !self.buffers.close();
            }
            self.buffers.reset();
            self.session.on_timer(self.now, &mut self.buffers.out());
            self.collect(&[], &[]);
        }
        panic!("a deadline that has passed stays");
    }

    /// The client must be able to read all that was written, if it is known what was agreed.
    fn read_written(&mut self) {
        let Some(agreed) = self.agreed else { return };
        let mut rest = &self.written[..];
        while let Framed::Whole { body, consumed } = self.client.frame(rest).expect("a frame") {
            self.client.decode(&rest[body]).expect("what was written can be read");
            rest = &rest[consumed..];
            self.frames += 1;
            if self.frames == 1 {
                self.client.renegotiate(agreed);
            }
        }
    }
}

fn reply(request: &Request) -> Reply {
    let answer = match &request.verb {
        Verb::Query(_) => {
            let mut told = Told { text: "2".to_owned(), fields: Vec::new() };
            for name in ["temp-queue://ID:other-1:1:1", "queue://q"] {
                fields::put(&mut told.fields, field::DESTINATION, name.as_bytes());
            }
            Answer::Told(Box::new(told))
        }
        Verb::Connect(_) => Answer::Done,
        _ if request.token % 5 == 4 => Answer::Refused(Box::new(Refusal::new(Reason::Forbidden, "no"))),
        _ => Answer::Done,
    };
    Reply { token: request.token, answer }
}

fn delivery(subscription: u64, tag: u64) -> Delivery {
    const KINDS: [BodyKind; 6] =
        [BodyKind::None, BodyKind::Bytes, BodyKind::Text, BodyKind::Map, BodyKind::Stream, BodyKind::Object];
    let body_kind = KINDS[tag as usize % KINDS.len()];
    let mut head = Vec::new();
    let fixed = Fixed { body_kind, body_encoding: (tag % 4) as u16, ..Fixed::default() };
    let mut writer = HeadWriter::new(&mut head, &fixed);
    assert!(writer.field(Field::Id, format!("ID:other-1:1:1:1:{tag}").as_bytes()));
    assert!(writer.field(Field::Destination, b"queue://q"));
    writer.finish();
    let body: &[u8] = match body_kind {
        BodyKind::None => b"",
        _ => b"\0\0\0\x04text",
    };
    let message = ModelMessage::split(Bytes::from(head), Bytes::from_static(body)).expect("a message");
    let kind = DeliveryKind::Message {
        message,
        label: Bytes::new(),
        redelivery_count: (tag % 3) as u32,
        redelivered: !tag.is_multiple_of(3),
        group_first: false,
        auto_accept: false,
    };
    Delivery { subscription, tag, kind }
}
