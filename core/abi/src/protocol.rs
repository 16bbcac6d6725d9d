// SPDX-License-Identifier: Apache-2.0
//! Protocols: state machines that turn bytes into broker verbs, and deliveries back into bytes.
//!
//! A session is one connection as its protocol sees it. It does no input or output, reads no clock and never calls
//! the host: every call gives it what happened and an [`sabir_out`] to fill. The host owns all buffers, so it
//! enforces the limits. The host calls the functions of one session one at a time.

use crate::{
    sabir_attributes, sabir_bytes, sabir_chunk_info, sabir_error, sabir_host, sabir_now, sabir_slice,
};
use core::ffi::c_void;

/// `matches`: these bytes are not this protocol. Since 1.0.
pub const SABIR_MATCH_NO: i64 = 0;
/// `matches`: these bytes are this protocol. Since 1.0.
pub const SABIR_MATCH_YES: i64 = 1;
/// `matches`: more bytes are needed to tell. Since 1.0.
pub const SABIR_MATCH_NEED_MORE: i64 = 2;

/// Verb: log in. Must be the session's first. Rare. Since 1.0.
pub const SABIR_VERB_CONNECT: u32 = 1;
/// Verb: orderly end of the session; what was not settled is released. Rare. Since 1.0.
pub const SABIR_VERB_DISCONNECT: u32 = 2;
/// Verb: make the producer `id` for a destination. Rare. Since 1.0.
pub const SABIR_VERB_ATTACH: u32 = 3;
/// Verb: end the producer `id`. Rare. Since 1.0.
pub const SABIR_VERB_DETACH: u32 = 4;
/// Verb: make a destination or exchange. Rare. Since 1.0.
pub const SABIR_VERB_DECLARE: u32 = 5;
/// Verb: remove a destination, exchange or durable subscription. Rare. Since 1.0.
pub const SABIR_VERB_DELETE: u32 = 6;
/// Verb: tie an exchange to a target. Rare. Since 1.0.
pub const SABIR_VERB_BIND: u32 = 7;
/// Verb: untie it. Rare. Since 1.0.
pub const SABIR_VERB_UNBIND: u32 = 8;
/// Verb: make the subscription `id`. Rare. Since 1.0.
pub const SABIR_VERB_SUBSCRIBE: u32 = 9;
/// Verb: end the subscription `id`. Rare. Since 1.0.
pub const SABIR_VERB_UNSUBSCRIBE: u32 = 10;
/// Verb: ask something. Rare. Since 1.0.
pub const SABIR_VERB_QUERY: u32 = 11;
/// Verb: begin, commit or roll back the transaction `transaction`. Since 1.0.
pub const SABIR_VERB_TRANSACT: u32 = 12;
/// Verb: send a message through the producer `id`. Since 1.0.
pub const SABIR_VERB_PUBLISH: u32 = 13;
/// Verb: more of the body of the last `PUBLISH`, which had `SABIR_PUBLISH_MORE`. Since 1.0.
pub const SABIR_VERB_BODY: u32 = 14;
/// Verb: settle deliveries of the subscription `id`. Since 1.0.
pub const SABIR_VERB_SETTLE: u32 = 15;
/// Verb: allow the subscription `id` more deliveries. Since 1.0.
pub const SABIR_VERB_CREDIT: u32 = 16;
/// Verb: a step of a branch of a distributed transaction: `SABIR_FIELD_BRANCH` and `SABIR_FIELD_BRANCH_ACT`. Rare. Since
/// 1.2.
pub const SABIR_VERB_BRANCH: u32 = 17;

