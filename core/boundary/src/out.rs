// SPDX-License-Identifier: Apache-2.0
//! What a session fills: verbs, output, and where it stands.

use crate::{OutBuffers, owned};
use bytes::Bytes;
use sabir_abi::*;
use sabir_model::BranchStep;
use sabir_model::fields;
use sabir_model::message::HeadBuffer;
use sabir_model::verb::{
    Attach, Bind, Connect, Declare, Delete, Outcome, Query, Settle, SettleRange, Subscribe, Transact,
};
use std::ops::Range;
use std::ptr;

/// A run of bytes, named by where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Piece(sabir_piece);

impl Piece {
    /// No bytes.
    pub const NONE: Piece = Piece(sabir_piece { source: 0, reserved: 0, offset: 0, len: 0 });

    /// Bytes of the input that `on_bytes` was given.
    pub fn input(range: Range<usize>) -> Piece {
        Piece::of(SABIR_PIECE_INPUT, range.start, range.len())
    }

    fn of(source: u32, offset: usize, len: usize) -> Piece {
        Piece(sabir_piece { source, reserved: 0, offset: offset as u64, len: len as u64 })
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.len as usize
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }
}

/// What goes with every verb.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerbMeta {
    /// Echoed in the reply.
    pub token: u64,
    /// A reply is wanted; without it only a refusal is replied.
    pub confirm: bool,
    /// Producer or subscription.
    pub id: u64,
    /// Transaction; 0: none.
    pub transaction: u64,
}

/// Where an [`Out`] stood, to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    verbs: usize,
    arena: usize,
    segments: usize,
    owned: usize,
    last_segment: Option<(u32, u64)>,
    consumed: usize,
    needed: usize,
    flags: u32,
    deadline_ms: u64,
    chunk: Chunk,
}

/// The chunk that output belongs to, on links with boundaries.
#[derive(Clone, Copy, Debug, Default)]
struct Chunk {
    exchange_id: u64,
    peer_id: u64,
    /// `SABIR_CHUNK_BEGIN` for the next segment.
    begin: bool,
    /// The last segment ended a chunk: nothing is merged into it.
    ended: bool,
}

/// What a session fills during a call: verbs for the broker, bytes for the link, and where it stands.
///
/// Room is limited. The pattern is: take a [`mark`](Out::mark), write one item (a frame, a reply), and if
/// [`overflowed`](Out::overflowed) go back with [`rollback`](Out::rollback), say [`set_full`](Out::set_full) and
/// stop; the host makes room and asks again. With an empty `Out` there is room for any one item within the limits
/// that the session was told. A call that returns overflowed, without a roll-back, ends the
/// session with an error: half an item is never sent.
#[derive(Debug)]
pub struct Out<'a> {
    raw: &'a mut sabir_out,
    overflowed: bool,
    chunk: Chunk,
}

impl<'a> Out<'a> {
    /// Over the contract's struct.
    ///
    /// # Safety
    /// `raw` is NULL, or points at a struct that follows the contract of `sabir_out` and is nobody else's during
    /// `'a`. `None`: it is NULL, or shorter than version 1.0 made it.
    pub unsafe fn from_abi(raw: *mut sabir_out) -> Option<Self> {
        // SAFETY: the caller promises it; the size comes first and is read before anything else.
        let raw = unsafe {
            if raw.is_null() || ((*raw).struct_size as usize) < size_of::<sabir_out>() {
                return None;
            }
            &mut *raw
        };
        Some(Out { raw, overflowed: false, chunk: Chunk::default() })
    }

    /// Where it stands now.
    pub fn mark(&self) -> Mark {
        Mark {
            verbs: self.raw.verb_count,
            arena: self.raw.arena_len,
            segments: self.raw.segment_count,
            owned: self.raw.owned_count,
            last_segment: self.last_segment_ref().map(|segment| (segment.chunk_flags, segment.len)),
            consumed: self.raw.consumed,
            needed: self.raw.needed,
            flags: self.raw.flags,
            deadline_ms: self.raw.deadline_ms,
            chunk: self.chunk,
        }
    }

