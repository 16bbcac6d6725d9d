// SPDX-License-Identifier: Apache-2.0
//! A client and a broker at the two ends of one session. The client speaks through the crate's own codec.

use bytes::Bytes;
use sabir_model::Delivery;
use sabir_model::delivery::DeliveryKind;
use sabir_model::message::{Apart, BodyKind, Field, Fixed, HeadWriter, Message as ModelMessage, Piece};
use sabir_model::property::Value;
use sabir_model::verb::{Answer, Reason, Refusal, Reply, Request, Told, Verb};
use sabir_protocol_openwire::codec::{
    Blob, Command, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo, Decoder, Destination,
    DestinationKind, Encoder, Framed, Message, MessageAck, MessageDispatch, MessageId, MessageKind, Options,
    ProducerId, ProducerInfo, SessionId, SessionInfo, WireFormatInfo,
};
use sabir_protocol_openwire::{OpenWire, OpenWireSession};
use sabir_sdk::Host;
use sabir_sdk::protocol::{
    Attributes, BodyAssembler, Capacities, ChunkInfo, DeliveryArray, Flow, Framing, Input, Now, OutBuffers,
    Protocol, ReplyArray, Session, SessionParams,
};
use std::sync::Arc;

/// Both ends of a session.
pub struct Peer {
    session: OpenWireSession,
    buffers: OutBuffers,
    assembler: BodyAssembler,
    input: Vec<u8>,
    /// What the session has asked of the broker and no test has looked at.
    pub requests: Vec<Request>,
    output: Vec<u8>,
    encoder: Encoder,
    decoder: Decoder,
    commands: i32,
    /// The session has closed the link.
    pub closed: bool,
    /// The time.
    pub now: Now,
}

/// The time at which tests begin.
pub const START: Now = Now { monotonic_ms: 1_000_000, unix_ms: 1_700_000_000_000 };

/// The largest message that the broker takes.
pub const MAX_MESSAGE_BYTES: u64 = 10 * 1024 * 1024;

/// The connection's name.
pub const CONNECTION: &str = "ID:test-1:1";

impl Peer {
    /// A session with these settings, that has not seen a byte.
    pub fn with(config: &str, capacities: Capacities) -> Peer {
        let openwire = OpenWire::open(Host::none(), config).unwrap();
        let params = SessionParams {
            session_id: 1,
            connection_id: "c1",
            broker: "sabir/0.1.0",
            framing: Framing::Stream,
            attributes: Attributes::none(),
            max_head_bytes: 64 * 1024,
            max_message_bytes: MAX_MESSAGE_BYTES,
        };
        let mut buffers = OutBuffers::new(capacities);
        let session = openwire.session(&params, START, &mut buffers.out()).unwrap();
        let mut peer = Peer {
            session,
            buffers,
            assembler: BodyAssembler::new(u64::MAX),
            input: Vec::new(),
            requests: Vec::new(),
            output: Vec::new(),
            encoder: Encoder::new(Options::initial()),
            decoder: Decoder::new(Options::initial()),
            commands: 0,
            closed: false,
            now: START,
        };
        peer.collect(&[], &[]);
        peer
    }

    /// A session with the default settings, that has not seen a byte.
    pub fn new() -> Peer {
        Peer::with("{}", Capacities::default())
    }

    /// A session that has agreed on this version.
    pub fn negotiated(config: &str, version: i32, capacities: Capacities) -> Peer {
        let mut peer = Peer::with(config, capacities);
        let Command::WireFormatInfo(theirs) = peer.take_command() else { panic!("no WireFormatInfo") };
        peer.agree(version, &theirs);
        assert!(matches!(peer.take_command(), Command::BrokerInfo(_)));
        peer
    }