/// Verb flag: a reply is wanted. Without it only a refusal is replied. With `PUBLISH` the reply is the
/// confirmation, which a persistent message gets when it is durable. Since 1.0.
pub const SABIR_VERB_CONFIRM: u32 = 1 << 0;
/// `PUBLISH` and `BODY` flag: the body goes on in the next verb, a `BODY`. Since 1.0.
pub const SABIR_PUBLISH_MORE: u32 = 1 << 1;
/// `BODY` flag, with `SABIR_PUBLISH_MORE`: the first piece of a body whose message is not known yet. More `BODY` verbs with
/// `SABIR_PUBLISH_MORE` follow; other verbs may come between. `PUBLISH` flag, without `SABIR_PUBLISH_MORE`: these were its
/// body, and its own is the last piece. Any other `PUBLISH`, or another first piece, gives such a body up. Since 1.2.
pub const SABIR_BODY_FIRST: u32 = 1 << 2;
/// `SETTLE` flag: every unsettled delivery of the subscription up to `last`, whatever `first` says. Since 1.0.
pub const SABIR_SETTLE_CUMULATIVE: u32 = 1 << 1;
/// `SETTLE` flag: of every subscription of the session, not only of `id`. Since 1.0.
pub const SABIR_SETTLE_SESSION: u32 = 1 << 2;
/// `CREDIT` flag: `amount` replaces the credit instead of adding to it. Since 1.0.
pub const SABIR_CREDIT_SET: u32 = 1 << 1;
/// `CREDIT` flag: what can be delivered within the credit is delivered at once, then what is left of the credit is
/// dropped, and only then the verb is replied to, behind those deliveries. What has to be read from the store first is
/// waited for; messages that come later are not. Since 1.1.
pub const SABIR_CREDIT_DRAIN: u32 = 1 << 2;

/// Outcome: done with it. Since 1.0.
pub const SABIR_OUTCOME_ACCEPT: u32 = 1;
/// Outcome: it cannot be processed: to the dead letters, by policy. Since 1.0.
pub const SABIR_OUTCOME_REJECT: u32 = 2;
/// Outcome: deliver it again, counted as a delivery attempt. Since 1.0.
pub const SABIR_OUTCOME_RELEASE: u32 = 3;
/// Outcome: it was never looked at: deliver it again, not counted. Since 1.0.
pub const SABIR_OUTCOME_RETURN: u32 = 4;

/// `TRANSACT` action: begin. Since 1.0.
pub const SABIR_TRANSACT_BEGIN: u32 = 1;
/// `TRANSACT` action: commit. Since 1.0.
pub const SABIR_TRANSACT_COMMIT: u32 = 2;
/// `TRANSACT` action: roll back. Since 1.0.
pub const SABIR_TRANSACT_ROLLBACK: u32 = 3;

/// Piece source: the bytes lie in the input that `on_bytes` was given. Since 1.0.
pub const SABIR_PIECE_INPUT: u32 = 1;
/// Piece source: the bytes lie in `sabir_out.arena`. Since 1.0.
pub const SABIR_PIECE_ARENA: u32 = 2;
/// Piece source: the bytes are the element `offset` of `sabir_out.owned`, all of it. Since 1.0.
pub const SABIR_PIECE_OWNED: u32 = 3;

/// A run of bytes, named by where it lies. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_piece {
    /// `SABIR_PIECE_*`; 0: no bytes.
    pub source: u32,
    /// Zero.
    pub reserved: u32,
    /// First byte in the source, or index in `owned`.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

/// What `PUBLISH` carries. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_publish {
    /// The message's head in the canonical form (`docs/message-format.md`).
    pub head: sabir_piece,
    /// The message's body, or the first piece of it.
    pub body: sabir_piece,
}

/// What `SETTLE` carries. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_settle {
    /// First delivery tag.
    pub first: u64,
    /// Last delivery tag, inclusive.
    pub last: u64,
    /// `SABIR_OUTCOME_*`.
    pub outcome: u32,
    /// With `RELEASE`: not before so many milliseconds from now; 0: the destination's policy decides.
    pub delay_ms: u32,
    /// With `REJECT`: why, as text; kept with the dead letter.
    pub reason: sabir_piece,
}

/// What `CREDIT` carries. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_credit {
    /// Deliveries to allow.
    pub amount: u64,
    /// Zero.
    pub reserved: [u64; 5],
}

/// What `TRANSACT` carries. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_transact {
    /// `SABIR_TRANSACT_*`.
    pub action: u32,
    /// Zero.
    pub reserved: [u32; 11],
}

