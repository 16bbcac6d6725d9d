// SPDX-License-Identifier: Apache-2.0
//! Protocols: state machines that turn bytes into verbs, and deliveries back into bytes.
//!
//! A session does no input or output, reads no clock, and never calls the host: every call tells it what happened
//! and lends it an [`Out`] to fill.

use crate::{Host, Result};
pub use sabir_boundary::buffers::{BodyAssembler, Capacities, OutBuffers, Segment, SegmentBytes, VerbError};
pub use sabir_boundary::incoming::{Deliveries, DeliveryRef, Replies, ReplyRef};
pub use sabir_boundary::out::{Mark, Out, Piece, VerbMeta};
pub use sabir_boundary::{Attributes, ChunkInfo, DeliveryArray, Flow, Framing, Match, ReplyArray};
pub use sabir_model::Now;

/// What a session is told when it is opened.
#[derive(Clone, Copy, Debug)]
pub struct SessionParams<'a> {
    /// Unique while the broker runs.
    pub session_id: u64,
    /// A text that no other connection to any broker has had or will have: for message ids.
    pub connection_id: &'a str,
    /// Name and version of the broker, as `sabir/0.1.0`.
    pub broker: &'a str,
    /// Framing of the link.
    pub framing: Framing,
    /// What is known of the link.
    pub attributes: Attributes<'a>,
    /// The longest frame head or command, in bytes, that the session may demand whole.
    pub max_head_bytes: u64,
    /// The largest message, in bytes, that will be taken.
    pub max_message_bytes: u64,
}

/// A kind of protocol: one instance per configuration, shared by all threads.
pub trait Protocol: Send + Sync + Sized + 'static {
    /// The name in the configuration: `[a-z][a-z0-9-]*`, at most 32 bytes.
    const NAME: &'static str;
    /// `sabir_abi::SABIR_CAP_PROTOCOL_*`.
    const CAPABILITIES: u64;
    /// `sabir_abi::SABIR_CAP_HOST_*` that it cannot do without.
    const REQUIRED_HOST_CAPABILITIES: u64 = 0;
    /// JSON Schema of the configuration; empty: it has none.
    const CONFIG_SCHEMA: &'static str = "";
    /// Its sessions.
    type Session: Session;

    /// Makes an instance. `config` is a JSON object.
    fn open(host: Host, config: &str) -> Result<Self>;

    /// Tells whether a link speaks this protocol, from its first bytes.
    fn matches(&self, prefix: &[u8], attributes: Attributes<'_>) -> Match;

    /// Opens a session.
    fn session(&self, params: &SessionParams<'_>, now: Now, out: &mut Out<'_>) -> Result<Self::Session>;
}

/// Bytes that have arrived: those that were not consumed before, and new ones behind them.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The bytes. They may be none when the session had set [`Out::set_full`].
    pub bytes: &'a [u8],
    /// What is known of them, on links with boundaries.
    pub info: ChunkInfo,
}

/// One connection as its protocol sees it. Calls never overlap. Everything that comes from the link is untrusted.
pub trait Session: Send + 'static {
    /// Bytes have arrived.
    fn on_bytes(&mut self, now: Now, input: Input<'_>, out: &mut Out<'_>);

    /// Verbs were answered. Answers how many of the replies were taken; the rest is offered again.
    fn on_replies(&mut self, now: Now, replies: Replies<'_>, out: &mut Out<'_>) -> usize;

    /// Messages for the session's subscriptions. Answers how many were taken; the rest is offered again.
    fn on_deliveries(&mut self, now: Now, deliveries: Deliveries<'_>, out: &mut Out<'_>) -> usize;

    /// The flow has changed.
    fn on_flow(&mut self, now: Now, flow: Flow, reason: &str, out: &mut Out<'_>) {
        let _ = (now, flow, reason, out);
    }

    /// The deadline that the session had set has passed.
    fn on_timer(&mut self, now: Now, out: &mut Out<'_>) {
        let _ = (now, out);
    }

    /// The broker ends the session and lets it say so to its peer.
    fn on_close(&mut self, now: Now, reason: &str, out: &mut Out<'_>) {
        let _ = (now, reason, out);
    }
}
