// SPDX-License-Identifier: Apache-2.0
//! Format codecs: what the inside of a stream's batch means. They hold no state, and any thread may call them.

use crate::Result;

/// One message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Position in the batch, from 0. With gaps after compaction.
    pub index: u64,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The key that partitions and compaction go by.
    pub key: Option<&'a [u8]>,
    /// Head of the message in the canonical form.
    pub head: &'a [u8],
    /// Body of the message; `None`: a tombstone.
    pub body: Option<&'a [u8]>,
}

/// What is known of a batch without expanding it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Offsets that the batch spans.
    pub span: u64,
    /// Messages that it holds; at most `span`.
    pub count: u64,
    /// Largest timestamp in it, in milliseconds since 1970.
    pub max_timestamp_ms: i64,
}

/// A format of stream batches. Every input is untrusted: a damaged batch is
/// [`ErrorCode::Corrupt`](crate::ErrorCode::Corrupt), one that expands beyond `max_bytes` is
/// [`ErrorCode::Limit`](crate::ErrorCode::Limit).
pub trait Codec: 'static {
    /// The name in the configuration: `[a-z][a-z0-9-]*`, at most 32 bytes.
    const NAME: &'static str;
    /// Number of the format, stored with every batch.
    const FORMAT: u32;
    /// Reserved: 0.
    const CAPABILITIES: u64 = 0;

    /// Checks a batch as a client sent it, and tells what is in it.
    fn inspect(batch: &[u8]) -> Result<Summary>;

    /// Shows every message in order. An error of `visit` is passed on.
    fn expand(batch: &[u8], max_bytes: u64, visit: &mut dyn FnMut(&Item<'_>) -> Result<()>) -> Result<()>;

    /// Makes a batch.
    fn assemble(items: &[Item<'_>]) -> Result<Vec<u8>>;

    /// Writes the batch's first offset and the leader's epoch into its fixed fields, in place.
    fn assign_offsets(batch: &mut [u8], first_offset: u64, leader_epoch: u32) -> Result<()>;

    /// Shows the items with only their keys and timestamps filled in.
    fn keys(batch: &[u8], max_bytes: u64, visit: &mut dyn FnMut(&Item<'_>) -> Result<()>) -> Result<()>;

    /// Makes a batch of the items that `keep` keeps, at their old offsets; empty when nothing stayed.
    fn filter(
        batch: &[u8],
        max_bytes: u64,
        keep: &mut dyn FnMut(&Item<'_>) -> Result<bool>,
    ) -> Result<Vec<u8>>;
}
