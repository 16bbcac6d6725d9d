// SPDX-License-Identifier: Apache-2.0
//! A place in borrowed bytes, from which numbers are taken in network order. Every step is checked against the end.

use super::error::{Error, Place};

/// See the module.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The field that is being read, for errors.
    pub(super) what: &'static Place,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static Place) -> Cursor<'a> {
        Cursor { bytes, at: 0, what }
    }

    /// How many bytes have been taken.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[cold]
    fn truncated(&self, len: usize) -> Error {
        Error::Truncated { what: self.what, needed: self.at.saturating_add(len) }
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..len)) {
            Some(taken) => {
                self.at += len;
                Ok(taken)
            }
            None => Err(self.truncated(len)),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        match self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()) {
            Some(taken) => {
                self.at += N;
                Ok(*taken)
            }
            None => Err(self.truncated(N)),
        }
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn i16(&mut self) -> Result<i16, Error> {
        self.array().map(i16::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(super) fn i32(&mut self) -> Result<i32, Error> {
        self.array().map(i32::from_be_bytes)
    }

    #[inline]
    pub(super) fn i64(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_be_bytes)
    }

    /// The length of what follows: not negative, and no more than is there.
    #[inline]
    pub(super) fn length_i32(&mut self) -> Result<usize, Error> {
        let length = self.i32()?;
        self.length(length.into())
    }

    /// The same, from 16 bits with a sign.
    #[inline]
    pub(super) fn length_i16(&mut self) -> Result<usize, Error> {
        let length = self.i16()?;
        self.length(length.into())
    }

    fn length(&self, length: i64) -> Result<usize, Error> {
        let bad = || Error::BadLength { what: self.what, length };
        let length = usize::try_from(length).map_err(|_| bad())?;
        if length > self.remaining() { Err(self.truncated(length)) } else { Ok(length) }
    }
}