    /// The client says what it speaks, and what follows is said so.
    pub fn agree(&mut self, version: i32, theirs: &WireFormatInfo) {
        let ours = WireFormatInfo { version, ..WireFormatInfo::preferred() };
        self.send(Command::WireFormatInfo(Box::new(ours.clone())));
        let options = Options::negotiate(&ours, theirs).unwrap();
        self.encoder.renegotiate(options);
        self.decoder.renegotiate(options);
    }

    /// A session that has logged in.
    pub fn connected() -> Peer {
        Peer::logged_in("{}", 12, Capacities::default())
    }

    /// A session that has logged in with these settings and this version, and has begun session 1.
    pub fn logged_in(config: &str, version: i32, capacities: Capacities) -> Peer {
        let mut peer = Peer::negotiated(config, version, capacities);
        let id = peer.ask(Command::ConnectionInfo(Box::new(connection_info())));
        let request = peer.take();
        assert!(matches!(request.verb, Verb::Connect(_)));
        peer.done(&request);
        assert_eq!(peer.take_response(), id);
        peer.send(session_info(1));
        peer
    }

    /// The client sends a command that wants a response. Answers its number.
    pub fn ask(&mut self, mut command: Command) -> i32 {
        command.set_response_required(true);
        self.send(command)
    }

    /// The client sends a command. Answers its number.
    pub fn send(&mut self, command: Command) -> i32 {
        let bytes = self.frame(command);
        self.send_bytes(&bytes);
        self.commands
    }

    /// The client's next command as bytes, to be sent.
    pub fn frame(&mut self, mut command: Command) -> Vec<u8> {
        self.commands += 1;
        command.set_command_id(self.commands);
        let mut bytes = Vec::new();
        self.encoder.encode(&command, &mut bytes).unwrap();
        bytes
    }

