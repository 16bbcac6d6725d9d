// SPDX-License-Identifier: Apache-2.0
//! What goes wrong, and the `ERROR` frame that says so before the connection closes.
//!
//! Texts may quote the peer. They are cut and made printable here, once, for the frame and for the log alike.

use super::{Core, Phase};
use crate::codec::{Command, Escapes, FrameError, FrameWriter, HeaderName, Version};
use crate::destination::AddressError;
use sabir_sdk::protocol::Out;
use std::borrow::Cow;

/// Longest text from the peer that is quoted, in bytes.
const QUOTED_BYTES: usize = 256;

/// Why a frame is refused.
#[derive(Debug)]
pub struct Problem {
    /// What, in short: the header `message`.
    short: Cow<'static, str>,
    /// More of it: the body.
    detail: String,
    receipt: Option<Box<[u8]>>,
    names_versions: bool,
}

/// An `ERROR` that has yet to be written.
#[derive(Debug)]
pub struct Failure(Problem);

impl Problem {
    /// A problem with something to add.
    pub fn new(short: impl Into<Cow<'static, str>>, detail: String) -> Self {
        Problem { short: short.into(), detail, receipt: None, names_versions: false }
    }

    /// A problem that is said in few words.
    pub fn short(short: impl Into<Cow<'static, str>>) -> Self {
        Problem::new(short, String::new())
    }

    /// A header that is not there.
    pub fn missing(command: Command, header: HeaderName) -> Self {
        Problem::short(format!("{} has no header {}", command.as_str(), header.as_str()))
    }

    /// A header whose value cannot be.
    pub fn bad_header(header: HeaderName, value: &str, wanted: &str) -> Self {
        let short = format!("the header {} cannot have this value", header.as_str());
        Problem::new(short, format!("{:?} is not {wanted}", cut(value)))
    }

    /// A limit that was reached.
    pub fn limit(setting: &str, limit: usize) -> Self {
        Problem::new("a limit of this connection was reached", format!("{setting} is {limit}"))
    }

    /// Something else than `CONNECT` as the first frame.
    pub fn before_connect(command: Command) -> Self {
        Problem::new("the first frame must be CONNECT or STOMP", format!("{} came first", command.as_str()))
    }

    /// No version in common.
    pub fn version(accepted: &str) -> Self {
        Problem {
            names_versions: true,
            ..Problem::new(
                "no version in common",
                format!("supported versions are {}, accepted are {:?}", Version::SUPPORTED, cut(accepted)),
            )
        }
    }

    /// With the receipt that the frame had asked for, as it stood on the wire.
    pub fn with_receipt(self, receipt: Option<&str>) -> Self {
        self.with_raw_receipt(receipt.map(str::as_bytes))
    }

    /// The same, from bytes.
    pub fn with_raw_receipt(mut self, receipt: Option<&[u8]>) -> Self {
        if self.receipt.is_none() {
            self.receipt = receipt.map(Box::from);
        }
        self
    }
}

impl From<AddressError> for Problem {
    fn from(error: AddressError) -> Self {
        Problem::new("the destination cannot be used", error.to_string())
    }
}

impl Core {
    /// A frame that is none. Once its body was begun the receipt is that of the last frame.
    pub fn frame_problem(&self, error: &FrameError) -> Problem {
        let problem = Problem::new("the frame cannot be read", error.to_string());
        if self.receiving { problem.with_raw_receipt(self.receipts.last_name()) } else { problem }
    }

    /// Ends the session with an `ERROR` frame.
    pub fn fail(&mut self, problem: Problem, out: &mut Out<'_>) {
        if self.phase == Phase::Closed {
            return;
        }
        self.log_problem(&problem);
        self.phase = Phase::Closed;
        self.failure = Some(Box::new(Failure(problem)));
        self.flush_failure(out);
    }

    /// One line per connection at the most, and none above `debug` for peers that have not logged in: they could
    /// write the log full.
    fn log_problem(&self, problem: &Problem) {
        crate::log::refused(
            &self.host,
            self.version_known(),
            &self.connection_id,
            &printable(&problem.short),
            &printable(&problem.detail),
        );
    }

    fn version_known(&self) -> bool {
        matches!(self.phase, Phase::Connected | Phase::Disconnecting)
    }

    /// Writes the `ERROR` that waits, if there is one and it can be written now.
    pub fn flush_failure(&mut self, out: &mut Out<'_>) {
        if self.sending {
            // The peer is in the midst of a body: whatever is written would become part of it.
            self.failure = None;
            out.close_link();
            return;
        }
        if self.is_flush_due() {
            // Receipts that found no room come first: the deadline is set to now.
            return;
        }
        let Some(failure) = self.failure.take() else { return };
        let mark = out.mark();
        let had_room = !out.is_empty();
        self.write_error(&failure.0, out);
        if out.overflowed() {
            out.rollback(mark);
            if had_room {
                self.failure = Some(failure);
                return;
            }
            // It will never fit. The link closes without a word.
        }
        out.close_link();
    }

    fn write_error(&mut self, problem: &Problem, out: &mut Out<'_>) {
        let escapes = self.version.escapes();
        let short = printable(&problem.short);
        let mut body = short.clone();
        if !problem.detail.is_empty() {
            body.push_str(": ");
            body.push_str(&printable(&problem.detail));
        }
        body.push('\n');
        self.scratch.clear();
        let mut frame =
            FrameWriter::new(&mut self.scratch, Command::Error, escapes).header("message", &short);
        if problem.names_versions {
            frame = frame.header("version", Version::SUPPORTED);
        }
        if let Some(receipt) = problem.receipt.as_deref() {
            frame = receipt_id(frame, receipt, escapes);
        }
        // No content-length, as in ActiveMQ: stompit, a client from npm, dies of an ERROR that has one. The text has no
        // NUL.
        frame.raw("content-type", b"text/plain").body(body.as_bytes());
        out.write(&self.scratch);
    }
}

/// The receipt as it stood on the wire, if that can be written back: a refused frame may hold anything.
fn receipt_id<'s>(
    frame: FrameWriter<'s, Vec<u8>>,
    receipt: &[u8],
    escapes: Escapes,
) -> FrameWriter<'s, Vec<u8>> {
    let harmless =
        escapes.are_defined_in(receipt) && !receipt.iter().any(|byte| matches!(byte, 0 | b'\n' | b'\r'));
    if harmless { frame.raw("receipt-id", receipt) } else { frame }
}

/// The begin of a text.
pub fn cut(text: &str) -> &str {
    match text.char_indices().map(|(at, character)| at + character.len_utf8()).find(|end| *end > QUOTED_BYTES)
    {
        Some(end) => text.get(..end).unwrap_or(text),
        None => text,
    }
}

/// A text without control characters and of bounded length, for frames and logs.
pub fn printable(text: &str) -> String {
    let mut shown: String = cut(text)
        .chars()
        .map(|character| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character })
        .collect();
    if shown.len() < text.len() && cut(text).len() < text.len() {
        shown.push_str(" ...");
    }
    shown
}
