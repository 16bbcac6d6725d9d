// SPDX-License-Identifier: Apache-2.0
//! Format codecs: what the inside of a stream's batch means.
//!
//! A stream record is an opaque batch. Its codec alone knows how to turn it into messages and back, so that a batch
//! stays verbatim on disk and on the wire while others can still read it. Codecs hold no state, call nothing, and
//! any thread may call them.

use crate::{sabir_bytes, sabir_error, sabir_slice};
use core::ffi::c_void;

/// One message of a batch. *Borrowed* by the visitor during its call. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_codec_item {
    /// Size of this struct in bytes, set by the codec.
    pub struct_size: u32,
    /// Zero.
    pub flags: u32,
    /// Position in the batch, from 0. With gaps after compaction.
    pub index: u64,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The key that partitions and compaction go by; empty and NULL: it has none.
    pub key: sabir_slice,
    /// Head of the message in the canonical form (`docs/message-format.md`).
    pub head: sabir_slice,
    /// Body of the message; NULL: a tombstone.
    pub body: sabir_slice,
}

/// Receives items; answers `SABIR_OK` to go on, or a negative status that the codec passes on. Since 1.0.
pub type sabir_codec_visit = unsafe extern "C" fn(arg: *mut c_void, item: *const sabir_codec_item) -> i64;

/// Decides whether an item stays: 1 keeps it, 0 removes it, negative stops. Since 1.0.
pub type sabir_codec_keep = unsafe extern "C" fn(arg: *mut c_void, item: *const sabir_codec_item) -> i64;

/// What is known of a batch without expanding it. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_codec_summary {
    /// Size of this struct in bytes, set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub flags: u32,
    /// Offsets that the batch spans: last minus first, plus 1.
    pub span: u64,
    /// Messages that it holds; at most `span`.
    pub count: u64,
    /// Largest timestamp in it, in milliseconds since 1970.
    pub max_timestamp_ms: i64,
}

/// Functions of a format codec. Every input is untrusted: lengths are checked before they are believed, and a
/// damaged batch is `SABIR_ERR_CORRUPT`. Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_codec_vtable {
    /// Size of this struct in bytes, as the plugin knew it.
    pub struct_size: u32,
    /// Number of the format, stored with every batch: 1 to 255 are Sabir's own, others are registered in
    /// `docs/plugin-abi.md`.
    pub format: u32,
    /// Checks a batch as a client sent it, and tells what is in it.
    pub inspect: Option<
        unsafe extern "C" fn(
            batch: sabir_slice,
            out: *mut sabir_codec_summary,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Shows every message of a batch in order. `max_bytes` bounds what decompression may make of it
    /// (`SABIR_ERR_LIMIT` beyond).
    pub expand: Option<
        unsafe extern "C" fn(
            batch: sabir_slice,
            max_bytes: u64,
            visit: sabir_codec_visit,
            arg: *mut c_void,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Makes a batch of `count` items, which lie `stride` bytes apart. `out` is *owned* by the caller.
    pub assemble: Option<
        unsafe extern "C" fn(
            items: *const sabir_codec_item,
            count: usize,
            stride: usize,
            out: *mut sabir_bytes,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Writes the batch's first offset and the leader's epoch into its fixed fields, in place.
    pub assign_offsets: Option<
        unsafe extern "C" fn(
            batch: *mut u8,
            len: usize,
            first_offset: u64,
            leader_epoch: u32,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Shows the items with only their keys and timestamps filled in: what compaction needs.
    pub keys: Option<
        unsafe extern "C" fn(
            batch: sabir_slice,
            max_bytes: u64,
            visit: sabir_codec_visit,
            arg: *mut c_void,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Makes a batch of the items that `keep` keeps, at their old offsets. `out` is *owned* by the caller; empty
    /// when nothing stayed.
    pub filter: Option<
        unsafe extern "C" fn(
            batch: sabir_slice,
            max_bytes: u64,
            keep: sabir_codec_keep,
            arg: *mut c_void,
            out: *mut sabir_bytes,
            error: *mut sabir_error,
        ) -> i64,
    >,
}
