// SPDX-License-Identifier: Apache-2.0
//! What the two ends of a session say and do, as text, so that it can lie beside a plugin in any language.
//!
//! ```text
//!   # a comment
//!   > CONNECT\naccept-version:1.2\nhost:x\n\n\0    the peer sends these bytes: \n \r \t \0 \\ \xHH stand for bytes
//!   answer                                         the broker does all that it was asked and confirms it
//!   refuse                                         the broker refuses what it was asked
//!   deliver 3 text hello                           the broker delivers three messages to the last subscription
//!   advance 2000                                   so many milliseconds pass
//!   pause / resume                                 the host stops and resumes reading
//!   open / closed                                  the session must have left the link open, or closed it
//! ```

use bytes::Bytes;
use sabir_model::Message;
use sabir_model::message::{BodyKind, Field, Fixed, HeadWriter};

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The peer sends bytes.
    Send(Vec<u8>),
    /// The broker confirms all that it was asked.
    Answer,
    /// The broker refuses all that it was asked.
    Refuse,
    /// The broker delivers so many messages with this body to the last subscription.
    Deliver(usize, BodyKind, Vec<u8>),
    /// Milliseconds pass.
    Advance(u64),
    /// The host stops reading, or resumes.
    Pause(bool),
    /// The link must be closed, or open.
    Expect {
        /// Closed.
        closed: bool,
    },
}

/// What the two ends of one session say and do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// For reports.
    pub name: String,
    /// In order.
    pub steps: Vec<Step>,
}

/// A text that is no script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{script}, line {line}: {what}")]
pub struct ScriptError {
    /// Name of the script.
    pub script: String,
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl Script {
    /// Reads a script.
    pub fn parse(name: &str, text: &str) -> Result<Script, ScriptError> {
        let mut steps = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let step =
                step(line).map_err(|what| ScriptError { script: name.to_owned(), line: at + 1, what })?;
            steps.push(step);
        }
        Ok(Script { name: name.to_owned(), steps })
    }

    /// The bytes that the peer sends first.
    pub fn first_bytes(&self) -> &[u8] {
        let first = self.steps.iter().find_map(|step| match step {
            Step::Send(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        first.unwrap_or_default()
    }

    /// The same, with what is sent in one go joined to one step.
    pub fn joined(&self) -> Script {
        let mut steps: Vec<Step> = Vec::new();
        for step in &self.steps {
            match (steps.last_mut(), step) {
                (Some(Step::Send(before)), Step::Send(bytes)) => before.extend_from_slice(bytes),
                _ => steps.push(step.clone()),
            }
        }
        Script { name: self.name.clone(), steps }
    }
}

fn step(line: &str) -> Result<Step, String> {
    if let Some(bytes) = line.strip_prefix('>') {
        return Ok(Step::Send(unescape(bytes.strip_prefix(' ').unwrap_or(bytes))?));
    }
    let mut words = line.splitn(4, ' ');
    let count = |word: Option<&str>| {
        word.and_then(|word| word.parse::<u64>().ok()).ok_or_else(|| format!("{line:?} needs a number"))
    };
    match words.next().unwrap_or_default() {
        "answer" => Ok(Step::Answer),
        "refuse" => Ok(Step::Refuse),
        "advance" => Ok(Step::Advance(count(words.next())?)),
        "pause" => Ok(Step::Pause(true)),
        "resume" => Ok(Step::Pause(false)),
        "open" => Ok(Step::Expect { closed: false }),
        "closed" => Ok(Step::Expect { closed: true }),
        "deliver" => {
            let messages = usize::try_from(count(words.next())?).map_err(|error| error.to_string())?;
            let kind = match words.next() {
                Some("text") => BodyKind::Text,
                Some("bytes") => BodyKind::Bytes,
                Some("none") => BodyKind::None,
                other => return Err(format!("{other:?} is none of text, bytes, none")),
            };
            Ok(Step::Deliver(messages, kind, unescape(words.next().unwrap_or_default())?))
        }
        other => Err(format!("{other:?} is no step")),
    }
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match characters.next() {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                let digits: String = characters.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).map_err(|_| format!("\\x{digits} is no byte"))?
            }
            other => return Err(format!("\\{} stands for nothing", other.unwrap_or(' '))),
        });
    }
    Ok(bytes)
}

/// A message as a broker might deliver it; `number` tells messages apart.
pub fn message(number: usize, kind: BodyKind, body: &[u8]) -> Message {
    let mut head = Vec::new();
    let fixed =
        Fixed { body_kind: kind, persistent: true, timestamp_ms: 1_700_000_000_000, ..Fixed::default() };
    let mut writer = HeadWriter::new(&mut head, &fixed);
    let fields = [(Field::Id, format!("suite-{number}")), (Field::Destination, "queue://suite".to_owned())];
    for (field, value) in fields {
        // Both are far shorter than a field may be.
        let _ = writer.field(field, value.as_bytes());
    }
    writer.finish();
    match Message::split(Bytes::from(head), Bytes::copy_from_slice(body)) {
        Ok(message) => message,
        Err(error) => unreachable!("the suite's own message: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_line_by_line() {
        let text = "# hello\n\n> a\\n\\0\\x41\n  answer\ndeliver 2 text x y\nadvance 5\nclosed\n";
        let script = Script::parse("s", text).unwrap();
        assert_eq!(
            script.steps,
            [
                Step::Send(b"a\n\0A".to_vec()),
                Step::Answer,
                Step::Deliver(2, BodyKind::Text, b"x y".to_vec()),
                Step::Advance(5),
                Step::Expect { closed: true },
            ]
        );
        assert_eq!(script.first_bytes(), b"a\n\0A");
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, line, part) in [
            ("answer\nnod", 2, "no step"),
            ("> \\q", 1, "stands for nothing"),
            ("> \\xZZ", 1, "no byte"),
            ("advance", 1, "needs a number"),
            ("deliver 1 song", 1, "text, bytes, none"),
        ] {
            let error = Script::parse("s", text).unwrap_err();
            assert_eq!(error.line, line);
            assert!(error.what.contains(part), "{error}");
        }
    }
}
