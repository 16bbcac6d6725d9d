// SPDX-License-Identifier: Apache-2.0
//! Verbs as a session wrote them, to requests as the broker reads them.

use super::{BodyAssembler, OutBuffers, RUN_BYTES, SMALL_BODY_BYTES, part};
use bytes::{Bytes, BytesMut};
use sabir_abi::*;
use sabir_model::fields::{self, DecodeError};
use sabir_model::message::FormatError;
use sabir_model::verb::{
    Attach, Bind, Connect, Declare, Delete, Outcome, Query, Request, Settle, SettleRange, Subscribe,
    Transact, Verb,
};
use sabir_model::{BranchStep, Head, Message};

/// Why what a session put out cannot be. The plugin has a mistake; its session is ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerbError {
    /// A kind that this host does not know.
    #[error("verb {at}: kind {kind} is not known to this broker")]
    Kind {
        /// Position in the array.
        at: usize,
        /// The kind.
        kind: u32,
    },
    /// A piece points outside of its source.
    #[error("verb {at}: a piece lies outside of its source")]
    Piece {
        /// Position in the array.
        at: usize,
    },
    /// The head is none.
    #[error("verb {at}: {source}")]
    Head {
        /// Position in the array.
        at: usize,
        /// What is wrong with it.
        source: FormatError,
    },
    /// The fields are none.
    #[error("verb {at}: {source}")]
    Fields {
        /// Position in the array.
        at: usize,
        /// What is wrong with them.
        source: DecodeError,
    },
    /// An outcome, action or combination of flags that is not known.
    #[error("verb {at}: the {what} {value} is not known")]
    Value {
        /// Position in the array.
        at: usize,
        /// Of what.
        what: &'static str,
        /// The value.
        value: u32,
    },
    /// The message is larger than the session was told.
    #[error("verb {at}: the message is larger than the {max} bytes that the session was told")]
    TooLarge {
        /// Position in the array.
        at: usize,
        /// The limit.
        max: usize,
    },
    /// Another verb where the body of a message had to go on.
    #[error("verb {at}: the body of the last message is unfinished")]
    BodyExpected {
        /// Position in the array.
        at: usize,
    },
    /// A piece of a body that nothing began.
    #[error("verb {at}: a body goes on that was not begun")]
    BodyUnexpected {
        /// Position in the array.
        at: usize,
    },
    /// A segment of output points outside of its source.
    #[error("segment {at} lies outside of its source")]
    Segment {
        /// Position in the array.
        at: usize,
    },
}

/// What goes with every verb.
#[derive(Debug)]
pub(super) struct Meta {
    pub token: u64,
    pub confirm: bool,
    pub id: u64,
    pub transaction: u64,
}

impl Meta {
    fn of(verb: &sabir_verb) -> Self {
        Meta {
            token: verb.token,
            confirm: verb.flags & SABIR_VERB_CONFIRM != 0,
            id: verb.id,
            transaction: verb.transaction,
        }
    }

    pub(super) fn with(self, verb: Verb) -> Request {
        let Meta { token, confirm, id, transaction } = self;
        Request { token, confirm, id, transaction, verb }
    }
}

/// What pieces may point at.
struct Sources<'a> {
    buffers: &'a OutBuffers,
    input: &'a [u8],
}

impl<'a> Sources<'a> {
    fn bytes(&self, at: usize, piece: &sabir_piece) -> Result<&'a [u8], VerbError> {
        if piece.len == 0 {
            return Ok(&[]);
        }
        let found = match piece.source {
            SABIR_PIECE_INPUT => part(self.input, piece.offset, piece.len),
            SABIR_PIECE_ARENA => part(self.buffers.filled_arena(), piece.offset, piece.len),
            SABIR_PIECE_OWNED => usize::try_from(piece.offset)
                .ok()
                .and_then(|index| self.buffers.owned_slice(index))
                .filter(|bytes| bytes.len() as u64 == piece.len),
            _ => None,
        };
        found.ok_or(VerbError::Piece { at })
    }

    /// Bytes that stand alone: owned ones are kept, others copied.
    fn alone(&self, at: usize, piece: &sabir_piece) -> Result<Bytes, VerbError> {
        if piece.source == SABIR_PIECE_OWNED && piece.len != 0 {
            self.bytes(at, piece)?;
            let index = usize::try_from(piece.offset).map_err(|_| VerbError::Piece { at })?;
            return self.buffers.keep_owned(index).ok_or(VerbError::Piece { at });
        }
        Ok(Bytes::copy_from_slice(self.bytes(at, piece)?))
    }
}

/// Hands out slices of runs, which are as large as what is still to come, and at most [`RUN_BYTES`].
struct Runs {
    run: BytesMut,
    to_come: usize,
}

impl Runs {
    fn take(&mut self, parts: [&[u8]; 2]) -> Bytes {
        let len = parts[0].len() + parts[1].len();
        if self.run.capacity() - self.run.len() < len {
            self.run = BytesMut::with_capacity(self.to_come.min(RUN_BYTES).max(len));
        }
        self.to_come = self.to_come.saturating_sub(len);
        for part in parts {
            self.run.extend_from_slice(part);
        }
        self.run.split().freeze()
    }
}