    /// Takes back everything since `mark`, and forgets the overflow.
    pub fn rollback(&mut self, mark: Mark) {
        self.overflowed = false;
        self.raw.verb_count = mark.verbs.min(self.raw.verb_count);
        self.raw.arena_len = mark.arena.min(self.raw.arena_len);
        self.raw.segment_count = mark.segments.min(self.raw.segment_count);
        while self.raw.owned_count > mark.owned {
            self.raw.owned_count -= 1;
            // SAFETY: elements below the count were written by `own`; lowering it makes this one ours again.
            drop(unsafe { owned::into_bytes(self.raw.owned.add(self.raw.owned_count).read()) });
        }
        if let (Some((flags, len)), Some(last)) = (mark.last_segment, self.last_segment()) {
            last.chunk_flags = flags;
            last.len = len;
        }
        self.raw.consumed = mark.consumed;
        self.raw.needed = mark.needed;
        self.raw.flags = mark.flags;
        self.raw.deadline_ms = mark.deadline_ms;
        self.chunk = mark.chunk;
    }

    /// Whether something found no room since the last roll-back.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether nothing was put in yet: if an item overflows now, it will never fit.
    pub fn is_empty(&self) -> bool {
        self.raw.verb_count == 0 && self.raw.arena_len == 0 && self.raw.segment_count == 0
    }

    /// Stopped for want of room: call again with the same bytes, once there is some.
    pub fn set_full(&mut self) {
        self.raw.flags |= SABIR_OUT_FULL;
    }

    /// These bytes of the input are done with, beside those before.
    pub fn consume(&mut self, len: usize) {
        self.raw.consumed = self.raw.consumed.saturating_add(len);
    }

    /// Bytes of the input that are done with so far.
    pub fn consumed(&self) -> usize {
        self.raw.consumed
    }

    /// So many bytes, counted from the first one not consumed, are needed to get further.
    pub fn need(&mut self, len: usize) {
        self.raw.needed = len;
    }

    /// When `on_timer` is to be called, by the monotonic clock; `None`: never. Keeps its value between calls.
    pub fn set_deadline(&mut self, deadline_ms: Option<u64>) {
        self.raw.deadline_ms = deadline_ms.unwrap_or(u64::MAX);
    }

    /// Close the link once everything was written.
    pub fn close_link(&mut self) {
        self.raw.flags |= SABIR_OUT_CLOSE;
    }
}