/// What a rare verb carries. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_rare {
    /// Fields, each `{u16 field, u16 zero, u32 length, bytes}`, little-endian, `SABIR_FIELD_*`. Unknown fields are
    /// skipped.
    pub fields: sabir_piece,
    /// Zero.
    pub reserved: [u64; 3],
}

/// The part of a verb that depends on its kind. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy)]
pub union sabir_verb_detail {
    /// With `PUBLISH`; with `BODY` only `body`.
    pub publish: sabir_publish,
    /// With `SETTLE`.
    pub settle: sabir_settle,
    /// With `CREDIT`.
    pub credit: sabir_credit,
    /// With `TRANSACT`.
    pub transact: sabir_transact,
    /// With every rare verb.
    pub rare: sabir_rare,
}

/// One verb. The order of verbs is the order in which they take effect. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct sabir_verb {
    /// `SABIR_VERB_*`.
    pub kind: u32,
    /// `SABIR_VERB_CONFIRM` and the flags of the kind.
    pub flags: u32,
    /// Chosen by the session, echoed in the reply.
    pub token: u64,
    /// Producer or subscription, chosen by the session; unique among its producers or subscriptions.
    pub id: u64,
    /// Transaction, chosen by the session; 0: none.
    pub transaction: u64,
    /// The rest.
    pub detail: sabir_verb_detail,
}

/// Field, text: user name. `CONNECT`. Since 1.0.
pub const SABIR_FIELD_USER: u16 = 1;
/// Field, bytes: password. `CONNECT`. Since 1.0.
pub const SABIR_FIELD_PASSWORD: u16 = 2;
/// Field, text: client id, for durable subscriptions. `CONNECT`. Since 1.0.
pub const SABIR_FIELD_CLIENT_ID: u16 = 3;
/// Field, text: virtual host; absent: the default one. `CONNECT`. Since 1.0.
pub const SABIR_FIELD_VIRTUAL_HOST: u16 = 4;
/// Field, text: protocol and version, as `stomp/1.2`. `CONNECT`. Since 1.0.
pub const SABIR_FIELD_PROTOCOL: u16 = 5;
/// Field, text: a destination, as `queue://NAME`, `topic://NAME`, `temp-queue://NAME`, `temp-topic://NAME` or
/// `exchange://NAME`; repeated: all of them. `ATTACH`, `DECLARE`, `DELETE`, `SUBSCRIBE`, `QUERY`. Since 1.0.
pub const SABIR_FIELD_DESTINATION: u16 = 6;
/// Field, text: a selector in the JMS grammar. `SUBSCRIBE`, `BIND`. Since 1.0.
pub const SABIR_FIELD_SELECTOR: u16 = 7;
/// Field, text: name of a durable subscription. `SUBSCRIBE`, `DELETE`. Since 1.0.
pub const SABIR_FIELD_SUBSCRIPTION_NAME: u16 = 8;
/// Field, u64: `SABIR_SUBSCRIBE_*`, `SABIR_DECLARE_*`, `SABIR_DELETE_*` or, since 1.1, `SABIR_CONNECT_*`. Since 1.0.
pub const SABIR_FIELD_FLAGS: u16 = 9;
/// Field, u64: deliveries allowed from the start. `SUBSCRIBE`. Since 1.0.
pub const SABIR_FIELD_CREDIT: u16 = 10;
/// Field, i64: consumer priority, -128 to 127. `SUBSCRIBE`. Since 1.0.
pub const SABIR_FIELD_PRIORITY: u16 = 11;
/// Field, text: producer name for duplicate detection. `ATTACH`. Since 1.0.
pub const SABIR_FIELD_PRODUCER_NAME: u16 = 12;
/// Field, text: the exchange. `BIND`, `UNBIND`. Since 1.0.
pub const SABIR_FIELD_SOURCE: u16 = 13;
/// Field, text: the target, a destination. `BIND`, `UNBIND`. Since 1.0.
pub const SABIR_FIELD_TARGET: u16 = 14;
/// Field, text: routing key or pattern. `BIND`, `UNBIND`. Since 1.0.
pub const SABIR_FIELD_KEY: u16 = 15;
/// Field, u64: what to ask: `SABIR_QUERY_*`. Since 1.0.
pub const SABIR_FIELD_QUERY: u16 = 16;
/// Field, text: `direct`, `fanout`, `topic` or `headers`. `DECLARE` of an exchange. Since 1.0.
pub const SABIR_FIELD_EXCHANGE_KIND: u16 = 17;
/// Field, u64: a count, in replies. Since 1.0.
pub const SABIR_FIELD_COUNT: u16 = 18;
/// Field, text: an argument `name=value` of the protocol's own, repeated. `DECLARE`. Since 1.0.
pub const SABIR_FIELD_ARGUMENT: u16 = 19;
/// Field, bytes: the name of a branch of a distributed transaction: i32 format id, u8 length of the global transaction id,
/// that id (at most 64 bytes), the branch qualifier (at most 64 bytes). `BRANCH`; repeated in the reply to
/// `SABIR_QUERY_PREPARED`. Since 1.2.
pub const SABIR_FIELD_BRANCH: u16 = 20;
/// Field, u64: `SABIR_BRANCH_*`. `BRANCH`. Since 1.2.
pub const SABIR_FIELD_BRANCH_ACT: u16 = 21;
/// Field, bytes: the canonical head of a message, repeated. In answers to `SABIR_QUERY_LIST` of a topic of the broker's
/// events: the events that would tell what there is. Since 1.2.
pub const SABIR_FIELD_MESSAGE: u16 = 22;

