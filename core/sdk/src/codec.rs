// SPDX-License-Identifier: Apache-2.0
//! Format codecs: what the inside of a stream's batch means. They hold no state, and any thread may call them.

use crate::Result;
pub use sabir_boundary::{Item, Summary};

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