/// Output.
impl Out<'_> {
    /// Begins a message or exchange: what is written from now on belongs to it. Only for links with boundaries.
    pub fn begin_chunk(&mut self, exchange_id: u64, peer_id: u64) {
        self.chunk = Chunk { exchange_id, peer_id, begin: true, ended: true };
    }

    /// Ends the message or exchange with what was written last; an empty one becomes an empty segment.
    pub fn end_chunk(&mut self) {
        if self.chunk.begin {
            self.push_segment(SABIR_SEGMENT_ARENA, 0, self.raw.arena_len as u64, 0);
        }
        self.chunk.ended = true;
        if let Some(last) = self.last_segment() {
            last.chunk_flags |= SABIR_CHUNK_END;
        }
    }

    /// Writes bytes to the link, copied.
    pub fn write(&mut self, bytes: &[u8]) {
        let at = self.raw.arena_len;
        if bytes.is_empty() || !self.append(bytes) {
            return;
        }
        let merge = !self.chunk.begin && !self.chunk.ended;
        if merge
            && let Some(last) = self.last_segment()
            && last.kind == SABIR_SEGMENT_ARENA
            && last.offset + last.len == at as u64
        {
            last.len += bytes.len() as u64;
            return;
        }
        self.push_segment(SABIR_SEGMENT_ARENA, 0, at as u64, bytes.len() as u64);
    }

    /// Writes bytes of the body of the delivery at this index of the call, without a copy. Only in `on_deliveries`.
    pub fn write_body(&mut self, delivery_index: usize, offset: usize, len: usize) {
        if len != 0 {
            self.push_segment(SABIR_SEGMENT_BODY, delivery_index as u64, offset as u64, len as u64);
        }
    }

    /// Writes bytes that the host takes over.
    pub fn write_owned(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len() as u64;
        if let Some(index) = self.push_owned(bytes) {
            self.push_segment(SABIR_SEGMENT_OWNED, index as u64, 0, len);
        }
    }

    fn append(&mut self, bytes: &[u8]) -> bool {
        let at = self.raw.arena_len;
        if self.overflowed || bytes.len() > self.raw.arena_capacity.saturating_sub(at) {
            self.overflowed = true;
            return false;
        }
        // SAFETY: the arena has `arena_capacity` bytes, which are ours during the call; checked above.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.raw.arena.add(at), bytes.len()) };
        self.raw.arena_len = at + bytes.len();
        true
    }

    fn last_segment_ref(&self) -> Option<&sabir_segment> {
        let index = self.raw.segment_count.checked_sub(1)?;
        // SAFETY: elements below the count were written by `push_segment`.
        Some(unsafe { &*self.raw.segments.add(index) })
    }

    fn last_segment(&mut self) -> Option<&mut sabir_segment> {
        let index = self.raw.segment_count.checked_sub(1)?;
        // SAFETY: elements below the count were written by `push_segment`.
        Some(unsafe { &mut *self.raw.segments.add(index) })
    }

    fn push_segment(&mut self, kind: u32, index: u64, offset: u64, len: u64) {
        if self.overflowed || self.raw.segment_count >= self.raw.segment_capacity {
            self.overflowed = true;
            return;
        }
        let Chunk { exchange_id, peer_id, begin, .. } = self.chunk;
        let chunk_flags = if begin { SABIR_CHUNK_BEGIN } else { 0 };
        let segment = sabir_segment { kind, chunk_flags, index, offset, len, exchange_id, peer_id };
        // SAFETY: there is room for `segment_capacity` elements; checked above.
        unsafe { self.raw.segments.add(self.raw.segment_count).write(segment) };
        self.raw.segment_count += 1;
        self.chunk.begin = false;
        self.chunk.ended = false;
    }

    fn push_owned(&mut self, bytes: Bytes) -> Option<usize> {
        let index = self.raw.owned_count;
        if self.overflowed || index >= self.raw.owned_capacity {
            self.overflowed = true;
            return None;
        }
        // SAFETY: there is room for `owned_capacity` elements; checked above.
        unsafe { self.raw.owned.add(index).write(owned::from_bytes(bytes)) };
        self.raw.owned_count = index + 1;
        Some(index)
    }
}

/// Heads are written into the arena; what is put there does not become output. Positions are arena offsets.
impl HeadBuffer for Out<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.append(bytes);
    }

    fn patch(&mut self, at: usize, bytes: &[u8]) {
        if at.checked_add(bytes.len()).is_some_and(|end| end <= self.raw.arena_len) {
            // SAFETY: inside the filled part of the arena, which is ours during the call.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.raw.arena.add(at), bytes.len()) };
        }
    }

    fn position(&self) -> usize {
        self.raw.arena_len
    }
}