/// Flag of `CONNECT`: no other session of the virtual host may have this client id; while one has, the log-in is refused
/// with `SABIR_REASON_CONFLICT`. Since 1.1.
pub const SABIR_CONNECT_EXCLUSIVE_CLIENT_ID: u64 = 1 << 0;
/// Flag of `CONNECT`, with `SABIR_CONNECT_EXCLUSIVE_CLIENT_ID`: a session of the same user that has the client id is ended,
/// and this one takes its place: a client that has lost its connection comes back. Since 1.1.
pub const SABIR_CONNECT_TAKE_OVER: u64 = 1 << 1;
/// Flag of `SUBSCRIBE`: a delivery counts as accepted once its bytes were handed to the link. Since 1.0.
pub const SABIR_SUBSCRIBE_AUTO_ACCEPT: u64 = 1 << 0;
/// Flag of `SUBSCRIBE`: not the messages that this connection (for durable ones: this client id) sent. Since 1.0.
pub const SABIR_SUBSCRIBE_NO_LOCAL: u64 = 1 << 1;
/// Flag of `SUBSCRIBE`: only one subscription of the queue is served at a time. Since 1.0.
pub const SABIR_SUBSCRIBE_EXCLUSIVE: u64 = 1 << 2;
/// Flag of `SUBSCRIBE`: look without consuming; ends with `SABIR_DELIVERY_END_OF_BROWSE`. Since 1.0.
pub const SABIR_SUBSCRIBE_BROWSE: u64 = 1 << 3;
/// Flag of `SUBSCRIBE`: a topic subscription that keeps collecting while its consumer is away; needs a name. Since 1.0.
pub const SABIR_SUBSCRIBE_DURABLE: u64 = 1 << 4;
/// Flag of `SUBSCRIBE`: several consumers may share this durable subscription. Since 1.0.
pub const SABIR_SUBSCRIBE_SHARED: u64 = 1 << 5;
/// Flag of `SUBSCRIBE`: a durable subscription or queue goes when its last consumer goes. Since 1.0.
pub const SABIR_SUBSCRIBE_AUTO_DELETE: u64 = 1 << 6;
/// Flag of `SUBSCRIBE`: credit is used up by deliveries and only `CREDIT` gives more. Without it credit is a window
/// (prefetch): settling a delivery gives its credit back. Since 1.0.
pub const SABIR_SUBSCRIBE_LINK_CREDIT: u64 = 1 << 7;

