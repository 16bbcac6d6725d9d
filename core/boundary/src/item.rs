// SPDX-License-Identifier: Apache-2.0
//! What a format codec shows of a batch, in both forms.

use crate::slices;
use sabir_abi::{sabir_codec_item, sabir_codec_summary, sabir_slice};

/// One message of a batch, borrowed.
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

impl<'a> Item<'a> {
    /// The C form, valid as long as what it borrows.
    pub fn to_abi(&self) -> sabir_codec_item {
        sabir_codec_item {
            struct_size: size_of::<sabir_codec_item>() as u32,
            flags: 0,
            index: self.index,
            timestamp_ms: self.timestamp_ms,
            key: self.key.map_or(slices::EMPTY, slices::slice),
            head: slices::slice(self.head),
            body: self.body.map_or(slices::EMPTY, slices::slice),
        }
    }

    /// The Rust form; nothing for an item that is shorter than version 1.0 made it.
    ///
    /// # Safety
    /// `raw` is NULL, or starts with its own size, which is true, and its slices are valid during `'a`.
    pub unsafe fn from_abi(raw: *const sabir_codec_item) -> Option<Item<'a>> {
        // SAFETY: the caller promises it; the size comes first and is read before anything else.
        let raw = unsafe {
            if raw.is_null() || ((*raw).struct_size as usize) < size_of::<sabir_codec_item>() {
                return None;
            }
            &*raw
        };
        // Present but empty is told from absent by its pointer.
        // SAFETY: the caller promises it.
        let part = |slice: sabir_slice| (!slice.ptr.is_null()).then(|| unsafe { slices::bytes(slice) });
        Some(Item {
            index: raw.index,
            timestamp_ms: raw.timestamp_ms,
            key: part(raw.key),
            head: part(raw.head).unwrap_or_default(),
            body: part(raw.body),
        })
    }
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

impl Summary {
    /// The C form.
    pub fn to_abi(self) -> sabir_codec_summary {
        sabir_codec_summary {
            struct_size: size_of::<sabir_codec_summary>() as u32,
            flags: 0,
            span: self.span,
            count: self.count,
            max_timestamp_ms: self.max_timestamp_ms,
        }
    }

    /// The Rust form.
    pub fn from_abi(raw: &sabir_codec_summary) -> Self {
        Summary { span: raw.span, count: raw.count, max_timestamp_ms: raw.max_timestamp_ms }
    }
}