    /// The client sends bytes.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        loop {
            self.buffers.reset();
            let mut out = self.buffers.out();
            let input = Input { bytes: &self.input, info: ChunkInfo::default() };
            self.session.on_bytes(self.now, input, &mut out);
            let consumed = self.buffers.consumed();
            let input = std::mem::take(&mut self.input);
            let before = (self.requests.len(), self.output.len());
            let full = self.collect(&input, &[]);
            let stands = consumed == 0 && before == (self.requests.len(), self.output.len());
            assert!(!(full && stands), "the session asks for room for ever");
            self.input = input.get(consumed..).unwrap().to_vec();
            if !full {
                return;
            }
        }
    }

    fn collect(&mut self, input: &[u8], deliveries: &[Delivery]) -> bool {
        self.buffers.check(input.len()).unwrap();
        self.output.extend(self.buffers.output(deliveries));
        self.buffers.drain_requests(input, &mut self.assembler, &mut self.requests).unwrap();
        self.closed |= self.buffers.close();
        self.buffers.full()
    }

    /// Bytes of a body that the broker has and whose message is to come.
    pub fn pending_bytes(&self) -> usize {
        self.assembler.pending_bytes()
    }

    /// Bytes that the session has not taken.
    pub fn waiting(&self) -> usize {
        self.input.len()
    }

    /// The broker answers.
    pub fn reply(&mut self, token: u64, answer: Answer) {
        self.replies(&[Reply { token, answer }]);
    }

    /// The broker says of several verbs at once that they are done.
    pub fn done_together(&mut self, requests: &[Request]) {
        let done = |request: &Request| Reply { token: request.token, answer: Answer::Done };
        self.replies(&requests.iter().map(done).collect::<Vec<_>>());
    }

    fn replies(&mut self, replies: &[Reply]) {
        self.buffers.reset();
        let array = ReplyArray::of(replies);
        let taken = self.session.on_replies(self.now, array.lend(), &mut self.buffers.out());
        assert_eq!(taken, replies.len());
        if self.collect(&[], &[]) {
            self.send_bytes(&[]);
        }
    }

    /// The broker says that a verb is done.
    pub fn done(&mut self, request: &Request) {
        self.reply(request.token, Answer::Done);
    }

    /// The broker says what it was asked for.
    pub fn told(&mut self, request: &Request, fields: Vec<u8>) {
        self.reply(request.token, Answer::Told(Box::new(Told { text: String::new(), fields })));
    }

    /// The broker refuses a verb.
    pub fn refuse(&mut self, request: &Request, reason: Reason, text: &str) {
        self.reply(request.token, Answer::Refused(Box::new(Refusal::new(reason, text))));
    }

    /// The broker does everything that it was asked since nobody looked, and forgets it.
    pub fn done_all(&mut self) {
        for request in std::mem::take(&mut self.requests) {
            if request.confirm {
                self.done(&request);
            }
        }
    }

    /// The broker delivers; the answer is how many were taken at once.
    pub fn deliver(&mut self, deliveries: &[Delivery]) -> usize {
        self.buffers.reset();
        let array = DeliveryArray::of(deliveries);
        let taken = self.session.on_deliveries(self.now, array.lend(), &mut self.buffers.out());
        self.collect(&[], deliveries);
        taken
    }

    /// The broker delivers a body in pieces.
    pub fn deliver_pieces(&mut self, delivery: &Delivery, piece_bytes: usize) {
        let one = std::slice::from_ref(delivery);
        let mut array = DeliveryArray::in_pieces(one, piece_bytes);
        while array.raw().1 > 0 {
            self.buffers.reset();
            let taken = self.session.on_deliveries(self.now, array.lend(), &mut self.buffers.out());
            let before = self.output.len();
            self.collect(&[], one);
            assert!(taken > 0 || self.output.len() > before, "the session takes nothing");
            array = array.after(taken);
        }
    }

    /// The broker delivers the first pieces of a body, each in a call of its own, as one that has no more of it.
    pub fn deliver_first_pieces(&mut self, delivery: &Delivery, piece_bytes: usize, count: usize) {
        for piece in pieces_of(delivery, piece_bytes).iter().take(count) {
            assert_eq!(self.deliver(std::slice::from_ref(piece)), 1);
        }
    }

    /// Bytes that the client has and that make no whole frame yet.
    pub fn unread(&self) -> usize {
        self.output.len()
    }

    /// The flow changes.
    pub fn flow(&mut self, read_paused: bool) {
        self.buffers.reset();
        let flow = Flow { parked: read_paused, read_paused };
        self.session.on_flow(self.now, flow, "test", &mut self.buffers.out());
        self.collect(&[], &[]);
    }

    /// The broker ends the session.
    pub fn close(&mut self, reason: &str) {
        self.buffers.reset();
        self.session.on_close(self.now, reason, &mut self.buffers.out());
        self.collect(&[], &[]);
    }

    /// When the session wants to be called.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.buffers.deadline().map(|deadline| deadline - START.monotonic_ms)
    }

    /// Time passes; the timer is called if it is due.
    pub fn advance(&mut self, ms: u64) {
        self.now.monotonic_ms += ms;
        self.now.unix_ms += ms as i64;
        if self.buffers.deadline().is_some_and(|deadline| deadline <= self.now.monotonic_ms) {
            self.buffers.reset();
            self.session.on_timer(self.now, &mut self.buffers.out());
            self.collect(&[], &[]);
        }
    }

    /// The next command that was written, if there is one.
    pub fn next_command(&mut self) -> Option<Command> {
        match self.decoder.frame(&self.output).unwrap() {
            Framed::Need(_) => {
                assert!(self.output.is_empty(), "half a frame was written");
                None
            }
            Framed::Whole { body, consumed } => {
                let frame = Bytes::copy_from_slice(&self.output[body]);
                let mut command = self.decoder.decode(&frame).unwrap();
                if let Command::MessageDispatch(dispatch) = &mut command
                    && let Some(message) = &mut dispatch.message
                {
                    message.detach(&frame);
                }
                self.output.drain(..consumed);
                Some(command)
            }
        }
    }

    /// The next command that was written.
    #[track_caller]
    pub fn take_command(&mut self) -> Command {
        self.next_command().expect("nothing was written")
    }

    /// All commands that were written.
    pub fn take_commands(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.next_command()).collect()
    }

    /// What the next response is for.
    #[track_caller]
    pub fn take_response(&mut self) -> i32 {
        match self.take_command() {
            Command::Response(response) => response.correlation_id,
            other => panic!("no response: {other:?}"),
        }
    }

    /// The next exception, to a command or by itself: the class, and the text.
    #[track_caller]
    pub fn take_exception(&mut self) -> (Option<i32>, String, String) {
        let (command, exception) = match self.take_command() {
            Command::ExceptionResponse(response) => (Some(response.correlation_id), response.exception),
            Command::ConnectionError(error) => (None, error.exception),
            other => panic!("no exception: {other:?}"),
        };
        let exception = exception.unwrap();
        (command, exception.class.into(), exception.message.unwrap_or_default().into())
    }

    /// The next message for a consumer.
    #[track_caller]
    pub fn take_dispatch(&mut self) -> MessageDispatch {
        match self.take_command() {
            Command::MessageDispatch(dispatch) => *dispatch,
            other => panic!("no dispatch: {other:?}"),
        }
    }

    /// The first request that no test has looked at.
    #[track_caller]
    pub fn take(&mut self) -> Request {
        assert!(!self.requests.is_empty(), "nothing was asked");
        self.requests.remove(0)
    }

    /// A consumer of a queue with this prefetch, in session 1. The broker numbers consumers from 1.
    pub fn consumer(&mut self, value: i64, queue: &str, prefetch: i32) -> Arc<ConsumerId> {
        let info = consumer_info(value, DestinationKind::Queue, queue, prefetch);
        let id = info.consumer_id.clone().unwrap();
        let command = self.ask(Command::ConsumerInfo(Box::new(info)));
        let request = self.take();
        assert!(matches!(request.verb, Verb::Subscribe(_)));
        self.done(&request);
        assert_eq!(self.take_response(), command);
        id
    }

    /// Acknowledges up to a message that was dispatched.
    pub fn ack(&mut self, kind: u8, dispatches: &[&MessageDispatch]) -> i32 {
        self.send(Command::MessageAck(Box::new(ack(kind, dispatches))))
    }
}

