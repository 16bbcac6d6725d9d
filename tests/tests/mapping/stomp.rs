// SPDX-License-Identifier: Apache-2.0
//! One session of STOMP: what its client sends as messages, and messages as what its client reads.

use bytes::Bytes;
use sabir_model::Delivery;
use sabir_model::delivery::DeliveryKind;
use sabir_model::message::Message;
use sabir_model::verb::{Answer, Reply, Request, Verb};
use sabir_protocol_stomp::{Stomp, StompSession};
use sabir_sdk::Host;
use sabir_sdk::protocol::{
    Attributes, BodyAssembler, Capacities, ChunkInfo, DeliveryArray, Framing, Input, Now, OutBuffers,
    Protocol, ReplyArray, Session, SessionParams,
};

pub const NOW: Now = Now { monotonic_ms: 1, unix_ms: 1_800_000_000_000 };

pub struct Client {
    session: StompSession,
    buffers: OutBuffers,
    assembler: BodyAssembler,
}

impl Client {
    /// Logged in, and subscribed to the queue `Q`.
    pub fn new() -> Client {
        let stomp = Stomp::open(Host::none(), "{}").expect("the defaults");
        let params = SessionParams {
            session_id: 1,
            connection_id: "c1",
            broker: "sabir/0",
            framing: Framing::Stream,
            attributes: Attributes::none(),
            max_head_bytes: 64 * 1024,
            max_message_bytes: 10 << 20,
        };
        let mut buffers = OutBuffers::new(Capacities::default());
        let session = stomp.session(&params, NOW, &mut buffers.out()).expect("a session");
        let mut client = Client { session, buffers, assembler: BodyAssembler::new(u64::MAX) };
        client.send(b"CONNECT\naccept-version:1.2\nhost:x\n\n\0");
        client.send(b"SUBSCRIBE\nid:s\ndestination:/queue/Q\nack:client\n\n\0");
        client
    }

    /// Sends frames; the broker answers whatever it is asked.
    pub fn send(&mut self, frames: &[u8]) -> Vec<Request> {
        self.buffers.reset();
        let input = Input { bytes: frames, info: ChunkInfo::default() };
        self.session.on_bytes(NOW, input, &mut self.buffers.out());
        assert_eq!(self.buffers.consumed(), frames.len());
        let mut requests = Vec::new();
        self.buffers.drain_requests(frames, &mut self.assembler, &mut requests).expect("verbs");
        let replies: Vec<Reply> = requests
            .iter()
            .filter(|request| request.confirm)
            .map(|request| Reply { token: request.token, answer: Answer::Done })
            .collect();
        self.buffers.reset();
        let array = ReplyArray::of(&replies);
        assert_eq!(self.session.on_replies(NOW, array.lend(), &mut self.buffers.out()), replies.len());
        requests
    }

    /// The message of a `SEND` to `/queue/Q` with these headers.
    pub fn published(&mut self, headers: &str, body: &[u8]) -> Message {
        let head = format!("SEND\ndestination:/queue/Q\n{headers}\n");
        let requests = self.send(&[head.as_bytes(), body, b"\0"].concat());
        let published = requests.into_iter().find_map(|request| match request.verb {
            Verb::Publish(message) => Some(message),
            _ => None,
        });
        published.expect("a message")
    }

    /// The `MESSAGE` that a message becomes.
    pub fn read(&mut self, message: &Message) -> Frame {
        self.read_delivery(&delivery(message))
    }

    pub fn read_delivery(&mut self, delivery: &Delivery) -> Frame {
        self.buffers.reset();
        let deliveries = std::slice::from_ref(delivery);
        let array = DeliveryArray::of(deliveries);
        assert_eq!(self.session.on_deliveries(NOW, array.lend(), &mut self.buffers.out()), 1);
        Frame::read(&self.buffers.output(deliveries))
    }
}

/// A message on its way to a client's only subscription.
pub fn delivery(message: &Message) -> Delivery {
    let kind = DeliveryKind::Message {
        message: message.clone(),
        label: Bytes::new(),
        redelivery_count: 0,
        redelivered: false,
        group_first: false,
        auto_accept: false,
    };
    Delivery { subscription: 1, tag: 9, kind }
}

/// A frame as its client reads it.
#[derive(Debug)]
pub struct Frame {
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Frame {
    fn read(bytes: &[u8]) -> Frame {
        let at = bytes.windows(2).position(|window| window == b"\n\n").expect("a head");
        let head = std::str::from_utf8(&bytes[..at]).expect("UTF-8");
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("MESSAGE"));
        let plain = |text: &str| text.replace("\\c", ":").replace("\\n", "\n").replace("\\\\", "\\");
        let headers = lines
            .map(|line| line.split_once(':').expect("a header"))
            .map(|(name, value)| (plain(name), plain(value)))
            .collect();
        let body = bytes[at + 2..].strip_suffix(b"\0").expect("the end of a frame").to_vec();
        Frame { headers, body }
    }

    /// The first header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}
