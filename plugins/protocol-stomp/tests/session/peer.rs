// SPDX-License-Identifier: Apache-2.0
//! A client and a broker at the two ends of one session.

use bytes::Bytes;
use sabir_model::Delivery;
use sabir_model::delivery::DeliveryKind;
use sabir_model::message::{BodyKind, Field, Fixed, HeadWriter, Message};
use sabir_model::property::Value;
use sabir_model::verb::{Answer, Reason, Refusal, Reply, Request, Verb};
use sabir_protocol_stomp::{Stomp, StompSession};
use sabir_sdk::Host;
use sabir_sdk::protocol::{
    Attributes, BodyAssembler, Capacities, ChunkInfo, DeliveryArray, Flow, Framing, Input, Now, OutBuffers,
    Protocol, ReplyArray, Session, SessionParams,
};

/// Both ends of a session.
pub struct Peer {
    session: StompSession,
    buffers: OutBuffers,
    assembler: BodyAssembler,
    input: Vec<u8>,
    /// What the session has asked of the broker and no test has looked at.
    pub requests: Vec<Request>,
    output: Vec<u8>,
    /// The session has closed the link.
    pub closed: bool,
    /// The time.
    pub now: Now,
}

/// The time at which tests begin.
pub const START: Now = Now { monotonic_ms: 1_000_000, unix_ms: 1_700_000_000_000 };

impl Peer {
    /// A session with the default settings.
    pub fn new() -> Peer {
        Peer::with("{}", Capacities::default())
    }

    /// A session with these settings.
    pub fn with(config: &str, capacities: Capacities) -> Peer {
        let stomp = Stomp::open(Host::none(), config).unwrap();
        let params = SessionParams {
            session_id: 1,
            connection_id: "c1",
            broker: "sabir/0.1.0",
            framing: Framing::Stream,
            attributes: Attributes::none(),
            max_head_bytes: 64 * 1024,
            max_message_bytes: 10 * 1024 * 1024,
        };
        let mut buffers = OutBuffers::new(capacities);
        let session = stomp.session(&params, START, &mut buffers.out()).unwrap();
        Peer {
            session,
            buffers,
            assembler: BodyAssembler::new(u64::MAX),
            input: Vec::new(),
            requests: Vec::new(),
            output: Vec::new(),
            closed: false,
            now: START,
        }
    }

    /// A session of 1.2 that has logged in and has little room in each call.
    pub fn cramped(headers: &str, capacities: Capacities) -> Peer {
        let mut peer = Peer::with("{}", capacities);
        peer.send(format!("CONNECT\naccept-version:1.2\nhost:x\n{headers}\n\0"));
        peer.answer_all();
        assert!(peer.text().starts_with("CONNECTED\n"));
        peer.requests.clear();
        peer
    }

    /// A session that has logged in with this version.
    pub fn connected(version: &str) -> Peer {
        Peer::logged_in(version, "", "{}")
    }

    /// A session that has logged in with these headers and settings.
    pub fn logged_in(version: &str, headers: &str, config: &str) -> Peer {
        let mut peer = Peer::with(config, Capacities::default());
        peer.send(format!("CONNECT\naccept-version:{version}\nhost:x\n{headers}\n\0").as_bytes());
        peer.answer_all();
        let connected = peer.text();
        assert!(connected.starts_with("CONNECTED\n"), "{connected}");
        assert!(matches!(peer.take().verb, Verb::Connect(_)));
        peer
    }

    /// The client sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.input.extend_from_slice(bytes.as_ref());
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

    /// Bytes that the session has not taken.
    pub fn waiting(&self) -> usize {
        self.input.len()
    }

    /// The broker answers.
    pub fn reply(&mut self, replies: &[Reply]) {
        let mut rest = replies;
        while !rest.is_empty() {
            self.buffers.reset();
            let array = ReplyArray::of(rest);
            let taken = self.session.on_replies(self.now, array.lend(), &mut self.buffers.out());
            assert!(taken > 0);
            rest = rest.get(taken..).unwrap();
            if self.collect(&[], &[]) {
                self.send([]);
            }
        }
    }

    /// The broker says that a verb is done.
    pub fn done(&mut self, token: u64) {
        self.reply(&[Reply { token, answer: Answer::Done }]);
    }