/// Pieces and verbs.
impl Out<'_> {
    /// The arena's bytes from the position `from` to its end.
    pub fn arena_piece(&self, from: usize) -> Piece {
        Piece::of(SABIR_PIECE_ARENA, from, self.raw.arena_len.saturating_sub(from))
    }

    /// Hands bytes over to the host.
    pub fn own(&mut self, bytes: Bytes) -> Piece {
        let len = bytes.len();
        if len == 0 {
            return Piece::NONE;
        }
        match self.push_owned(bytes) {
            Some(index) => Piece::of(SABIR_PIECE_OWNED, index, len),
            None => Piece::NONE,
        }
    }

    fn verb(&mut self, kind: u32, flags: u32, meta: VerbMeta, detail: sabir_verb_detail) {
        if self.overflowed || self.raw.verb_count >= self.raw.verb_capacity {
            self.overflowed = true;
            return;
        }
        let VerbMeta { token, confirm, id, transaction } = meta;
        let flags = flags | if confirm { SABIR_VERB_CONFIRM } else { 0 };
        let verb = sabir_verb { kind, flags, token, id, transaction, detail };
        // SAFETY: there is room for `verb_capacity` elements; checked above.
        unsafe { self.raw.verbs.add(self.raw.verb_count).write(verb) };
        self.raw.verb_count += 1;
    }

    fn rare(&mut self, kind: u32, meta: VerbMeta, encode: impl FnOnce(&mut Self)) {
        let from = self.position();
        encode(self);
        let fields = self.arena_piece(from).0;
        self.verb(kind, 0, meta, sabir_verb_detail { rare: sabir_rare { fields, reserved: [0; 3] } });
    }

    /// Log in.
    pub fn connect(&mut self, meta: VerbMeta, connect: &Connect) {
        self.rare(SABIR_VERB_CONNECT, meta, |out| connect.encode(out));
    }

    /// Orderly end of the session.
    pub fn disconnect(&mut self, meta: VerbMeta) {
        self.rare(SABIR_VERB_DISCONNECT, meta, |_| ());
    }

    /// Make the producer `meta.id`.
    pub fn attach(&mut self, meta: VerbMeta, attach: &Attach) {
        self.rare(SABIR_VERB_ATTACH, meta, |out| attach.encode(out));
    }

    /// End it.
    pub fn detach(&mut self, meta: VerbMeta) {
        self.rare(SABIR_VERB_DETACH, meta, |_| ());
    }

    /// Make a destination or exchange.
    pub fn declare(&mut self, meta: VerbMeta, declare: &Declare) {
        self.rare(SABIR_VERB_DECLARE, meta, |out| declare.encode(out));
    }

    /// Remove a destination, an exchange or a durable subscription.
    pub fn delete(&mut self, meta: VerbMeta, delete: &Delete) {
        self.rare(SABIR_VERB_DELETE, meta, |out| delete.encode(out));
    }

    /// Tie an exchange to a target.
    pub fn bind(&mut self, meta: VerbMeta, bind: &Bind) {
        self.rare(SABIR_VERB_BIND, meta, |out| bind.encode(out));
    }

    /// Untie it.
    pub fn unbind(&mut self, meta: VerbMeta, bind: &Bind) {
        self.rare(SABIR_VERB_UNBIND, meta, |out| bind.encode(out));
    }

    /// Make the subscription `meta.id`.
    pub fn subscribe(&mut self, meta: VerbMeta, subscribe: &Subscribe) {
        self.rare(SABIR_VERB_SUBSCRIBE, meta, |out| subscribe.encode(out));
    }

    /// End it; with `forget` the durable subscription goes too.
    pub fn unsubscribe(&mut self, meta: VerbMeta, forget: bool) {
        self.rare(SABIR_VERB_UNSUBSCRIBE, meta, |out| fields::encode_unsubscribe(out, forget));
    }

    /// Ask something.
    pub fn query(&mut self, meta: VerbMeta, query: &Query) {
        self.rare(SABIR_VERB_QUERY, meta, |out| query.encode(out));
    }

    /// Begin, commit or roll back `meta.transaction`.
    pub fn transact(&mut self, meta: VerbMeta, transact: Transact) {
        let action = match transact {
            Transact::Begin => SABIR_TRANSACT_BEGIN,
            Transact::Commit => SABIR_TRANSACT_COMMIT,
            Transact::Rollback => SABIR_TRANSACT_ROLLBACK,
        };
        let transact = sabir_transact { action, reserved: [0; 11] };
        self.verb(SABIR_VERB_TRANSACT, 0, meta, sabir_verb_detail { transact });
    }

    /// A step of a branch of a distributed transaction, of which `meta.transaction` is or becomes a part.
    pub fn branch(&mut self, meta: VerbMeta, step: &BranchStep) {
        self.rare(SABIR_VERB_BRANCH, meta, |out| step.encode(out));
    }

    /// Send a message through the producer `meta.id`. With `more` its body goes on in [`Out::body`].
    pub fn publish(&mut self, meta: VerbMeta, head: Piece, body: Piece, more: bool) {
        let flags = if more { SABIR_PUBLISH_MORE } else { 0 };
        let publish = sabir_publish { head: head.0, body: body.0 };
        self.verb(SABIR_VERB_PUBLISH, flags, meta, sabir_verb_detail { publish });
    }

    /// The first piece of a body whose message comes behind it, with `publish_behind`. More pieces follow with `body`, all of
    /// which say `more`; other verbs may come between. Since 1.2.
    pub fn body_first(&mut self, body: Piece) {
        let publish = sabir_publish { head: Piece::NONE.0, body: body.0 };
        let flags = SABIR_BODY_FIRST | SABIR_PUBLISH_MORE;
        self.verb(SABIR_VERB_BODY, flags, VerbMeta::default(), sabir_verb_detail { publish });
    }

    /// Send the message whose body came before, from `body_first` on; `body` is the last piece. Since 1.2.
    pub fn publish_behind(&mut self, meta: VerbMeta, head: Piece, body: Piece) {
        let publish = sabir_publish { head: head.0, body: body.0 };
        self.verb(SABIR_VERB_PUBLISH, SABIR_BODY_FIRST, meta, sabir_verb_detail { publish });
    }

    /// More of the body of the last `publish`, which said `more`.
    pub fn body(&mut self, body: Piece, more: bool) {
        let flags = if more { SABIR_PUBLISH_MORE } else { 0 };
        let publish = sabir_publish { head: Piece::NONE.0, body: body.0 };
        self.verb(SABIR_VERB_BODY, flags, VerbMeta::default(), sabir_verb_detail { publish });
    }

    /// Settle deliveries of the subscription `meta.id`.
    pub fn settle(&mut self, meta: VerbMeta, settle: &Settle) {
        let (flags, first, last) = match settle.range {
            SettleRange::Tags { first, last } => (0, first, last),
            SettleRange::UpTo(last) => (SABIR_SETTLE_CUMULATIVE, 0, last),
            SettleRange::SessionUpTo(last) => (SABIR_SETTLE_CUMULATIVE | SABIR_SETTLE_SESSION, 0, last),
        };
        let mut reason = Piece::NONE;
        let (outcome, delay_ms) = match &settle.outcome {
            Outcome::Accept => (SABIR_OUTCOME_ACCEPT, 0),
            Outcome::Reject { reason: text } => {
                let from = self.position();
                self.append(text.as_bytes());
                reason = self.arena_piece(from);
                (SABIR_OUTCOME_REJECT, 0)
            }
            Outcome::Release { delay_ms } => (SABIR_OUTCOME_RELEASE, delay_ms.unwrap_or(0)),
            Outcome::Return => (SABIR_OUTCOME_RETURN, 0),
        };
        let settle = sabir_settle { first, last, outcome, delay_ms, reason: reason.0 };
        self.verb(SABIR_VERB_SETTLE, flags, meta, sabir_verb_detail { settle });
    }

    /// Allow the subscription `meta.id` more deliveries; with `set` the amount replaces what was allowed.
    pub fn credit(&mut self, meta: VerbMeta, amount: u64, set: bool) {
        self.credit_verb(meta, amount, if set { SABIR_CREDIT_SET } else { 0 });
    }

    /// Allow the subscription `meta.id` so many more deliveries, have what is there delivered, and drop what is left of
    /// the credit. The reply, if `meta.confirm` asks for one, comes behind those deliveries.
    pub fn drain(&mut self, meta: VerbMeta, amount: u64) {
        self.credit_verb(meta, amount, SABIR_CREDIT_DRAIN);
    }

    fn credit_verb(&mut self, meta: VerbMeta, amount: u64, flags: u32) {
        let credit = sabir_credit { amount, reserved: [0; 5] };
        self.verb(SABIR_VERB_CREDIT, flags, meta, sabir_verb_detail { credit });
    }
}

impl OutBuffers {
    /// Lends an [`Out`] over this memory: for a protocol's own tests. What was put in before stays, so that several
    /// calls can fill it.
    pub fn out(&mut self) -> Out<'_> {
        let raw: *mut sabir_out = self.lend();
        // SAFETY: the buffers stay while they are lent, and keep the contract of `sabir_out`.
        match unsafe { Out::from_abi(raw) } {
            Some(out) => out,
            None => unreachable!("the buffers are as long as this version's struct"),
        }
    }
}
