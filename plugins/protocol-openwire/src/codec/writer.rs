// SPDX-License-Identifier: Apache-2.0
//! Writes the fields of one frame. `T` is whether the encoding is tight, so that each has code of its own.
//!
//! The body is collected beside the frame, because a tight frame begins with its booleans, which are known only at the
//! end. The content of the outermost message is not copied here: its place is remembered.

use super::blob::Blob;
use super::cache::{ObjectId, WriteCache};
use super::error::{Error, Place};
use super::field::{Nested, Shared, is_message};
use super::mutf8;
use std::sync::Arc;

/// Java reads the length of a tight text with a sign, and refuses to write the longest.
const TIGHT_TEXT_BYTES: usize = i16::MAX as usize - 1;

/// The booleans of a tight frame.
#[derive(Debug, Default)]
pub(super) struct BitSink {
    bytes: Vec<u8>,
    pending: u8,
    count: u8,
}

impl BitSink {
    fn clear(&mut self) {
        self.bytes.clear();
        (self.pending, self.count) = (0, 0);
    }

    #[inline]
    fn push(&mut self, bit: bool) {
        self.pending |= u8::from(bit) << self.count;
        self.count += 1;
        if self.count == 8 {
            self.bytes.push(self.pending);
            (self.pending, self.count) = (0, 0);
        }
    }

    fn finish(&mut self) -> &[u8] {
        if self.count > 0 {
            self.bytes.push(self.pending);
            (self.pending, self.count) = (0, 0);
        }
        &self.bytes
    }
}

/// What is used again from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) body: Vec<u8>,
    bits: BitSink,
    /// The booleans as they stand in the frame, with their length.
    pub(super) head: Vec<u8>,
}

/// A connection that wrote one large frame does not hold its memory for ever.
const KEPT_BYTES: usize = 64 * 1024;

impl Scratch {
    pub(super) fn clear(&mut self) {
        self.body.clear();
        self.body.shrink_to(KEPT_BYTES);
        self.bits.clear();
        self.head.clear();
    }

    /// Writes the booleans with their length, once all are known.
    pub(super) fn finish_bits(&mut self) -> Result<(), Error> {
        const WHAT: &Place = &Place { command: "frame", field: "booleans" };
        let bits = self.bits.finish();
        match bits.len() {
            length @ 0..64 => self.head.push(length as u8),
            length @ 64..256 => self.head.extend_from_slice(&[0xc0, length as u8]),
            length => {
                let too_large = Error::TooLarge { what: WHAT, size: length as u64, limit: i16::MAX as u64 };
                let length = i16::try_from(length).map_err(|_| too_large)?.to_be_bytes();
                self.head.push(0x80);
                self.head.extend_from_slice(&length);
            }
        }
        self.head.extend_from_slice(bits);
        Ok(())
    }
}

/// What happens to the content of the outermost message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// It is copied to its place.
    Copy,
    /// It has this length and is put to its place by somebody else.
    Elsewhere(usize),
    /// As [`Content::Elsewhere`], and its place is known by now.
    At(usize),
}

/// See the module.
pub(super) struct Writer<'a, const T: bool> {
    pub(super) scratch: &'a mut Scratch,
    pub(super) cache: &'a mut WriteCache,
    pub(super) version: u8,
    pub(super) stack_trace: bool,
    /// What the spans in the command are spans of.
    pub(super) frame: &'a [u8],
    pub(super) content: Content,
    pub(super) what: &'static Place,
}