pub(super) fn drain(
    buffers: &OutBuffers,
    input: &[u8],
    assembler: &mut BodyAssembler,
    into: &mut Vec<Request>,
) -> Result<(), VerbError> {
    let verbs = buffers.verbs.get(..buffers.raw.verb_count).unwrap_or_default();
    let sources = Sources { buffers, input };
    let mut runs = Runs { run: BytesMut::new(), to_come: verbs.iter().map(small_bytes).sum() };
    into.reserve(verbs.len());
    for (at, verb) in verbs.iter().enumerate() {
        if verb.kind != SABIR_VERB_BODY && assembler.is_pending() && !assembler.awaits_head() {
            return Err(VerbError::BodyExpected { at });
        }
        let request = match verb.kind {
            SABIR_VERB_PUBLISH => publish(at, verb, &sources, &mut runs, assembler, into)?,
            SABIR_VERB_BODY => {
                body(at, verb, &sources, assembler, into)?;
                None
            }
            SABIR_VERB_SETTLE => Some(Meta::of(verb).with(Verb::Settle(settle(at, verb, &sources)?))),
            SABIR_VERB_CREDIT => {
                // SAFETY: as above.
                let amount = unsafe { verb.detail.credit.amount };
                let set = verb.flags & SABIR_CREDIT_SET != 0;
                let drain = verb.flags & SABIR_CREDIT_DRAIN != 0;
                Some(Meta::of(verb).with(Verb::Credit { amount, set, drain }))
            }
            SABIR_VERB_TRANSACT => Some(Meta::of(verb).with(Verb::Transact(transact(at, verb)?))),
            _ => Some(Meta::of(verb).with(rare(at, verb, &sources)?)),
        };
        into.extend(request);
    }
    Ok(())
}

/// How much of a verb goes into runs.
fn small_bytes(verb: &sabir_verb) -> usize {
    if verb.kind != SABIR_VERB_PUBLISH {
        return 0;
    }
    // SAFETY: every part of the union is made of numbers, of which any value is one.
    let publish = unsafe { verb.detail.publish };
    // Lengths that are not checked yet: they may be lies, so no sum beyond a run is believed.
    let bounded = |len: u64| usize::try_from(len).unwrap_or(RUN_BYTES).min(RUN_BYTES);
    let body = bounded(publish.body.len);
    bounded(publish.head.len) + if body < SMALL_BODY_BYTES { body } else { 0 }
}

/// More of a body, or the first of one whose head comes behind it.
fn body(
    at: usize,
    verb: &sabir_verb,
    sources: &Sources<'_>,
    assembler: &mut BodyAssembler,
    into: &mut Vec<Request>,
) -> Result<(), VerbError> {
    // SAFETY: every part of the union is made of numbers, of which any value is one.
    let piece = unsafe { verb.detail.publish.body };
    let more = verb.flags & SABIR_PUBLISH_MORE != 0;
    if verb.flags & SABIR_BODY_FIRST != 0 {
        // One whose message never came is given up.
        if !more || (assembler.is_pending() && !assembler.awaits_head()) {
            return Err(VerbError::BodyExpected { at });
        }
        assembler.begin(None);
    } else if assembler.awaits_head() && !more {
        return Err(VerbError::BodyExpected { at });
    }
    assembler.add(at, sources.bytes(at, &piece)?, into)?;
    if more { Ok(()) } else { assembler.finish(at, None, into) }
}

fn publish(
    at: usize,
    verb: &sabir_verb,
    sources: &Sources<'_>,
    runs: &mut Runs,
    assembler: &mut BodyAssembler,
    into: &mut Vec<Request>,
) -> Result<Option<Request>, VerbError> {
    // SAFETY: every part of the union is made of numbers, of which any value is one.
    let sabir_publish { head, body } = unsafe { verb.detail.publish };
    let head_bytes = sources.bytes(at, &head)?;
    let body_bytes = sources.bytes(at, &body)?;
    let max = assembler.max_message_bytes();
    if head_bytes.len().saturating_add(body_bytes.len()) > max {
        return Err(VerbError::TooLarge { at, max });
    }
    let bad_head = |source| VerbError::Head { at, source };
    let more = verb.flags & SABIR_PUBLISH_MORE != 0;
    let body_first = verb.flags & SABIR_BODY_FIRST != 0;
    if body_first && (more || !assembler.awaits_head()) {
        return Err(VerbError::BodyUnexpected { at });
    }
    if !body_first {
        assembler.give_up();
    }
    if more || body_first {
        // Checked now, not when the body is whole: a bad head must not cost memory first.
        let checked = Head::parse(head_bytes).map_err(bad_head)?.as_bytes();
        if checked.len() != head_bytes.len() {
            return Err(bad_head(FormatError::Inconsistent));
        }
        let begun = Some((Meta::of(verb), runs.take([head_bytes, &[]])));
        if body_first {
            assembler.add(at, body_bytes, into)?;
            assembler.finish(at, begun, into)?;
        } else {
            assembler.begin(begun);
            assembler.add(at, body_bytes, into)?;
        }
        return Ok(None);
    }
    let message = if body_bytes.len() < SMALL_BODY_BYTES {
        let message = Message::joined(runs.take([head_bytes, body_bytes])).map_err(bad_head)?;
        if message.head().as_bytes().len() != head_bytes.len() {
            return Err(bad_head(FormatError::Inconsistent));
        }
        message
    } else {
        let body = sources.alone(at, &body)?;
        Message::split(runs.take([head_bytes, &[]]), body).map_err(bad_head)?
    };
    Ok(Some(Meta::of(verb).with(Verb::Publish(message))))
}