/// Flag of `UNSUBSCRIBE` and `DELETE`: the durable subscription goes too, with what it has collected. Since 1.0.
pub const SABIR_DELETE_DURABLE: u64 = 1 << 0;
/// Flag of `DELETE`: only if it holds no message. Since 1.0.
pub const SABIR_DELETE_IF_EMPTY: u64 = 1 << 1;
/// Flag of `DELETE`: only if it has no consumer. Since 1.0.
pub const SABIR_DELETE_IF_UNUSED: u64 = 1 << 2;
/// Flag of `DECLARE`: survives a restart. Since 1.0.
pub const SABIR_DECLARE_DURABLE: u64 = 1 << 0;
/// Flag of `DECLARE`: goes when its last consumer goes. Since 1.0.
pub const SABIR_DECLARE_AUTO_DELETE: u64 = 1 << 1;
/// Flag of `DECLARE`: only this connection may use it; it goes with the connection. Since 1.0.
pub const SABIR_DECLARE_EXCLUSIVE: u64 = 1 << 2;
/// Flag of `DECLARE`: make nothing; refuse if it does not exist. Since 1.0.
pub const SABIR_DECLARE_PASSIVE: u64 = 1 << 3;

/// Query: destinations that match a pattern, with their counts. Since 1.0.
pub const SABIR_QUERY_LIST: u64 = 1;
/// Query: why the first waiting message of a queue is not delivered. Since 1.0.
pub const SABIR_QUERY_EXPLAIN: u64 = 2;
/// Query: the branches that are prepared. For each one the reply has `SABIR_FIELD_BRANCH`, `SABIR_FIELD_USER` if it has one,
/// and four `SABIR_FIELD_COUNT`: messages sent, deliveries settled, bytes sent, and when it was prepared, in milliseconds
/// since 1970. Needs no destination. Since 1.2.
pub const SABIR_QUERY_PREPARED: u64 = 3;

/// Step of a branch: begin the transaction `transaction` as a part of it. Sessions of one user may each have a part. What
/// is sent and settled in the transaction goes by its number. Since 1.2.
pub const SABIR_BRANCH_BEGIN: u64 = 1;
/// Step of a branch: keep it, durably, without making it count: it waits for `SABIR_BRANCH_COMMIT` or
/// `SABIR_BRANCH_ROLLBACK` from any session of its user, whatever happens to its own sessions and to the broker. The reply
/// may have `SABIR_FIELD_FLAGS`. Refused with `SABIR_REASON_ROLLED_BACK` it was rolled back. Since 1.2.
pub const SABIR_BRANCH_PREPARE: u64 = 2;
/// Step of a branch: commit a prepared one. Since 1.2.
pub const SABIR_BRANCH_COMMIT: u64 = 3;
/// Step of a branch: commit it, prepared or not. Since 1.2.
pub const SABIR_BRANCH_COMMIT_ONE_PHASE: u64 = 4;
/// Step of a branch: roll it back, prepared or not. What was settled in it, and by a consumer that is still there, is
/// unsettled again if a session asks for this that has taken part; else it returns to its queue. Since 1.2.
pub const SABIR_BRANCH_ROLLBACK: u64 = 5;
/// Step of a branch: replied to, out of turn, once the branch has ended of which the open transaction `transaction` is a
/// part. The reply has `SABIR_FIELD_FLAGS`. Since 1.2.
pub const SABIR_BRANCH_AWAIT: u64 = 6;
/// Flag in the reply to `SABIR_BRANCH_PREPARE`: there was nothing to keep; the branch is gone. Since 1.2.
pub const SABIR_BRANCH_READ_ONLY: u64 = 1 << 0;
/// Flag in the reply to `SABIR_BRANCH_AWAIT`: it was committed. Since 1.2.
pub const SABIR_BRANCH_COMMITTED: u64 = 1 << 1;
/// Flag in the reply to `SABIR_BRANCH_AWAIT`: it was rolled back, and what was settled in it is unsettled again. Since 1.2.
pub const SABIR_BRANCH_RESTORED: u64 = 1 << 2;

