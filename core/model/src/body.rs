// SPDX-License-Identifier: Apache-2.0
//! Bodies in the form of their kind, from encodings in which a protocol left them. It knows no protocol's frames.
//!
//! A protocol may store a body as it came, where turning it into the canonical form would cost something and perhaps
//! nobody ever asks for it. Whoever does ask calls [`canonical`].
//!
//! ```text
//!   0  canonical, as `docs/message-format.md` says
//!   1  as JMS brokers send it: text has an i32 length in front, texts are Java's modified UTF-8; no bytes: null
//!   2  the same, compressed: a zlib stream; if the kind is bytes, an i32 in front says how many of what it inflates to
//!      are the body
//! ```

pub mod java;

use crate::message::BodyKind;
use std::borrow::Cow;
use std::io::Read;

/// The body is in the canonical form of its kind.
pub const CANONICAL: u16 = 0;
/// The body is as JMS brokers send it.
pub const JMS: u16 = 1;
/// The same, compressed.
pub const JMS_COMPRESSED: u16 = 2;

/// Length of the number in front of texts, and of compressed bytes.
pub const LENGTH_BYTES: usize = 4;

/// Why a body cannot be had in its canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not one of the encodings above.
    #[error("the body has the encoding {0}, which is not known")]
    Encoding(u16),
    /// It is not what it says.
    #[error("the body is damaged: {0}")]
    Damaged(&'static str),
    /// It was compressed, and takes more room than it may.
    #[error("the compressed body has more than {limit_bytes} bytes")]
    TooLarge {
        /// How much it may take.
        limit_bytes: usize,
    },
}

/// The body in the canonical form of its kind.
///
/// Never takes more memory than about twice `max_bytes` for a compressed body, and twice the body's length for any
/// other; bodies that are canonical are lent as they are.
///
/// # Errors
///
/// The body is not what its encoding says, or inflates to more than `max_bytes`.
pub fn canonical(
    kind: BodyKind,
    encoding: u16,
    body: &[u8],
    max_bytes: usize,
) -> Result<Cow<'_, [u8]>, BodyError> {
    match encoding {
        CANONICAL => Ok(Cow::Borrowed(body)),
        // No body at all is none, not an empty map or text that would have to be well formed.
        JMS | JMS_COMPRESSED if body.is_empty() || kind == BodyKind::None => Ok(Cow::Borrowed(&[])),
        JMS => from_jms(kind, body),
        JMS_COMPRESSED => {
            let mut inflated = inflate(kind, body, max_bytes)?;
            match from_jms(kind, &inflated)? {
                Cow::Owned(converted) => Ok(Cow::Owned(converted)),
                // A part of it, at its end.
                Cow::Borrowed(part) => {
                    let front = inflated.len() - part.len();
                    inflated.drain(..front);
                    Ok(Cow::Owned(inflated))
                }
            }
        }
        other => Err(BodyError::Encoding(other)),
    }
}

/// What is borrowed is a part of `body` up to its end.
fn from_jms(kind: BodyKind, body: &[u8]) -> Result<Cow<'_, [u8]>, BodyError> {
    match kind {
        BodyKind::Text => from_jms_text(body),
        BodyKind::Map => match java::check_map(body)? {
            true => Ok(Cow::Borrowed(body)),
            false => java::map_to_utf8(body).map(Cow::Owned),
        },
        BodyKind::Stream => match java::check_stream(body)? {
            true => Ok(Cow::Borrowed(body)),
            false => java::stream_to_utf8(body).map(Cow::Owned),
        },
        BodyKind::None | BodyKind::Bytes | BodyKind::Object => Ok(Cow::Borrowed(body)),
    }
}

fn from_jms_text(body: &[u8]) -> Result<Cow<'_, [u8]>, BodyError> {
    const LENGTH: BodyError = BodyError::Damaged("the text is not as long as it says");
    let (length, text) = body.split_first_chunk::<LENGTH_BYTES>().ok_or(LENGTH)?;
    if usize::try_from(i32::from_be_bytes(*length)) != Ok(text.len()) {
        return Err(LENGTH);
    }
    match java::to_utf8(text)? {
        Cow::Borrowed(text) => Ok(Cow::Borrowed(text.as_bytes())),
        Cow::Owned(text) => Ok(Cow::Owned(text.into_bytes())),
    }
}

fn inflate(kind: BodyKind, body: &[u8], max_bytes: usize) -> Result<Vec<u8>, BodyError> {
    const DAMAGED: BodyError = BodyError::Damaged("it is no zlib stream");
    const SHORT: BodyError = BodyError::Damaged("it inflates to less than it says");
    const TOO_LARGE: fn(usize) -> BodyError = |limit_bytes| BodyError::TooLarge { limit_bytes };
    if kind != BodyKind::Bytes {
        // The length of a text is not a part of the text.
        let extra = if kind == BodyKind::Text { LENGTH_BYTES } else { 0 };
        let limit = max_bytes.saturating_add(extra);
        let inflated = inflate_up_to(body, limit.saturating_add(1)).ok_or(DAMAGED)?;
        return if inflated.len() > limit { Err(TOO_LARGE(max_bytes)) } else { Ok(inflated) };
    }
    // Java compresses its whole buffer, so that behind so many bytes come others that mean nothing.
    let (length, stream) = body.split_first_chunk::<LENGTH_BYTES>().ok_or(DAMAGED)?;
    let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| DAMAGED)?;
    if length > max_bytes {
        return Err(TOO_LARGE(max_bytes));
    }
    let inflated = inflate_up_to(stream, length).ok_or(DAMAGED)?;
    if inflated.len() < length { Err(SHORT) } else { Ok(inflated) }
}

/// At most the first so many bytes: memory is taken as they come.
fn inflate_up_to(stream: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut inflated = Vec::new();
    let mut reader = flate2::read::ZlibDecoder::new(stream).take(len as u64);
    reader.read_to_end(&mut inflated).ok()?;
    Some(inflated)
}
