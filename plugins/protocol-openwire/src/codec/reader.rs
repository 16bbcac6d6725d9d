// SPDX-License-Identifier: Apache-2.0
//! Reads the fields of one frame. `T` is whether the encoding is tight, so that each has code of its own.

use super::blob::Blob;
use super::cache::{ObjectId, ReadCache};
use super::cursor::Cursor;
use super::error::{Error, Place};
use super::field::{Nested, Shared, is_message};
use super::mutf8;
use super::options::Options;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// The booleans of a tight frame, least significant bit first.
#[derive(Debug, Clone, Copy, Default)]
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Where the content of the outermost message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// In the frame.
    Here,
    /// In the frame, most of which is not here: reading ends as soon as its place is known.
    Sought,
    /// There.
    Found(Range<usize>),
    /// Cut out of the frame: it had this length.
    Elsewhere(usize),
}

/// See the module.
pub(super) struct Reader<'a, const T: bool> {
    pub(super) cursor: Cursor<'a>,
    bits: Bits<'a>,
    pub(super) version: u8,
    pub(super) stack_trace: bool,
    cache: &'a mut ReadCache,
    depth: u16,
    depth_limit: u16,
    kept: usize,
    budget: usize,
    pub(super) content: Content,
}

impl<'a, const T: bool> Reader<'a, T> {
    pub(super) fn new(frame: &'a [u8], options: &Options, cache: &'a mut ReadCache) -> Reader<'a, T> {
        Reader {
            cursor: Cursor::new(frame, Place::FRAME),
            bits: Bits::default(),
            version: options.version,
            stack_trace: options.stack_trace,
            cache,
            depth: 0,
            depth_limit: options.depth,
            kept: 0,
            budget: options.budget_of(frame.len()),
            content: Content::Here,
        }
    }

    /// Reads the booleans that stand in front of a tight body.
    pub(super) fn boolean_stream(&mut self) -> Result<(), Error> {
        let length = match self.cursor.u8()? {
            0xc0 => self.cursor.u8()?.into(),
            0x80 => self.cursor.u16()?.into(),
            length => usize::from(length),
        };
        self.bits = Bits { bytes: self.cursor.take(length)?, at: 0 };
        Ok(())
    }

    #[inline]
    pub(super) fn enter(&mut self, place: &'static Place) {
        self.cursor.what = place;
    }

    #[inline]
    pub(super) fn what(&self) -> &'static Place {
        self.cursor.what
    }

    /// Counts memory before it is taken.
    #[inline]
    pub(super) fn keep(&mut self, bytes: usize) -> Result<(), Error> {
        self.kept = self.kept.saturating_add(bytes);
        match self.kept > self.budget {
            true => {
                Err(Error::TooLarge { what: self.what(), size: self.kept as u64, limit: self.budget as u64 })
            }
            false => Ok(()),
        }
    }

    pub(super) fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        match self.depth > self.depth_limit {
            true => Err(Error::TooDeep { what: self.what(), limit: self.depth_limit }),
            false => Ok(()),
        }
    }

    pub(super) fn back(&mut self) {
        self.depth -= 1;
    }

    #[inline]
    fn bit(&mut self) -> Result<bool, Error> {
        match self.bits.bytes.get(self.bits.at >> 3) {
            Some(byte) => {
                let bit = byte >> (self.bits.at & 7) & 1 != 0;
                self.bits.at += 1;
                Ok(bit)
            }
            None => Err(Error::Truncated {
                what: self.what(),
                needed: self.cursor.at() + self.cursor.remaining() + 1,
            }),
        }
    }

    #[inline]
    pub(super) fn boolean(&mut self) -> Result<bool, Error> {
        if T { self.bit() } else { Ok(self.cursor.u8()? != 0) }
    }

    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, Error> {
        if !T {
            return self.cursor.i64();
        }
        match (self.bit()?, self.bit()?) {
            (false, false) => Ok(0),
            (false, true) => self.cursor.u16().map(i64::from),
            (true, false) => self.cursor.u32().map(i64::from),
            (true, true) => self.cursor.i64(),
        }
    }

    /// A text that is there or not.
    #[inline]
    pub(super) fn text(&mut self) -> Result<Option<Box<str>>, Error> {
        if !self.boolean()? {
            return Ok(None);
        }
        let ascii = T && self.bit()?;
        let length = self.cursor.u16()?;
        let bytes = self.cursor.take(length.into())?;
        self.keep(bytes.len())?;
        let text = match ascii {
            // Java takes each byte for a character of its own.
            true if !bytes.is_ascii() => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
            _ => mutf8::decode_at(bytes, self.what())?,
        };
        Ok(Some(text.into()))
    }

    /// Bytes that are there or not, as a slice of the frame.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<Option<&'a [u8]>, Error> {
        if !self.boolean()? {
            return Ok(None);
        }
        let length = self.cursor.length_i32()?;
        self.cursor.take(length).map(Some)
    }

    /// The same, as a place in the frame.
    #[inline]
    pub(super) fn blob(&mut self) -> Result<Option<Blob>, Error> {
        let bytes = self.bytes()?;
        let end = self.cursor.at();
        Ok(bytes.map(|bytes| Blob::Span(end - bytes.len()..end)))
    }

    /// The content of a message; only the outermost one's can be elsewhere.
    #[inline]
    pub(super) fn content(&mut self) -> Result<Option<Blob>, Error> {
        match self.content {
            Content::Here => self.blob(),
            _ => self.content_apart(),
        }
    }

    #[cold]
    fn content_apart(&mut self) -> Result<Option<Blob>, Error> {
        let apart = std::mem::replace(&mut self.content, Content::Here);
        if !self.boolean()? {
            return Ok(None);
        }
        let length = self.cursor.i32()?;
        let bad = Error::BadLength { what: self.what(), length: length.into() };
        let length = usize::try_from(length).map_err(|_| bad.clone())?;
        let at = self.cursor.at();
        match apart {
            Content::Elsewhere(len) if len != length => Err(bad),
            Content::Elsewhere(_) => Ok(Some(Blob::Span(at..at))),
            _ => {
                let end = at.saturating_add(length);
                self.content = Content::Found(at..end);
                Err(Error::Truncated { what: self.what(), needed: end })
            }
        }
    }

    /// A data structure that is there or not.
    #[inline]
    pub(super) fn nested<N: Nested>(&mut self) -> Result<Option<N>, Error> {
        if !self.boolean()? {
            return Ok(None);
        }
        let code = self.cursor.u8()?;
        // A «marshall aware» structure could carry a form of its own. Nobody writes it, everybody must read it.
        if T && is_message(code) && self.bit()? {
            return self.nested_alone(code).map(Some);
        }
        N::read(code, self).map(Some)
    }

    /// With its length, its type again and its own booleans.
    #[cold]
    fn nested_alone<N: Nested>(&mut self, code: u8) -> Result<N, Error> {
        self.cursor.i32()?;
        self.cursor.u8()?;
        let outer = self.bits;
        self.boolean_stream()?;
        let structure = N::read(code, self)?;
        self.bits = outer;
        Ok(structure)
    }

    /// The error for a structure that may not stand here.
    pub(super) fn unknown(&self, code: u8) -> Error {
        Error::UnknownType { what: self.what(), code, version: self.version }
    }

    pub(super) fn null(&self) -> Error {
        Error::Null { what: self.what() }
    }

    /// A value of one kind, from the cache or new.
    #[inline]
    pub(super) fn cached<S: Shared>(&mut self) -> Result<Option<Arc<S>>, Error> {
        if !self.cache.is_on() {
            return self.nested();
        }
        let new = self.boolean()?;
        let index = self.cursor.i16()?;
        if new {
            let value: Option<Arc<S>> = self.nested()?;
            self.cache.set(index, value.clone().map(S::wrap), self.cursor.what)?;
            return Ok(value);
        }
        let wrong = Error::Cache { what: self.cursor.what, index };
        match self.cache.get(index) {
            Some(None) => Ok(None),
            Some(Some(value)) => S::unwrap(value).cloned().map(Some).ok_or(wrong),
            None => Err(wrong),
        }
    }

    /// A value of any kind, from the cache or new.
    pub(super) fn cached_object(&mut self) -> Result<Option<ObjectId>, Error> {
        if !self.cache.is_on() {
            return self.nested();
        }
        let new = self.boolean()?;
        let index = self.cursor.i16()?;
        if new {
            let value: Option<ObjectId> = self.nested()?;
            self.cache.set(index, value.clone(), self.cursor.what)?;
            return Ok(value);
        }
        let found = self.cache.get(index).ok_or(Error::Cache { what: self.cursor.what, index })?;
        Ok(found.cloned())
    }
}
