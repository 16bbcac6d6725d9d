// SPDX-License-Identifier: Apache-2.0
//! The memory behind `sabir_out`, and what a session has put into it.
//!
//! The host lends it to sessions, one call at a time; a protocol's own tests use the same type. Reading it checks
//! everything: a session is a plugin's code, and its verbs are believed only as far as they hold together.

mod assemble;
mod decode;

pub use assemble::BodyAssembler;
pub use decode::VerbError;

use crate::{ChunkInfo, Error, ErrorCode, owned};
use bytes::{Bytes, BytesMut};
use sabir_abi::*;
use sabir_model::delivery::{Delivery, DeliveryKind};
use sabir_model::verb::Request;
use std::fmt;
use std::io::IoSlice;
use std::ptr;

/// How much one call of a session can put out. The sizes are counts of elements, and bytes for the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacities {
    /// Verbs.
    pub verbs: usize,
    /// Bytes for heads, fields and copied output.
    pub arena_bytes: usize,
    /// Segments of output.
    pub segments: usize,
    /// Owned byte strings.
    pub owned: usize,
}

/// Room beside the longest head, for what a session adds to it (ids, timestamps, its own frames).
const ARENA_SLACK_BYTES: usize = 16 * 1024;

impl Default for Capacities {
    fn default() -> Self {
        Capacities { verbs: 512, arena_bytes: 128 * 1024, segments: 1024, owned: 64 }
    }
}

impl Capacities {
    /// The default, enlarged so that any one step fits of a session that may demand heads of this length whole: a
    /// head is stored twice at the most (as the message's, and as output), and escaping may double it.
    pub fn for_head(max_head_bytes: u64) -> Self {
        let default = Capacities::default();
        let head = usize::try_from(max_head_bytes).unwrap_or(usize::MAX / 8);
        let arena_bytes = head.saturating_mul(4).saturating_add(ARENA_SLACK_BYTES).max(default.arena_bytes);
        Capacities { arena_bytes, ..default }
    }
}

/// The memory that a session fills during a call. It is reset between calls, not between sessions: one per thread
/// is enough.
pub struct OutBuffers {
    verbs: Vec<sabir_verb>,
    arena: Vec<u8>,
    segments: Vec<sabir_segment>,
    owned: Vec<sabir_bytes>,
    /// What is lent; its pointers and capacities are set at every lending.
    raw: sabir_out,
}

// SAFETY: the pointers in `raw` and in `owned` are followed only through this struct, which owns what they point at.
unsafe impl Send for OutBuffers {}

impl fmt::Debug for OutBuffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutBuffers").field("raw", &self.raw).finish_non_exhaustive()
    }
}

impl Drop for OutBuffers {
    fn drop(&mut self) {
        self.reset();
    }
}

impl Default for OutBuffers {
    fn default() -> Self {
        OutBuffers::new(Capacities::default())
    }
}

/// A run of bytes for the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Where the bytes are.
    pub bytes: SegmentBytes<'a>,
    /// On links with boundaries: what they belong to.
    pub info: ChunkInfo,
}

