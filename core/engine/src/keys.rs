// SPDX-License-Identifier: Apache-2.0
//! How the engine uses the store's numbers and names: which log is what, and every key byte by byte.
//!
//! Knows nothing of what stands in a log. `docs/decisions/0010-engine-keys-and-logs.md` says why it is so.
//!
//! Number of a log:
//!
//! ```text
//!   bit 63      the store forgets the log when it is opened (`TEMPORARY`)
//!   bits 60-62  kind: 0 lane of a queue | 1 transaction | 2 delayed | 3 body
//!   lane:         bits 4-59 number of the queue, bits 0-3 priority, 0 to 9
//!   transaction:  bits 0-59 number of the transaction
//!   delayed:      bits 0-59 due time, in milliseconds since 1970, divided by 16,384
//!   body:         bits 0-59 number of the body
//! ```
//!
//! A lane has two logs with the same sequence numbers: persistent messages of durable queues are in the one that
//! stays, what overflowed from memory is in the temporary one.
//!
//! Keys; numbers in keys are big-endian, so that they sort, and numbers in values little-endian:
//!
//! ```text
//!   65 00                            -> u8 version (1), u64 numbers below this one may have been used
//!   65 10 {u64 queue}                -> fields: the definition of a queue or durable subscription
//!   65 20 {u64 exchange}             -> fields: the definition of an exchange
//!   65 30 {u64 binding}              -> fields: a binding
//!   65 40 {u64 log}                  -> u64: entries below this one may have been delivered
//!   65 50 {u64 log} {u64 entry}      -> u32: how often the entry was delivered in vain
//!   65 60 {u64 producer}             -> fields: how far a producer with a name has counted
//!   65 70 {u64 branch} {u32 chunk}   -> fields: chunk 0 says what a prepared branch is, the others what it does
//!   65 80 {u64 log} {u64 entry}      -> u64 log, u64 length: where the entry's body lies in pieces
//! ```

use bytes::Bytes;
use sabir_model::store::{LogId, TEMPORARY};

/// Version of the key space.
pub(crate) const VERSION: u8 = 1;

const PREFIX: u8 = b'e';
const META: u8 = 0x00;
const QUEUE: u8 = 0x10;
const EXCHANGE: u8 = 0x20;
const BINDING: u8 = 0x30;
const MARK: u8 = 0x40;
const ATTEMPTS: u8 = 0x50;
const PRODUCER: u8 = 0x60;
const PREPARED: u8 = 0x70;
const BODY: u8 = 0x80;

const KIND_SHIFT: u32 = 60;
const NUMBER_MASK: u64 = (1 << KIND_SHIFT) - 1;
/// The width of a bucket of delayed messages is two to this power of milliseconds.
pub(crate) const BUCKET_SHIFT: u32 = 14;

/// What a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogKind {
    /// Messages of a queue with one priority.
    Lane {
        /// Number of the queue.
        queue: u64,
        /// 0 to 9.
        priority: u8,
    },
    /// Messages of an open transaction.
    Transaction(u64),
    /// Messages that become due within one stretch of time.
    Delayed(u64),
    /// The body of a message, in pieces.
    Body(u64),
}

/// The log of a lane.
pub(crate) fn lane_log(queue: u64, priority: u8) -> LogId {
    ((queue << 4) & NUMBER_MASK) | u64::from(priority)
}

/// The log of a transaction.
pub(crate) fn transaction_log(number: u64) -> LogId {
    (1 << KIND_SHIFT) | (number & NUMBER_MASK)
}

/// The log of the messages due at this time.
pub(crate) fn delayed_log(due_ms: i64) -> LogId {
    (2 << KIND_SHIFT) | ((due_ms.max(0) as u64) >> BUCKET_SHIFT)
}

/// The log of a body's pieces.
pub(crate) fn body_log(number: u64) -> LogId {
    (3 << KIND_SHIFT) | (number & NUMBER_MASK)
}

/// What this log is; `None`: none of the engine's.
pub(crate) fn log_kind(log: LogId) -> Option<LogKind> {
    let number = log & NUMBER_MASK;
    match (log & !TEMPORARY) >> KIND_SHIFT {
        0 => Some(LogKind::Lane { queue: number >> 4, priority: (number & 0xf) as u8 }),
        1 => Some(LogKind::Transaction(number)),
        2 => Some(LogKind::Delayed(number)),
        3 => Some(LogKind::Body(number)),
        _ => None,
    }
}

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// Version and used numbers.
    Meta,
    /// Definition of a queue.
    Queue(u64),
    /// Definition of an exchange.
    Exchange(u64),
    /// A binding.
    Binding(u64),
    /// How far a log was delivered.
    Mark(LogId),
    /// How often an entry was delivered in vain.
    Attempts(LogId, u64),
    /// How far a producer has counted.
    Producer(u64),
    /// A part of what is kept of a prepared branch.
    Prepared(u64, u32),
    /// Where an entry's body lies.
    Body(LogId, u64),
}