/// How the client introduces itself.
pub fn connection_info() -> ConnectionInfo {
    ConnectionInfo {
        connection_id: Some(Arc::new(ConnectionId { value: CONNECTION.into() })),
        client_id: Some("desk".into()),
        user_name: Some("ann".into()),
        password: Some("secret".into()),
        client_master: true,
        ..ConnectionInfo::default()
    }
}

/// The beginning of a session.
pub fn session_info(value: i64) -> Command {
    let id = SessionId { connection_id: CONNECTION.into(), value };
    Command::SessionInfo(SessionInfo { session_id: Some(Arc::new(id)), ..SessionInfo::default() })
}

/// A consumer in session 1.
pub fn consumer_info(value: i64, kind: DestinationKind, name: &str, prefetch_size: i32) -> ConsumerInfo {
    let id = ConsumerId { connection_id: CONNECTION.into(), session_id: 1, value };
    ConsumerInfo {
        consumer_id: Some(Arc::new(id)),
        destination: Some(Arc::new(Destination::new(kind, name))),
        prefetch_size,
        ..ConsumerInfo::default()
    }
}

/// A producer's name in session 1.
pub fn producer_id(value: i64) -> Arc<ProducerId> {
    Arc::new(ProducerId { connection_id: CONNECTION.into(), value, session_id: 1 })
}

/// A producer in session 1.
pub fn producer_info(value: i64, destination: Option<&str>) -> ProducerInfo {
    let queue = |name: &str| Arc::new(Destination::new(DestinationKind::Queue, name));
    ProducerInfo {
        producer_id: Some(producer_id(value)),
        destination: destination.map(queue),
        ..ProducerInfo::default()
    }
}