/// Reply flag: the session must be ended: log-in refused, or an error after which nothing can go on. Since 1.0.
pub const SABIR_REPLY_FATAL: u32 = 1 << 0;

/// Answer to a verb. *Borrowed* during `on_replies`. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_reply {
    /// Of the verb.
    pub token: u64,
    /// `SABIR_OK`, or `SABIR_ERR_*`: refused, without effect.
    pub status: i64,
    /// `SABIR_REASON_*`; 0 with `SABIR_OK`.
    pub reason: u32,
    /// `SABIR_REPLY_*`.
    pub flags: u32,
    /// With a refusal: why, for people. Otherwise what the verb asks for, as the name of a temporary destination.
    pub text: sabir_slice,
    /// Fields as in `sabir_rare`, by verb.
    pub fields: sabir_slice,
}

/// Reason: the verb does not fit the session's state, or its fields contradict each other. Since 1.0.
pub const SABIR_REASON_INVALID: u32 = 1;
/// Reason: wrong user name or password. Since 1.0.
pub const SABIR_REASON_UNAUTHENTICATED: u32 = 2;
/// Reason: the user may not do that. Since 1.0.
pub const SABIR_REASON_FORBIDDEN: u32 = 3;
/// Reason: no such destination, producer, subscription, delivery or transaction. Since 1.0.
pub const SABIR_REASON_NOT_FOUND: u32 = 4;
/// Reason: it exists already, differently. Since 1.0.
pub const SABIR_REASON_CONFLICT: u32 = 5;
/// Reason: a limit was reached; the text names it and its setting. Since 1.0.
pub const SABIR_REASON_LIMIT: u32 = 6;
/// Reason: the message is damaged or too large. Since 1.0.
pub const SABIR_REASON_BAD_MESSAGE: u32 = 7;
/// Reason: the selector cannot be parsed; the text says where. Since 1.0.
pub const SABIR_REASON_BAD_SELECTOR: u32 = 8;
/// Reason: the store has failed; nothing more is confirmed until the broker has restarted. Since 1.0.
pub const SABIR_REASON_STORE: u32 = 9;
/// Reason: the transaction was rolled back. Since 1.0.
pub const SABIR_REASON_ROLLED_BACK: u32 = 10;
/// Reason: the broker is stopping. Since 1.0.
pub const SABIR_REASON_STOPPING: u32 = 11;
/// Reason: this broker cannot do that. Since 1.0.
pub const SABIR_REASON_UNSUPPORTED: u32 = 12;
/// Reason: the queue is full and its policy refuses instead of waiting. Since 1.0.
pub const SABIR_REASON_FULL: u32 = 13;

/// Delivery flag: it may have been delivered before. Since 1.0.
pub const SABIR_DELIVERY_REDELIVERED: u32 = 1 << 0;
/// Delivery flag: no message: the browse is at its end. Since 1.0.
pub const SABIR_DELIVERY_END_OF_BROWSE: u32 = 1 << 1;
/// Delivery flag: no message: the broker has ended the subscription; `label` says why. Since 1.0.
pub const SABIR_DELIVERY_CANCELLED: u32 = 1 << 2;
/// Delivery flag: the body goes on in the session's next delivery, which has `SABIR_DELIVERY_CONTINUED`. Since 1.0.
pub const SABIR_DELIVERY_MORE: u32 = 1 << 3;
/// Delivery flag: only `body` counts: the next piece of the delivery before. Since 1.0.
pub const SABIR_DELIVERY_CONTINUED: u32 = 1 << 4;
/// Delivery flag: the first message of its group (`JMSXGroupID`) for this consumer. Since 1.1.
pub const SABIR_DELIVERY_GROUP_FIRST: u32 = 1 << 5;

