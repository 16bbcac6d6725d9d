// SPDX-License-Identifier: Apache-2.0
//! STOMP frames: what goes out is built once and patched, what comes in is cut at the least cost.

use anyhow::{Result, bail};
use memchr::memchr;
use std::ops::Range;

/// Digits of a receipt's number.
const DIGITS: usize = 10;
/// Digits of the time in a body.
pub const STAMP_DIGITS: usize = 20;
/// As much as one write shall carry.
const BATCH_BYTES: usize = 256 * 1024;

/// Frames of one producer, one behind the other, ready to be written in one go.
pub struct Sends {
    bytes: Vec<u8>,
    frame_len: usize,
    count: usize,
    /// Where in a frame the receipt's number stands; `None`: these frames ask for none.
    receipt: Option<usize>,
    /// Where in a frame the body starts.
    body: usize,
}

impl Sends {
    /// Builds as many frames as fill a write, with or without a receipt each.
    pub fn new(destination: &str, size_bytes: usize, persistent: bool, receipts: bool) -> Sends {
        let mut frame =
            format!("SEND\ndestination:{destination}\ncontent-length:{size_bytes}\n").into_bytes();
        if persistent {
            frame.extend_from_slice(b"persistent:true\n");
        }
        let receipt = receipts.then(|| {
            frame.extend_from_slice(b"receipt:");
            let at = frame.len();
            frame.extend_from_slice(&[b'0'; DIGITS]);
            frame.push(b'\n');
            at
        });
        frame.push(b'\n');
        let body = frame.len();
        frame.resize(body + size_bytes, b'x');
        frame.push(0);
        let count = (BATCH_BYTES / frame.len()).clamp(1, 512);
        Sends { bytes: frame.repeat(count), frame_len: frame.len(), count, receipt, body }
    }

    /// The most frames that `batch` gives.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The bytes of `count` frames whose receipts are numbered from `first`.
    pub fn batch(&mut self, first: u64, count: usize) -> &[u8] {
        let count = count.min(self.count);
        if let Some(at) = self.receipt {
            for index in 0..count {
                let start = index * self.frame_len + at;
                write_digits(first + index as u64, &mut self.bytes[start..start + DIGITS]);
            }
        }
        &self.bytes[..count * self.frame_len]
    }

    /// Writes a time into the body of the frame `index`.
    pub fn stamp(&mut self, index: usize, time_ns: u64) {
        let start = index * self.frame_len + self.body;
        write_digits(time_ns, &mut self.bytes[start..start + STAMP_DIGITS]);
    }
}

/// Writes `number` right-aligned with leading zeros; higher digits than fit are left out.
fn write_digits(mut number: u64, into: &mut [u8]) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Reads digits; anything else gives `None`.
pub fn read_digits(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.parse().ok()
}

/// The kinds of frames that matter to a load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Connected,
    Message,
    Receipt,
    Error,
}

/// A frame that has come in; ranges lie in the buffer that it was cut from.
#[derive(Debug)]
pub struct Frame {
    pub kind: Kind,
    /// What an `ACK` names: the header `ack`.
    pub ack: Range<usize>,
    pub receipt: Range<usize>,
    pub body: Range<usize>,
    /// Where the next frame may start.
    pub end: usize,
}

/// Cuts the frame that starts at `start`; `None`: it is not all there yet.
pub fn cut(bytes: &[u8], start: usize) -> Result<Option<Frame>> {
    let mut at = start;
    while matches!(bytes.get(at), Some(b'\n' | b'\r')) {
        at += 1;
    }
    let Some(line) = next_line(bytes, at) else { return Ok(None) };
    let kind = match trim_return(&bytes[line.clone()]) {
        b"MESSAGE" => Kind::Message,
        b"RECEIPT" => Kind::Receipt,
        b"CONNECTED" => Kind::Connected,
        b"ERROR" => Kind::Error,
        other => bail!("an unknown frame: {}", String::from_utf8_lossy(other)),
    };
    let mut frame = Frame { kind, ack: 0..0, receipt: 0..0, body: 0..0, end: 0 };
    let mut length = None;
    at = line.end + 1;
    loop {
        let Some(line) = next_line(bytes, at) else { return Ok(None) };
        let text = trim_return(&bytes[line.clone()]);
        if text.is_empty() {
            at = line.end + 1;
            break;
        }
        match text[0] {
            b'c' if text.starts_with(b"content-length:") => length = read_digits(&text[15..]),
            b'a' if text.starts_with(b"ack:") => frame.ack = at + 4..at + text.len(),
            b'r' if text.starts_with(b"receipt-id:") => frame.receipt = at + 11..at + text.len(),
            _ => {}
        }
        at = line.end + 1;
    }
    let end = match length {
        Some(length) => at + length as usize,
        None => match memchr(0, &bytes[at..]) {
            Some(length) => at + length,
            None => return Ok(None),
        },
    };
    if bytes.len() <= end {
        return Ok(None);
    }
    frame.body = at..end;
    frame.end = end + 1;
    Ok(Some(frame))
}

fn next_line(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    memchr(b'\n', bytes.get(at..)?).map(|length| at..at + length)
}

fn trim_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_wherever_the_bytes_end() {
        let bytes = b"\nMESSAGE\r\nack:7\r\ncontent-length:3\r\n\r\na\0b\0RECEIPT\nreceipt-id:12\n\n\0";
        let first_end = bytes.len() - 27;
        for length in 0..first_end {
            assert!(cut(&bytes[..length], 0).expect("no error").is_none(), "{length}");
        }
        let first = cut(bytes, 0).expect("no error").expect("it is all there");
        assert_eq!(
            (first.kind, &bytes[first.ack], &bytes[first.body]),
            (Kind::Message, &b"7"[..], &b"a\0b"[..])
        );
        let second = cut(bytes, first.end).expect("no error").expect("it is all there");
        assert_eq!(
            (second.kind, &bytes[second.receipt], second.end),
            (Kind::Receipt, &b"12"[..], bytes.len())
        );
        assert!(cut(b"WHAT\n\n\0", 0).is_err());
    }

    #[test]
    fn frames_that_go_out_carry_their_receipt_and_time() {
        let mut sends = Sends::new("/queue/a", 24, true, true);
        sends.stamp(1, 5);
        let bytes = sends.batch(41, 2).to_vec();
        let second = String::from_utf8_lossy(&bytes[bytes.len() / 2..]).into_owned();
        assert!(second.contains("receipt:0000000042\n\n00000000000000000005xxxx\0"), "{second:?}");
        assert!(
            second.starts_with("SEND\ndestination:/queue/a\ncontent-length:24\npersistent:true\n"),
            "{second:?}"
        );
    }
}
