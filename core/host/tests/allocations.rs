// SPDX-License-Identifier: Apache-2.0
//! The hot calls through the plugin boundary allocate nothing once their memory is warm: not per call, and so not per
//! message.

use ::sabir_host::{ChunkInfo, Framing, OutBuffers, Registry, SessionParams, runtime};
use sabir_model::delivery::{Delivery, DeliveryKind};
use sabir_model::message::{Fixed, HeadWriter};
use sabir_model::verb::{Answer, Reply};
use sabir_model::{Message, Now};
use sabir_sdk::protocol::{Attributes, Deliveries, Input, Match, Out, Protocol, Replies, Session, VerbMeta};
use sabir_sdk::{Host, Result, abi};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is the system allocator's; counting touches no memory but a constant thread-local.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

sabir_sdk::plugin! {
    /// One quiet protocol.
    pub static PLUGIN: name = "quiet", description = "a protocol that allocates nothing", protocols = [Quiet]
}

struct Quiet;

impl Protocol for Quiet {
    const NAME: &'static str = "quiet";
    const CAPABILITIES: u64 = abi::SABIR_CAP_PROTOCOL_STREAM;
    type Session = Quiet;

    fn open(_: Host, _: &str) -> Result<Self> {
        Ok(Quiet)
    }

    fn matches(&self, _: &[u8], _: Attributes<'_>) -> Match {
        Match::No
    }

    fn session(&self, _: &sabir_sdk::protocol::SessionParams<'_>, _: Now, _: &mut Out<'_>) -> Result<Quiet> {
        Ok(Quiet)
    }
}

impl Session for Quiet {
    fn on_bytes(&mut self, _: Now, input: Input<'_>, out: &mut Out<'_>) {
        for token in 0..64 {
            out.credit(VerbMeta { token, ..VerbMeta::default() }, 1, false);
            out.write(b"answer");
        }
        out.consume(input.bytes.len());
    }

    fn on_replies(&mut self, _: Now, replies: Replies<'_>, out: &mut Out<'_>) -> usize {
        replies.iter().for_each(|_| out.write(b"receipt"));
        replies.len()
    }

    fn on_deliveries(&mut self, _: Now, deliveries: Deliveries<'_>, out: &mut Out<'_>) -> usize {
        for (index, delivery) in deliveries.iter().enumerate() {
            out.write(b"frame");
            out.write_body(index, 0, delivery.body.len());
        }
        deliveries.len()
    }
}

fn delivery(tag: u64) -> Delivery {
    let mut record = Vec::new();
    HeadWriter::new(&mut record, &Fixed::default()).finish();
    record.extend_from_slice(b"body");
    let kind = DeliveryKind::Message {
        message: Message::joined(record.into()).unwrap(),
        label: Default::default(),
        redelivery_count: 0,
        redelivered: false,
        group_first: false,
        auto_accept: true,
    };
    Delivery { subscription: 1, tag, kind }
}

#[test]
fn bytes_replies_and_deliveries_cross_without_an_allocation() {
    let mut registry = Registry::new();
    registry.add(&PLUGIN).unwrap();
    let protocol = registry.protocol("quiet").unwrap().open_protocol("{}").unwrap();
    let params = SessionParams {
        session_id: 1,
        connection_id: "c",
        broker: runtime::NAME,
        framing: Framing::Stream,
        attributes: &[],
        max_head_bytes: 4096,
        max_message_bytes: 4096,
    };
    let now = runtime::now();
    let mut out = OutBuffers::default();
    let mut session = protocol.session(&params, now, &mut out).unwrap();
    let deliveries: Vec<Delivery> = (1..=64).map(delivery).collect();
    let replies: Vec<Reply> = (1..=64).map(|token| Reply { token, answer: Answer::Done }).collect();
    let mut round = || {
        out.reset();
        session.on_bytes(now, b"input", ChunkInfo::default(), &mut out).unwrap();
        assert_eq!((out.verb_count(), out.consumed()), (64, 5));
        out.reset();
        assert_eq!(session.on_replies(now, &replies, &mut out), Ok(64));
        out.reset();
        assert_eq!(session.on_deliveries(now, &deliveries, &mut out), Ok(64));
    };
    round();
    let before = COUNT.get();
    for _ in 0..100 {
        round();
    }
    assert_eq!(COUNT.get() - before, 0);
}