impl<const T: bool> Writer<'_, T> {
    #[inline]
    pub(super) fn enter(&mut self, place: &'static Place) {
        self.what = place;
    }

    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.scratch.body.extend_from_slice(bytes);
    }

    #[inline]
    pub(super) fn boolean(&mut self, value: bool) {
        if T { self.scratch.bits.push(value) } else { self.scratch.body.push(u8::from(value)) }
    }

    #[inline]
    pub(super) fn long(&mut self, value: i64) {
        if !T {
            return self.put(&value.to_be_bytes());
        }
        let bits = &mut self.scratch.bits;
        match value {
            0 => {
                bits.push(false);
                bits.push(false);
            }
            1..=0xffff => {
                bits.push(false);
                bits.push(true);
                self.put(&(value as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                bits.push(true);
                bits.push(false);
                self.put(&(value as u32).to_be_bytes());
            }
            _ => {
                bits.push(true);
                bits.push(true);
                self.put(&value.to_be_bytes());
            }
        }
    }

    fn too_large(&self, size: usize, limit: usize) -> Error {
        Error::TooLarge { what: self.what, size: size as u64, limit: limit as u64 }
    }

    #[inline]
    pub(super) fn text(&mut self, text: Option<&str>) -> Result<(), Error> {
        self.boolean(text.is_some());
        let Some(text) = text else { return Ok(()) };
        let length = mutf8::encoded_len(text);
        let limit = if T { TIGHT_TEXT_BYTES } else { usize::from(u16::MAX) };
        if length > limit {
            return Err(self.too_large(length, limit));
        }
        if T {
            self.boolean(length == text.len() && text.is_ascii());
        }
        self.put(&(length as u16).to_be_bytes());
        mutf8::encode(text, &mut self.scratch.body);
        Ok(())
    }

    #[inline]
    pub(super) fn length_i32(&mut self, length: usize) -> Result<(), Error> {
        let length = i32::try_from(length).map_err(|_| self.too_large(length, i32::MAX as usize))?;
        self.put(&length.to_be_bytes());
        Ok(())
    }

    pub(super) fn length_i16(&mut self, length: usize) -> Result<(), Error> {
        let length = i16::try_from(length).map_err(|_| self.too_large(length, i16::MAX as usize))?;
        self.put(&length.to_be_bytes());
        Ok(())
    }

    #[inline]
    pub(super) fn bytes(&mut self, bytes: Option<&[u8]>) -> Result<(), Error> {
        self.boolean(bytes.is_some());
        let Some(bytes) = bytes else { return Ok(()) };
        self.length_i32(bytes.len())?;
        self.put(bytes);
        Ok(())
    }

    #[inline]
    pub(super) fn blob(&mut self, blob: Option<&Blob>) -> Result<(), Error> {
        let bytes = match blob {
            None => None,
            Some(blob) => Some(blob.bytes(self.frame).ok_or(Error::Detached { what: self.what })?),
        };
        self.bytes(bytes)
    }

    /// The content of a message: that of the outermost one may be put to its place by somebody else.
    #[inline]
    pub(super) fn content(&mut self, blob: Option<&Blob>) -> Result<(), Error> {
        let Content::Elsewhere(length) = self.content else { return self.blob(blob) };
        self.boolean(true);
        self.length_i32(length)?;
        self.content = Content::At(self.scratch.body.len());
        Ok(())
    }

    #[inline]
    pub(super) fn nested<N: Nested>(&mut self, value: Option<&N>) -> Result<(), Error> {
        self.boolean(value.is_some());
        let Some(value) = value else { return Ok(()) };
        let code = value.code();
        if T && is_message(code) {
            self.boolean(false);
        }
        self.scratch.body.push(code);
        value.write(self)
    }

    /// A null from or for the cache.
    fn cached_null(&mut self) {
        let known = self.cache.null();
        self.boolean(known.is_none());
        let index = known.unwrap_or_else(|| self.cache.add(None));
        self.put(&index.to_be_bytes());
        if known.is_none() {
            self.boolean(false);
        }
    }

    #[inline]
    pub(super) fn cached<S: Shared>(&mut self, value: Option<&Arc<S>>) -> Result<(), Error> {
        if !self.cache.is_on() {
            return self.nested(value);
        }
        let Some(value) = value else {
            self.cached_null();
            return Ok(());
        };
        if let Some(index) = self.cache.find_address(Arc::as_ptr(value).addr()) {
            self.boolean(false);
            self.put(&index.to_be_bytes());
            return Ok(());
        }
        self.cached_value(S::wrap(value.clone()))
    }

    pub(super) fn cached_object(&mut self, value: Option<&ObjectId>) -> Result<(), Error> {
        if !self.cache.is_on() {
            return self.nested(value);
        }
        match value {
            None => {
                self.cached_null();
                Ok(())
            }
            Some(value) => self.cached_value(value.clone()),
        }
    }

    /// Looked up by value, or new.
    fn cached_value(&mut self, value: ObjectId) -> Result<(), Error> {
        if let Some(index) = self.cache.find(&value) {
            self.boolean(false);
            self.put(&index.to_be_bytes());
            return Ok(());
        }
        self.boolean(true);
        if !T {
            let index = self.cache.add(Some(value.clone()));
            self.put(&index.to_be_bytes());
            return self.nested(Some(&value));
        }
        // The values within come first to the cache, although the index stands before them.
        let at = self.scratch.body.len();
        self.put(&[0; 2]);
        self.nested(Some(&value))?;
        let index = self.cache.add(Some(value)).to_be_bytes();
        if let Some(place) = self.scratch.body.get_mut(at..at + 2) {
            place.copy_from_slice(&index);
        }
        Ok(())
    }
}