/// A text for a queue.
pub fn text_message(producer: i64, sequence: i64, queue: &str, text: &str) -> Message {
    let mut content = (text.len() as u32).to_be_bytes().to_vec();
    content.extend_from_slice(text.as_bytes());
    Message {
        kind: MessageKind::Text,
        producer_id: Some(producer_id(producer)),
        destination: Some(Arc::new(Destination::new(DestinationKind::Queue, queue))),
        message_id: Some(MessageId {
            producer_id: Some(producer_id(producer)),
            producer_sequence_id: sequence,
            ..MessageId::default()
        }),
        persistent: true,
        priority: 4,
        timestamp: START.unix_ms,
        content: Some(Blob::from(content)),
        ..Message::default()
    }
}

/// An acknowledgement of the first to the last of these; of one: from the start.
pub fn ack(kind: u8, dispatches: &[&MessageDispatch]) -> MessageAck {
    let id = |dispatch: &&MessageDispatch| dispatch.message.as_ref().unwrap().message_id.clone();
    MessageAck {
        destination: dispatches[0].destination.clone(),
        consumer_id: dispatches[0].consumer_id.clone(),
        ack_type: kind,
        first_message_id: if dispatches.len() > 1 { id(&dispatches[0]) } else { None },
        last_message_id: dispatches.last().and_then(id),
        message_count: dispatches.len() as i32,
        ..MessageAck::default()
    }
}

/// A message to be delivered.
pub fn sample(number: u64, kind: BodyKind, body: &[u8]) -> ModelMessage {
    sample_to(number, "queue://Q", kind, body)
}

/// The same, sent elsewhere.
pub fn sample_to(number: u64, destination: &str, kind: BodyKind, body: &[u8]) -> ModelMessage {
    let mut head = Vec::new();
    let fixed = Fixed { body_kind: kind, persistent: true, timestamp_ms: 5, ..Fixed::default() };
    let mut writer = HeadWriter::new(&mut head, &fixed);
    assert!(writer.field(Field::Id, format!("ID:other-1:1:1:1:{number}").as_bytes()));
    assert!(writer.field(Field::Destination, destination.as_bytes()));
    assert!(writer.property("number", &Value::Long(number as i64)));
    writer.finish();
    ModelMessage::split(Bytes::from(head), Bytes::copy_from_slice(body)).unwrap()
}

/// A message on its way to a subscription.
pub fn delivery(subscription: u64, tag: u64, message: ModelMessage) -> Delivery {
    Delivery {
        subscription,
        tag,
        kind: DeliveryKind::Message {
            message,
            label: Bytes::new(),
            redelivery_count: 0,
            redelivered: false,
            auto_accept: false,
            group_first: false,
        },
    }
}

/// A delivery with its body in pieces.
pub fn pieces_of(delivery: &Delivery, piece_bytes: usize) -> Vec<Delivery> {
    let DeliveryKind::Message { message, .. } = &delivery.kind else { panic!("no message") };
    let body = message.body_bytes();
    let mut at = 0;
    let mut pieces = Vec::new();
    while at < body.len() {
        let end = body.len().min(at + piece_bytes);
        let (more, continued, total) = (end < body.len(), at > 0, body.len() as u64);
        let piece = Piece { bytes: body.slice(at..end), total, more, continued };
        let mut part = delivery.clone();
        if let DeliveryKind::Message { message, .. } = &mut part.kind {
            *message = message.with_body(Apart::Piece(Box::new(piece)));
        }
        pieces.push(part);
        at = end;
    }
    pieces
}

/// A text on its way; its number is its tag.
pub fn text_delivery(subscription: u64, tag: u64) -> Delivery {
    delivery(subscription, tag, sample(tag, BodyKind::Text, b"hello"))
}
