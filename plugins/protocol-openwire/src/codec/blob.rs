// SPDX-License-Identifier: Apache-2.0
//! Bytes that the codec does not look into: bodies and properties.

use bytes::Bytes;
use std::ops::Range;

/// Where the bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blob {
    /// Within the frame that was decoded, as it was given to the decoder.
    Span(Range<usize>),
    /// Here.
    Own(Bytes),
}

impl Blob {
    /// How many bytes.
    pub fn len(&self) -> usize {
        match self {
            Blob::Span(span) => span.len(),
            Blob::Own(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes; `frame` is what was decoded. `None`: the span is not of that frame.
    pub fn bytes<'a>(&'a self, frame: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Blob::Span(span) => frame.get(span.clone()),
            Blob::Own(bytes) => Some(bytes),
        }
    }

    /// Makes the bytes independent of the frame, by a reference to it. A span that is not of that frame stays as it is.
    pub fn detach(&mut self, frame: &Bytes) {
        if let Blob::Span(span) = self
            && span.start <= span.end
            && span.end <= frame.len()
        {
            *self = Blob::Own(frame.slice(span.clone()));
        }
    }
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Blob {
        Blob::Own(bytes)
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Blob {
        Blob::Own(bytes.into())
    }
}
