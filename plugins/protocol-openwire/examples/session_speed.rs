// SPDX-License-Identifier: Apache-2.0
//! How long a session takes per message, without broker, link and plugin boundary.
//!
//! `cargo run --release -p sabir-protocol-openwire --example session_speed`

use bytes::Bytes;
use sabir_model::Delivery;
use sabir_model::delivery::DeliveryKind;
use sabir_model::verb::{Answer, Reply, Request, Verb};
use sabir_protocol_openwire::codec::{
    Blob, Command, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo, Decoder, Destination,
    DestinationKind, Encoder, Framed, Message, MessageAck, MessageId, MessageKind, Options, ProducerId,
    ProducerInfo, SessionId, SessionInfo, WireFormatInfo,
};
use sabir_protocol_openwire::{OpenWire, OpenWireSession};
use sabir_sdk::Host;
use sabir_sdk::protocol::{
    Attributes, BodyAssembler, Capacities, ChunkInfo, DeliveryArray, Framing, Input, Now, OutBuffers,
    Protocol, ReplyArray, Session, SessionParams,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const NOW: Now = Now { monotonic_ms: 1_000_000, unix_ms: 1_700_000_000_000 };
const CONNECTION: &str = "ID:producer-41234-1700000000000-1:1";
const BATCH: usize = 64;
/// Short runs, many of them: on a busy machine most are interrupted.
const ROUNDS: usize = 50;
const REPEATS: usize = 301;

fn main() {
    println!("nanoseconds per message, the lowest twentieth of {REPEATS} runs, in batches of {BATCH}");
    for (name, body) in [("100 B", 100), ("1 KiB", 1024), ("16 KiB", 16 * 1024)] {
        println!("publish {name} with its response        {:7.1}", publish(body, true));
        println!("publish {name} without one              {:7.1}", publish(body, false));
        println!("dispatch {name} and its acknowledgement {:7.1}", deliver(body));
    }
}

/// A session with a producer and a consumer.
struct Peer {
    session: OpenWireSession,
    buffers: OutBuffers,
    encoder: Encoder,
    requests: Vec<Request>,
}

impl Peer {
    fn new() -> Peer {
        let openwire = OpenWire::open(Host::none(), "{}").expect("the default configuration is one");
        let params = SessionParams {
            session_id: 1,
            connection_id: "5f1c2d3e-1",
            broker: "sabir/0.1.0",
            framing: Framing::Stream,
            attributes: Attributes::none(),
            max_head_bytes: 64 * 1024,
            max_message_bytes: 100 * 1024 * 1024,
        };
        let capacities =
            Capacities { arena_bytes: 4 << 20, verbs: 1024, segments: 4096, ..Capacities::default() };
        let mut buffers = OutBuffers::new(capacities);
        let session = openwire.session(&params, NOW, &mut buffers.out()).expect("a session opens");
        let encoder = Encoder::new(Options::initial());
        let mut peer = Peer { session, buffers, encoder, requests: Vec::new() };
        peer.log_in();
        peer
    }

    fn log_in(&mut self) {
        let mut ours = WireFormatInfo::preferred();
        self.send(Command::WireFormatInfo(Box::new(ours.clone())));
        ours.set("StackTraceEnabled", sabir_protocol_openwire::codec::map::Value::Boolean(false));
        self.encoder.renegotiate(Options::negotiate(&ours, &ours).expect("two equal ones agree"));
        self.send(Command::ConnectionInfo(Box::new(ConnectionInfo {
            connection_id: Some(Arc::new(ConnectionId { value: CONNECTION.into() })),
            ..ConnectionInfo::default()
        })));
        let id = SessionId { connection_id: CONNECTION.into(), value: 1 };
        self.send(Command::SessionInfo(SessionInfo {
            session_id: Some(Arc::new(id)),
            ..SessionInfo::default()
        }));
        self.send(Command::ProducerInfo(ProducerInfo {
            producer_id: Some(producer()),
            destination: Some(queue()),
            ..ProducerInfo::default()
        }));
        self.send(Command::ConsumerInfo(Box::new(ConsumerInfo {
            consumer_id: Some(consumer()),
            destination: Some(queue()),
            prefetch_size: 1000,
            ..ConsumerInfo::default()
        })));
    }

    fn encode(&mut self, command: &Command, into: &mut Vec<u8>) {
        self.encoder.encode(command, into).expect("it can be written");
    }

    fn send(&mut self, command: Command) {
        let mut bytes = Vec::new();
        self.encode(&command, &mut bytes);
        self.feed(&bytes);
        self.answer();
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.buffers.reset();
        self.session.on_bytes(NOW, Input { bytes, info: ChunkInfo::default() }, &mut self.buffers.out());
        assert_eq!(self.buffers.consumed(), bytes.len());
        assert!(!self.buffers.close());
    }

    /// Answers what was asked since the last call.
    fn answer(&mut self) {
        let mut assembler = BodyAssembler::new(u64::MAX);
        self.buffers
            .drain_requests(&[], &mut assembler, &mut self.requests)
            .expect("verbs as they should be");
        let wanted = self.requests.drain(..).filter(|request| request.confirm);
        let replies: Vec<Reply> =
            wanted.map(|request| Reply { token: request.token, answer: Answer::Done }).collect();
        self.reply(&replies);
    }

    fn reply(&mut self, replies: &[Reply]) {
        self.buffers.reset();
        self.session.on_replies(NOW, ReplyArray::of(replies).lend(), &mut self.buffers.out());
    }
}

fn producer() -> Arc<ProducerId> {
    Arc::new(ProducerId { connection_id: CONNECTION.into(), value: 1, session_id: 1 })
}

fn consumer() -> Arc<ConsumerId> {
    Arc::new(ConsumerId { connection_id: CONNECTION.into(), session_id: 1, value: 1 })
}

fn queue() -> Arc<Destination> {
    Arc::new(Destination::new(DestinationKind::Queue, "ORDERS.EU"))
}

fn message(sequence: i64, body: usize, respond: bool) -> Command {
    let mut content = (body as u32).to_be_bytes().to_vec();
    content.resize(body + 4, b'x');
    Command::Message(Box::new(Message {
        command_id: sequence as i32,
        response_required: respond,
        kind: MessageKind::Text,
        producer_id: Some(producer()),
        destination: Some(queue()),
        message_id: Some(MessageId {
            producer_id: Some(producer()),
            producer_sequence_id: sequence,
            ..MessageId::default()
        }),
        persistent: true,
        priority: 4,
        timestamp: NOW.unix_ms,
        content: Some(Blob::from(content)),
        ..Message::default()
    }))
}

fn measure(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..ROUNDS {
                run();
            }
            begin.elapsed().as_nanos() as f64 / (ROUNDS * BATCH) as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[REPEATS / 20]
}

/// Includes the answers, where the session waits for them.
fn publish(body: usize, respond: bool) -> f64 {
    let mut peer = Peer::new();
    // The first frame has the ids and the destination in full; the others refer to them.
    let mut first = Vec::new();
    peer.encode(&message(0, body, respond), &mut first);
    peer.feed(&first);
    let mut batch = Vec::new();
    for sequence in 1..=BATCH {
        peer.encode(&message(sequence as i64, body, respond), &mut batch);
    }
    // The number of a command is all that the token of a response holds.
    let replies: Vec<Reply> =
        (1..=BATCH as u64).map(|id| Reply { token: 1 << 56 | id, answer: Answer::Done }).collect();
    measure(|| {
        peer.feed(black_box(&batch));
        if respond {
            peer.reply(&replies);
        }
        black_box(&peer.buffers);
    })
}

/// A message as the broker has it: as it was published.
fn published(body: usize) -> sabir_model::Message {
    let mut peer = Peer::new();
    let mut bytes = Vec::new();
    peer.encode(&message(1, body, false), &mut bytes);
    peer.feed(&bytes);
    let mut requests = Vec::new();
    let mut assembler = BodyAssembler::new(u64::MAX);
    peer.buffers.drain_requests(&bytes, &mut assembler, &mut requests).expect("verbs as they should be");
    match requests.pop().map(|request| request.verb) {
        Some(Verb::Publish(message)) => message,
        other => panic!("no publish: {other:?}"),
    }
}

fn deliver(body: usize) -> f64 {
    let mut peer = Peer::new();
    let message = published(body);
    let delivery = |tag| Delivery {
        subscription: 1,
        tag,
        kind: DeliveryKind::Message {
            message: message.clone(),
            label: Bytes::new(),
            redelivery_count: 0,
            redelivered: false,
            group_first: false,
            auto_accept: false,
        },
    };
    let deliveries: Vec<Delivery> = (1..=BATCH as u64).map(delivery).collect();
    let array = DeliveryArray::of(&deliveries);
    let acks = acknowledgements(&mut peer, &array, &deliveries);
    measure(|| {
        peer.buffers.reset();
        let taken = peer.session.on_deliveries(NOW, array.lend(), &mut peer.buffers.out());
        assert_eq!(taken, BATCH);
        black_box(&peer.buffers);
        peer.feed(black_box(&acks));
    })
}

/// One for each of the deliveries, as a client without optimised acknowledgements sends them.
fn acknowledgements(peer: &mut Peer, array: &DeliveryArray<'_>, deliveries: &[Delivery]) -> Vec<u8> {
    peer.buffers.reset();
    peer.session.on_deliveries(NOW, array.lend(), &mut peer.buffers.out());
    let output = peer.buffers.output(deliveries);
    let mut decoder = Decoder::new(*peer.encoder.options());
    let (mut at, mut acks) = (0, Vec::new());
    while let Ok(Framed::Whole { body, consumed }) = decoder.frame(&output[at..]) {
        let frame = &output[at + body.start..at + body.end];
        at += consumed;
        let Ok(Command::MessageDispatch(dispatch)) = decoder.decode(frame) else { continue };
        let ack = MessageAck {
            destination: dispatch.destination.clone(),
            consumer_id: dispatch.consumer_id.clone(),
            ack_type: MessageAck::STANDARD,
            last_message_id: dispatch.message.and_then(|message| message.message_id),
            message_count: 1,
            ..MessageAck::default()
        };
        peer.encode(&Command::MessageAck(Box::new(ack)), &mut acks);
    }
    peer.feed(&acks);
    acks
}