fn settle(at: usize, verb: &sabir_verb, sources: &Sources<'_>) -> Result<Settle, VerbError> {
    // SAFETY: every part of the union is made of numbers, of which any value is one.
    let raw = unsafe { verb.detail.settle };
    let cumulative = verb.flags & SABIR_SETTLE_CUMULATIVE != 0;
    let session = verb.flags & SABIR_SETTLE_SESSION != 0;
    let range = match (cumulative, session) {
        (false, false) => SettleRange::Tags { first: raw.first, last: raw.last },
        (true, false) => SettleRange::UpTo(raw.last),
        (true, true) => SettleRange::SessionUpTo(raw.last),
        (false, true) => return Err(VerbError::Value { at, what: "settle flags", value: verb.flags }),
    };
    let outcome = match raw.outcome {
        SABIR_OUTCOME_ACCEPT => Outcome::Accept,
        SABIR_OUTCOME_REJECT => {
            let reason = String::from_utf8_lossy(sources.bytes(at, &raw.reason)?).into_owned();
            Outcome::Reject { reason }
        }
        SABIR_OUTCOME_RELEASE => Outcome::Release { delay_ms: (raw.delay_ms != 0).then_some(raw.delay_ms) },
        SABIR_OUTCOME_RETURN => Outcome::Return,
        value => return Err(VerbError::Value { at, what: "outcome", value }),
    };
    Ok(Settle { range, outcome })
}

fn transact(at: usize, verb: &sabir_verb) -> Result<Transact, VerbError> {
    // SAFETY: every part of the union is made of numbers, of which any value is one.
    match unsafe { verb.detail.transact.action } {
        SABIR_TRANSACT_BEGIN => Ok(Transact::Begin),
        SABIR_TRANSACT_COMMIT => Ok(Transact::Commit),
        SABIR_TRANSACT_ROLLBACK => Ok(Transact::Rollback),
        value => Err(VerbError::Value { at, what: "transaction action", value }),
    }
}

fn rare(at: usize, verb: &sabir_verb, sources: &Sources<'_>) -> Result<Verb, VerbError> {
    // SAFETY: every part of the union is made of numbers, of which any value is one.
    let piece = unsafe { verb.detail.rare.fields };
    // A kind that is not known may carry anything.
    if !(SABIR_VERB_CONNECT..=SABIR_VERB_QUERY).contains(&verb.kind) && verb.kind != SABIR_VERB_BRANCH {
        return Err(VerbError::Kind { at, kind: verb.kind });
    }
    let bytes = sources.bytes(at, &piece)?;
    let decoded = match verb.kind {
        SABIR_VERB_CONNECT => Connect::decode(bytes).map(|connect| Verb::Connect(Box::new(connect))),
        SABIR_VERB_DISCONNECT => Ok(Verb::Disconnect),
        SABIR_VERB_ATTACH => Attach::decode(bytes).map(|attach| Verb::Attach(Box::new(attach))),
        SABIR_VERB_DETACH => Ok(Verb::Detach),
        SABIR_VERB_DECLARE => Declare::decode(bytes).map(|declare| Verb::Declare(Box::new(declare))),
        SABIR_VERB_DELETE => Delete::decode(bytes).map(|delete| Verb::Delete(Box::new(delete))),
        SABIR_VERB_BIND => Bind::decode(bytes).map(|bind| Verb::Bind(Box::new(bind))),
        SABIR_VERB_UNBIND => Bind::decode(bytes).map(|bind| Verb::Unbind(Box::new(bind))),
        SABIR_VERB_SUBSCRIBE => {
            Subscribe::decode(bytes).map(|subscribe| Verb::Subscribe(Box::new(subscribe)))
        }
        SABIR_VERB_UNSUBSCRIBE => {
            fields::decode_unsubscribe(bytes).map(|forget| Verb::Unsubscribe { forget })
        }
        SABIR_VERB_BRANCH => BranchStep::decode(bytes).map(|step| Verb::Branch(Box::new(step))),
        _ => Query::decode(bytes).map(|query| Verb::Query(Box::new(query))),
    };
    decoded.map_err(|source| VerbError::Fields { at, source })
}