/// A message on its way to a consumer. *Borrowed* during `on_deliveries`. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_delivery {
    /// The session's subscription.
    pub subscription: u64,
    /// To settle it with; grows within the session, never 0.
    pub tag: u64,
    /// `SABIR_DELIVERY_*`.
    pub flags: u32,
    /// How often it was delivered before and not accepted.
    pub redelivery_count: u32,
    /// Head in the canonical form.
    pub head: sabir_slice,
    /// What belongs to this entry alone: fields as in `sabir_rare` (origin and cause of a dead letter).
    pub label: sabir_slice,
    /// Body, or a piece of it.
    pub body: sabir_slice,
    /// Length of the whole body in bytes.
    pub body_total: u64,
}

/// Flow flag: publishes of this session are parked: a destination or the store is full. Since 1.0.
pub const SABIR_FLOW_PUBLISH_PARKED: u32 = 1 << 0;
/// Flow flag: the host reads nothing from this link for now; do not hold the peer's silence against it. Since 1.0.
pub const SABIR_FLOW_READ_PAUSED: u32 = 1 << 1;

/// Segment kind: bytes of `sabir_out.arena`. Since 1.0.
pub const SABIR_SEGMENT_ARENA: u32 = 1;
/// Segment kind: bytes of the body of the delivery `index` of this call. Since 1.0.
pub const SABIR_SEGMENT_BODY: u32 = 2;
/// Segment kind: bytes of the element `index` of `sabir_out.owned`. Since 1.0.
pub const SABIR_SEGMENT_OWNED: u32 = 3;

/// A run of bytes to write to the link. Segments are written in order. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_segment {
    /// `SABIR_SEGMENT_*`.
    pub kind: u32,
    /// `SABIR_CHUNK_*` on links that have boundaries.
    pub chunk_flags: u32,
    /// See `kind`.
    pub index: u64,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
    /// On links with framing `exchange`: the exchange that is answered.
    pub exchange_id: u64,
    /// On links with framing `message` over datagrams: the peer.
    pub peer_id: u64,
}

/// Out flag: close the link once everything was written. Since 1.0.
pub const SABIR_OUT_CLOSE: u32 = 1 << 0;
/// Out flag: `on_bytes` stopped because this struct was full, and wants to be called again with the same bytes.
/// Since 1.0.
pub const SABIR_OUT_FULL: u32 = 1 << 1;

/// What a session fills during a call. All arrays are the host's, *borrowed* during the call: the session appends
/// below the capacities and raises the lengths. A session that finds no room for its next step stops, and sets
/// `SABIR_OUT_FULL`; with empty arrays there is room for any one step within the limits of
/// `sabir_session_params`. Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_out {
    /// Size of this struct in bytes, set by the host.
    pub struct_size: u32,
    /// `SABIR_OUT_*`, set by the session.
    pub flags: u32,
    /// Verbs, in order.
    pub verbs: *mut sabir_verb,
    /// Room for so many verbs.
    pub verb_capacity: usize,
    /// Verbs filled.
    pub verb_count: usize,
    /// Bytes for heads, fields and output.
    pub arena: *mut u8,
    /// Room for so many bytes.
    pub arena_capacity: usize,
    /// Bytes filled.
    pub arena_len: usize,
    /// Output, in order.
    pub segments: *mut sabir_segment,
    /// Room for so many segments.
    pub segment_capacity: usize,
    /// Segments filled.
    pub segment_count: usize,
    /// Bytes whose ownership passes to the host.
    pub owned: *mut sabir_bytes,
    /// Room for so many.
    pub owned_capacity: usize,
    /// Elements filled.
    pub owned_count: usize,
    /// `on_bytes`: bytes of the input that are done with.
    pub consumed: usize,
    /// `on_bytes`: bytes needed in all, counted from the first one not consumed, before another call can get
    /// further; 0: any. A hint for buffers, never believed beyond the limits.
    pub needed: usize,
    /// Call `on_timer` at this `sabir_now.monotonic_ms`; `UINT64_MAX`: never. Keeps its value between calls.
    pub deadline_ms: u64,
}