/// Where a segment's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentBytes<'a> {
    /// In these buffers.
    Here(&'a [u8]),
    /// In these buffers, owned: the element with this index, for [`OutBuffers::keep_owned`].
    Owned {
        /// Which element.
        index: usize,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// In the body of a delivery of the call.
    Body {
        /// Which delivery.
        delivery: usize,
        /// First byte.
        offset: usize,
        /// How many.
        len: usize,
    },
}

const NO_PIECE: sabir_piece = sabir_piece { source: 0, reserved: 0, offset: 0, len: 0 };
const NO_VERB: sabir_verb = sabir_verb {
    kind: 0,
    flags: 0,
    token: 0,
    id: 0,
    transaction: 0,
    detail: sabir_verb_detail { publish: sabir_publish { head: NO_PIECE, body: NO_PIECE } },
};
const NO_SEGMENT: sabir_segment =
    sabir_segment { kind: 0, chunk_flags: 0, index: 0, offset: 0, len: 0, exchange_id: 0, peer_id: 0 };

impl OutBuffers {
    /// Buffers with these capacities.
    pub fn new(capacities: Capacities) -> Self {
        // All memory is initialised, once: a plugin that counts wrong shows stale bytes, but nothing undefined.
        OutBuffers {
            verbs: vec![NO_VERB; capacities.verbs],
            arena: vec![0; capacities.arena_bytes],
            segments: vec![NO_SEGMENT; capacities.segments],
            owned: (0..capacities.owned).map(|_| owned::none()).collect(),
            raw: sabir_out {
                struct_size: size_of::<sabir_out>() as u32,
                flags: 0,
                verbs: ptr::null_mut(),
                verb_capacity: 0,
                verb_count: 0,
                arena: ptr::null_mut(),
                arena_capacity: 0,
                arena_len: 0,
                segments: ptr::null_mut(),
                segment_capacity: 0,
                segment_count: 0,
                owned: ptr::null_mut(),
                owned_capacity: 0,
                owned_count: 0,
                consumed: 0,
                needed: 0,
                deadline_ms: u64::MAX,
            },
        }
    }

    /// Empties them. The deadline stays.
    pub fn reset(&mut self) {
        for bytes in self.owned.iter_mut().take(self.raw.owned_count) {
            // SAFETY: below the count lie bytes that the session handed over, each once.
            drop(unsafe { owned::into_bytes(std::mem::replace(bytes, owned::none())) });
        }
        self.raw.flags = 0;
        self.raw.verb_count = 0;
        self.raw.arena_len = 0;
        self.raw.segment_count = 0;
        self.raw.owned_count = 0;
        self.raw.consumed = 0;
        self.raw.needed = 0;
    }

    /// Makes ready for a call of a session. What is in them stays; what belongs to a call alone is cleared, and the
    /// deadline is the one that the session had set before: buffers are shared, deadlines are not.
    pub fn begin(&mut self, deadline_ms: Option<u64>) {
        self.raw.flags &= !SABIR_OUT_FULL;
        self.raw.consumed = 0;
        self.raw.needed = 0;
        self.raw.deadline_ms = deadline_ms.unwrap_or(u64::MAX);
    }

    /// The contract's struct over this memory, to be lent for one call.
    pub fn lend(&mut self) -> &mut sabir_out {
        self.raw.struct_size = size_of::<sabir_out>() as u32;
        self.raw.verbs = self.verbs.as_mut_ptr();
        self.raw.verb_capacity = self.verbs.len();
        self.raw.arena = self.arena.as_mut_ptr();
        self.raw.arena_capacity = self.arena.len();
        self.raw.segments = self.segments.as_mut_ptr();
        self.raw.segment_capacity = self.segments.len();
        self.raw.owned = self.owned.as_mut_ptr();
        self.raw.owned_capacity = self.owned.len();
        &mut self.raw
    }

    /// Checks, after a call, that the session stayed within its bounds. `input_len` is what it was given.
    ///
    /// After an error the buffers are empty, and the session must not be called again.
    pub fn check(&mut self, input_len: usize) -> Result<(), Error> {
        let raw = &self.raw;
        let what = if raw.verb_count > self.verbs.len() {
            "more verbs than there was room for"
        } else if raw.arena_len > self.arena.len() {
            "more bytes than there was room for"
        } else if raw.segment_count > self.segments.len() {
            "more segments than there was room for"
        } else if raw.owned_count > self.owned.len() {
            "more owned bytes than there was room for"
        } else if raw.consumed > input_len {
            "more input consumed than there was"
        } else {
            return Ok(());
        };
        // What a session that counts wrong has handed over cannot be told from what it has not: it is not freed.
        self.raw.owned_count = 0;
        for bytes in &mut self.owned {
            *bytes = owned::none();
        }
        self.reset();
        Err(Error::new(ErrorCode::Invalid, format!("the protocol broke the contract: {what}")))
    }

    /// Bytes of the input that are done with.
    pub fn consumed(&self) -> usize {
        self.raw.consumed
    }

    /// Bytes needed, from the first one not consumed, to get further; 0: any.
    pub fn needed(&self) -> usize {
        self.raw.needed
    }

    /// When the session wants its timer called, by the monotonic clock.
    pub fn deadline(&self) -> Option<u64> {
        (self.raw.deadline_ms != u64::MAX).then_some(self.raw.deadline_ms)
    }

    /// The session stopped for want of room.
    pub fn full(&self) -> bool {
        self.raw.flags & SABIR_OUT_FULL != 0
    }

    /// The link is to be closed once everything was written.
    pub fn close(&self) -> bool {
        self.raw.flags & SABIR_OUT_CLOSE != 0
    }

    /// Verbs that were put in and not drained.
    pub fn verb_count(&self) -> usize {
        self.raw.verb_count
    }

    /// The output, in order. Segments that point outside of their source are an error of the plugin.
    pub fn segments(&self) -> impl Iterator<Item = Result<Segment<'_>, VerbError>> {
        let filled = self.segments.get(..self.raw.segment_count).unwrap_or_default();
        filled.iter().enumerate().map(|(at, raw)| self.segment(raw).ok_or(VerbError::Segment { at }))
    }

    fn segment(&self, raw: &sabir_segment) -> Option<Segment<'_>> {
        let info = ChunkInfo::from_flags(raw.chunk_flags, raw.exchange_id, raw.peer_id);
        let bytes = match raw.kind {
            SABIR_SEGMENT_ARENA => SegmentBytes::Here(part(self.filled_arena(), raw.offset, raw.len)?),
            SABIR_SEGMENT_OWNED => {
                let index = usize::try_from(raw.index).ok()?;
                SegmentBytes::Owned { index, bytes: part(self.owned_slice(index)?, raw.offset, raw.len)? }
            }
            SABIR_SEGMENT_BODY => SegmentBytes::Body {
                delivery: usize::try_from(raw.index).ok()?,
                offset: usize::try_from(raw.offset).ok()?,
                len: usize::try_from(raw.len).ok()?,
            },
            _ => return None,
        };
        Some(Segment { bytes, info })
    }

    fn filled_arena(&self) -> &[u8] {
        self.arena.get(..self.raw.arena_len).unwrap_or_default()
    }

    fn owned_slice(&self, index: usize) -> Option<&[u8]> {
        let bytes = self.owned.get(..self.raw.owned_count)?.get(index)?;
        // SAFETY: bytes below the count are owned by this struct.
        Some(unsafe { crate::slices::raw(bytes.ptr, bytes.len) })
    }

    /// Keeps an owned element beyond the reset, without a copy.
    pub fn keep_owned(&self, index: usize) -> Option<Bytes> {
        let bytes = self.owned.get(..self.raw.owned_count)?.get(index)?;
        // SAFETY: bytes below the count are owned by this struct.
        Some(unsafe { owned::keep(bytes) })
    }

    /// The output as slices for a vectored write. `deliveries` are those of the call.
    pub fn io_slices<'a>(
        &'a self,
        deliveries: &'a [Delivery],
        into: &mut Vec<IoSlice<'a>>,
    ) -> Result<(), VerbError> {
        for (at, segment) in self.segments().enumerate() {
            let bytes = match segment?.bytes {
                SegmentBytes::Here(bytes) | SegmentBytes::Owned { bytes, .. } => bytes,
                SegmentBytes::Body { delivery, offset, len } => {
                    body_part(deliveries, delivery, offset, len).ok_or(VerbError::Segment { at })?
                }
            };
            into.push(IoSlice::new(bytes));
        }
        Ok(())
    }

    /// The output without its first `skip` bytes, to be written later: what lies in these buffers is copied into one
    /// run of bytes, the rest is kept by reference count.
    pub fn detach(&self, deliveries: &[Delivery], skip: usize) -> Result<Vec<Bytes>, VerbError> {
        let mut parts = Vec::new();
        let mut copied = BytesMut::new();
        let mut left = skip;
        for (at, segment) in self.segments().enumerate() {
            let bad = || VerbError::Segment { at };
            let kept = match segment?.bytes {
                SegmentBytes::Here(bytes) => {
                    let bytes = bytes.get(left.min(bytes.len())..).unwrap_or_default();
                    left -= left.min(segment_len(&self.segments, at));
                    copied.extend_from_slice(bytes);
                    continue;
                }
                SegmentBytes::Owned { index, bytes } => {
                    self.keep_owned(index).ok_or_else(bad)?.slice_ref(bytes)
                }
                SegmentBytes::Body { delivery, offset, len } => body_bytes(deliveries, delivery)
                    .filter(|body| offset.checked_add(len).is_some_and(|end| end <= body.len()))
                    .ok_or_else(bad)?
                    .slice(offset..offset + len),
            };
            let skipped = left.min(kept.len());
            left -= skipped;
            if skipped == kept.len() {
                continue;
            }
            if !copied.is_empty() {
                parts.push(copied.split().freeze());
            }
            parts.push(kept.slice(skipped..));
        }
        if !copied.is_empty() {
            parts.push(copied.freeze());
        }
        Ok(parts)
    }

    /// Takes the verbs out, as requests. `input` is what `on_bytes` was given (empty for other calls).
    ///
    /// Heads, and bodies below [`SMALL_BODY_BYTES`], are copied behind each other into runs of at most
    /// [`RUN_BYTES`], so that a small message is one slice and pins little; larger bodies stand alone.
    pub fn drain_requests(
        &mut self,
        input: &[u8],
        assembler: &mut BodyAssembler,
        into: &mut Vec<Request>,
    ) -> Result<(), VerbError> {
        let result = decode::drain(self, input, assembler, into);
        self.raw.verb_count = 0;
        result
    }

    /// Takes the verbs out, as requests: for a protocol's own tests.
    ///
    /// # Panics
    /// When the verbs are damaged: the test has found something.
    pub fn requests(&mut self, input: &[u8]) -> Vec<Request> {
        let mut requests = Vec::new();
        let mut assembler = BodyAssembler::new(u64::MAX);
        if let Err(error) = self.drain_requests(input, &mut assembler, &mut requests) {
            panic!("the session's verbs are damaged: {error}");
        }
        requests
    }

    /// The output as one run of bytes: for a protocol's own tests.
    ///
    /// # Panics
    /// When the output is damaged: the test has found something.
    pub fn output(&self, deliveries: &[Delivery]) -> Vec<u8> {
        let mut slices = Vec::new();
        if let Err(error) = self.io_slices(deliveries, &mut slices) {
            panic!("the session's output is damaged: {error}");
        }
        slices.iter().flat_map(|slice| slice.iter().copied()).collect()
    }
}

/// Bodies below this length are copied behind their heads.
pub const SMALL_BODY_BYTES: usize = 4 * 1024;
/// Small messages are copied into runs of at most this length.
pub const RUN_BYTES: usize = 32 * 1024;

fn segment_len(segments: &[sabir_segment], at: usize) -> usize {
    segments.get(at).and_then(|segment| usize::try_from(segment.len).ok()).unwrap_or(0)
}

fn part(bytes: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let offset = usize::try_from(offset).ok()?;
    bytes.get(offset..offset.checked_add(usize::try_from(len).ok()?)?)
}

fn body_part(deliveries: &[Delivery], index: usize, offset: usize, len: usize) -> Option<&[u8]> {
    match &deliveries.get(index)?.kind {
        DeliveryKind::Message { message, .. } => message.body().get(offset..offset.checked_add(len)?),
        DeliveryKind::EndOfBrowse | DeliveryKind::Cancelled { .. } => None,
    }
}

fn body_bytes(deliveries: &[Delivery], index: usize) -> Option<Bytes> {
    match &deliveries.get(index)?.kind {
        DeliveryKind::Message { message, .. } => Some(message.body_bytes()),
        DeliveryKind::EndOfBrowse | DeliveryKind::Cancelled { .. } => None,
    }
}