    /// The broker refuses a verb.
    pub fn refuse(&mut self, token: u64, reason: Reason, text: &str) {
        let answer = Answer::Refused(Box::new(Refusal::new(reason, text)));
        self.reply(&[Reply { token, answer }]);
    }

    /// The broker answers everything that awaits an answer, and keeps the requests for the test.
    pub fn answer_all(&mut self) {
        let tokens: Vec<u64> =
            self.requests.iter().filter(|request| request.confirm).map(|request| request.token).collect();
        for token in tokens {
            self.done(token);
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

    /// The broker delivers a body in pieces, of which the first `skip` were taken; the answer is how many are now.
    pub fn deliver_pieces(&mut self, delivery: &Delivery, piece_bytes: usize, skip: usize) -> usize {
        self.deliver_all_in_pieces(std::slice::from_ref(delivery), piece_bytes, skip)
    }

    /// The same for several; their pieces follow each other.
    pub fn deliver_all_in_pieces(
        &mut self,
        deliveries: &[Delivery],
        piece_bytes: usize,
        skip: usize,
    ) -> usize {
        self.buffers.reset();
        let array = DeliveryArray::in_pieces(deliveries, piece_bytes).after(skip);
        let taken = self.session.on_deliveries(self.now, array.lend(), &mut self.buffers.out());
        self.collect(&[], deliveries);
        taken
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

    /// What was written since the last look.
    pub fn bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// The same, as text, with NUL shown as `^@`.
    pub fn text(&mut self) -> String {
        String::from_utf8(self.bytes()).unwrap().replace('\0', "^@")
    }

    /// The first request that no test has looked at.
    #[track_caller]
    pub fn take(&mut self) -> Request {
        assert!(!self.requests.is_empty(), "nothing was asked; output: {:?}", self.text());
        self.requests.remove(0)
    }

    /// The message of the next request, which must be a publish.
    #[track_caller]
    pub fn take_message(&mut self) -> Message {
        loop {
            match self.take().verb {
                Verb::Publish(message) => return message,
                Verb::Attach(_) | Verb::Declare(_) | Verb::Detach => continue,
                other => panic!("{other:?} is no publish"),
            }
        }
    }

    /// Expects that nothing was asked and written, but an `ERROR` with these words and the end of the link.
    #[track_caller]
    pub fn expect_error(&mut self, words: &str) -> String {
        let text = self.text();
        assert!(text.contains("ERROR\n"), "no ERROR in {text:?}");
        assert!(text.contains(words), "{words:?} is not in {text:?}");
        assert!(self.closed, "the link is open after {text:?}");
        text
    }
}

/// A message to be delivered.
pub struct Sample {
    /// Fixed part of the head.
    pub fixed: Fixed,
    /// Fields.
    pub fields: Vec<(Field, Vec<u8>)>,
    /// Properties.
    pub properties: Vec<(&'static str, Value<'static>)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Sample {
    /// A text for a queue.
    pub fn text(body: &str) -> Sample {
        Sample {
            fixed: Fixed { body_kind: BodyKind::Text, timestamp_ms: 5, ..Fixed::default() },
            fields: vec![(Field::Id, b"m-1".to_vec()), (Field::Destination, b"queue://q".to_vec())],
            properties: Vec::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    /// Bytes for a queue.
    pub fn bytes(body: &[u8]) -> Sample {
        let mut sample = Sample::text("");
        sample.fixed.body_kind = BodyKind::Bytes;
        sample.body = body.to_vec();
        sample
    }

    /// The message.
    pub fn message(&self) -> Message {
        let mut head = Vec::new();
        let mut writer = HeadWriter::new(&mut head, &self.fixed);
        for (field, value) in &self.fields {
            assert!(writer.field(*field, value));
        }
        for (name, value) in &self.properties {
            assert!(writer.property(name, value));
        }
        writer.finish();
        Message::split(Bytes::from(head), Bytes::from(self.body.clone())).unwrap()
    }

    /// The message on its way.
    pub fn to(&self, subscription: u64, tag: u64) -> Delivery {
        Delivery {
            subscription,
            tag,
            kind: DeliveryKind::Message {
                message: self.message(),
                label: Bytes::new(),
                redelivery_count: 0,
                redelivered: false,
                group_first: false,
                auto_accept: false,
            },
        }
    }
}