/// What a session is told when it is opened. *Borrowed* during the call. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_session_params {
    /// Size of this struct in bytes, set by the host.
    pub struct_size: u32,
    /// `SABIR_FRAMING_*` of the link.
    pub framing: u32,
    /// Number of the session, unique while the broker runs.
    pub session_id: u64,
    /// A text that no other connection to any broker has had or will have: for message ids. At most 64 bytes of
    /// `[A-Za-z0-9-]`.
    pub connection_id: sabir_slice,
    /// Name and version of the broker, as `sabir/0.1.0`.
    pub broker: sabir_slice,
    /// Attributes of the link.
    pub attributes: sabir_attributes,
    /// The longest frame head or command, in bytes, that the session may demand whole.
    pub max_head_bytes: u64,
    /// The largest message, in bytes, that will be taken.
    pub max_message_bytes: u64,
}

/// Functions of a protocol and its sessions. Those of the protocol may be called from any thread; those of one
/// session never overlap. None may block. Everything that comes from the link is untrusted. Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_protocol_vtable {
    /// Size of this struct in bytes, as the plugin knew it.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Makes an instance. `config` is a JSON object, *borrowed*. `out` is *owned* by the caller until `close`.
    pub open: Option<
        unsafe extern "C" fn(
            host: *const sabir_host,
            config: sabir_slice,
            out: *mut *mut c_void,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Tells whether a link speaks this protocol, from its first bytes: `SABIR_MATCH_*`.
    pub matches: Option<
        unsafe extern "C" fn(protocol: *mut c_void, prefix: sabir_slice, attributes: sabir_attributes) -> i64,
    >,
    /// Opens a session. `session` is *owned* by the caller until `session_drop`.
    pub session_open: Option<
        unsafe extern "C" fn(
            protocol: *mut c_void,
            params: *const sabir_session_params,
            now: sabir_now,
            out: *mut sabir_out,
            session: *mut *mut c_void,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Bytes have arrived: those that were not consumed before, and new ones behind them. `len` may be 0 when the
    /// session had set `SABIR_OUT_FULL`.
    pub on_bytes: Option<
        unsafe extern "C" fn(
            session: *mut c_void,
            now: sabir_now,
            bytes: sabir_slice,
            info: *const sabir_chunk_info,
            out: *mut sabir_out,
        ) -> i64,
    >,
    /// Verbs were answered, in the order of the array; `stride` bytes lie between elements. Answers how many were
    /// taken; the host offers the rest again.
    pub on_replies: Option<
        unsafe extern "C" fn(
            session: *mut c_void,
            now: sabir_now,
            replies: *const sabir_reply,
            count: usize,
            stride: usize,
            out: *mut sabir_out,
        ) -> i64,
    >,
    /// Messages for the session's subscriptions. Answers how many were taken; the host offers the rest again.
    pub on_deliveries: Option<
        unsafe extern "C" fn(
            session: *mut c_void,
            now: sabir_now,
            deliveries: *const sabir_delivery,
            count: usize,
            stride: usize,
            out: *mut sabir_out,
        ) -> i64,
    >,
    /// The flow has changed: `SABIR_FLOW_*`. `reason` is for people, *borrowed*. NULL: nothing to do.
    pub on_flow: Option<
        unsafe extern "C" fn(
            session: *mut c_void,
            now: sabir_now,
            flow: u32,
            reason: sabir_slice,
            out: *mut sabir_out,
        ) -> i64,
    >,
    /// The session's deadline has passed. NULL: it sets none.
    pub on_timer:
        Option<unsafe extern "C" fn(session: *mut c_void, now: sabir_now, out: *mut sabir_out) -> i64>,
    /// The broker ends the session (`reason`, for people, *borrowed*) and lets it say so to its peer. Not called
    /// when the link is gone.
    pub on_close: Option<
        unsafe extern "C" fn(
            session: *mut c_void,
            now: sabir_now,
            reason: sabir_slice,
            out: *mut sabir_out,
        ) -> i64,
    >,
    /// Frees a session. Nothing is called any more afterwards.
    pub session_drop: Option<unsafe extern "C" fn(session: *mut c_void)>,
    /// Frees the instance; its sessions are gone by then. Called exactly once.
    pub close: Option<unsafe extern "C" fn(protocol: *mut c_void)>,
}