/// The key's bytes.
pub(crate) fn key(kind: KeyKind) -> Bytes {
    let mut bytes = Vec::with_capacity(18);
    bytes.push(PREFIX);
    match kind {
        KeyKind::Meta => bytes.push(META),
        KeyKind::Queue(number) => numbered(&mut bytes, QUEUE, number),
        KeyKind::Exchange(number) => numbered(&mut bytes, EXCHANGE, number),
        KeyKind::Binding(number) => numbered(&mut bytes, BINDING, number),
        KeyKind::Mark(log) => numbered(&mut bytes, MARK, log),
        KeyKind::Producer(number) => numbered(&mut bytes, PRODUCER, number),
        KeyKind::Attempts(log, seq) => entry(&mut bytes, ATTEMPTS, log, seq),
        KeyKind::Body(log, seq) => entry(&mut bytes, BODY, log, seq),
        KeyKind::Prepared(number, chunk) => {
            numbered(&mut bytes, PREPARED, number);
            bytes.extend_from_slice(&chunk.to_be_bytes());
        }
    }
    bytes.into()
}

fn numbered(bytes: &mut Vec<u8>, kind: u8, number: u64) {
    bytes.push(kind);
    bytes.extend_from_slice(&number.to_be_bytes());
}

fn entry(bytes: &mut Vec<u8>, kind: u8, log: LogId, seq: u64) {
    numbered(bytes, kind, log);
    bytes.extend_from_slice(&seq.to_be_bytes());
}

/// What the bytes of a key say; `None`: no key of the engine's.
pub(crate) fn parse(bytes: &[u8]) -> Option<KeyKind> {
    let (&[prefix, kind], rest) = bytes.split_first_chunk::<2>()?;
    if prefix != PREFIX {
        return None;
    }
    if kind == META && rest.is_empty() {
        return Some(KeyKind::Meta);
    }
    let (first, rest) = rest.split_first_chunk::<8>()?;
    let number = u64::from_be_bytes(*first);
    if matches!(kind, ATTEMPTS | BODY) {
        let seq = u64::from_be_bytes(rest.try_into().ok()?);
        return Some(if kind == BODY { KeyKind::Body(number, seq) } else { KeyKind::Attempts(number, seq) });
    }
    if kind == PREPARED {
        return Some(KeyKind::Prepared(number, u32::from_be_bytes(rest.try_into().ok()?)));
    }
    if !rest.is_empty() {
        return None;
    }
    Some(match kind {
        QUEUE => KeyKind::Queue(number),
        EXCHANGE => KeyKind::Exchange(number),
        BINDING => KeyKind::Binding(number),
        MARK => KeyKind::Mark(number),
        PRODUCER => KeyKind::Producer(number),
        _ => return None,
    })
}

/// The range of keys that recovery needs.
pub(crate) fn range() -> (Bytes, Bytes) {
    (Bytes::from_static(&[PREFIX]), Bytes::from_static(&[PREFIX + 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_back_and_lies_in_the_range_that_recovery_asks_for() {
        let (from, to) = range();
        for kind in [
            KeyKind::Meta,
            KeyKind::Queue(7),
            KeyKind::Exchange(8),
            KeyKind::Binding(9),
            KeyKind::Mark(lane_log(7, 4)),
            KeyKind::Producer(10),
            KeyKind::Prepared(11, 0),
            KeyKind::Prepared(11, u32::MAX),
            KeyKind::Attempts(lane_log(7, 4), u64::MAX),
            KeyKind::Body(lane_log(7, 4), u64::MAX),
        ] {
            let bytes = key(kind);
            assert_eq!(parse(&bytes), Some(kind));
            assert!(bytes >= from && bytes < to);
        }
        assert_eq!(parse(b"e"), None);
        assert_eq!(parse(b"x\x00"), None);
        assert_eq!(parse(b"e\x10\0\0"), None);
    }

    #[test]
    fn every_log_says_what_it_is() {
        assert_eq!(log_kind(lane_log(77, 9)), Some(LogKind::Lane { queue: 77, priority: 9 }));
        assert_eq!(log_kind(lane_log(77, 9) | TEMPORARY), Some(LogKind::Lane { queue: 77, priority: 9 }));
        assert_eq!(log_kind(transaction_log(5)), Some(LogKind::Transaction(5)));
        assert_eq!(log_kind(delayed_log(1 << 15)), Some(LogKind::Delayed(2)));
        assert_eq!(log_kind(body_log(6)), Some(LogKind::Body(6)));
        assert_eq!(log_kind(7 << KIND_SHIFT), None);
    }
}
