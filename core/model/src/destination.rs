// SPDX-License-Identifier: Apache-2.0
//! Queues, topics and their temporary kinds, by name.
//!
//! The text form is that of JMS brokers: `queue://ORDERS`, `topic://PRICES.>`; a composite is a list with commas.
//! Names are made of words separated by dots; in patterns `*` stands for one word and `#` for any number of words
//! (see [`crate::pattern`]). Protocols translate their own wildcards at the edge.

use std::fmt;

/// Longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DestinationKind {
    /// Every message to one of its consumers.
    Queue = 1,
    /// Every message to all of its subscriptions.
    Topic = 2,
    /// A queue that only its connection may consume from, and that goes with it.
    TempQueue = 3,
    /// A topic that only its connection may consume from, and that goes with it.
    TempTopic = 4,
    /// Routes to what is bound to it.
    Exchange = 5,
}

impl DestinationKind {
    /// All kinds.
    pub const ALL: [DestinationKind; 5] = [
        DestinationKind::Queue,
        DestinationKind::Topic,
        DestinationKind::TempQueue,
        DestinationKind::TempTopic,
        DestinationKind::Exchange,
    ];

    /// The scheme in the text form.
    pub fn scheme(self) -> &'static str {
        match self {
            DestinationKind::Queue => "queue",
            DestinationKind::Topic => "topic",
            DestinationKind::TempQueue => "temp-queue",
            DestinationKind::TempTopic => "temp-topic",
            DestinationKind::Exchange => "exchange",
        }
    }

    /// Whether it belongs to a connection.
    pub fn is_temporary(self) -> bool {
        matches!(self, DestinationKind::TempQueue | DestinationKind::TempTopic)
    }

    /// Whether it behaves as a topic.
    pub fn is_topic(self) -> bool {
        matches!(self, DestinationKind::Topic | DestinationKind::TempTopic)
    }
}

/// A destination: its kind and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// What the name stands for.
    pub kind: DestinationKind,
    /// The name: 1 to [`MAX_NAME_BYTES`] bytes, without control characters.
    pub name: Box<str>,
}

/// Why a text is no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// No known `scheme://` in front.
    #[error("{0:?} does not start with queue://, topic://, temp-queue://, temp-topic:// or exchange://")]
    Scheme(String),
    /// The name is empty.
    #[error("the destination has an empty name")]
    Empty,
    /// The name is too long.
    #[error("the destination's name has {0} bytes, more than the {MAX_NAME_BYTES} allowed")]
    TooLong(usize),
    /// The name has a control character.
    #[error("the destination's name {0:?} has a control character")]
    Control(String),
}

impl Destination {
    /// Checks a name and makes a destination of it.
    pub fn new(kind: DestinationKind, name: &str) -> Result<Self, DestinationError> {
        if name.is_empty() {
            return Err(DestinationError::Empty);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(DestinationError::TooLong(name.len()));
        }
        if name.chars().any(char::is_control) {
            return Err(DestinationError::Control(name.to_owned()));
        }
        Ok(Destination { kind, name: name.into() })
    }

    /// A queue.
    pub fn queue(name: &str) -> Result<Self, DestinationError> {
        Destination::new(DestinationKind::Queue, name)
    }

    /// A topic.
    pub fn topic(name: &str) -> Result<Self, DestinationError> {
        Destination::new(DestinationKind::Topic, name)
    }

    /// Reads the text form of one destination.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        let (scheme, name) =
            text.split_once("://").ok_or_else(|| DestinationError::Scheme(text.to_owned()))?;
        let kind = DestinationKind::ALL
            .into_iter()
            .find(|kind| kind.scheme() == scheme)
            .ok_or_else(|| DestinationError::Scheme(text.to_owned()))?;
        Destination::new(kind, name)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.kind.scheme(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_read_back_as_it_was_written() {
        for kind in DestinationKind::ALL {
            let destination = Destination::new(kind, "a.b/c d").unwrap();
            assert_eq!(Destination::parse(&destination.to_string()), Ok(destination));
        }
    }

    #[test]
    fn bad_names_are_refused_with_what_is_wrong() {
        assert_eq!(Destination::queue(""), Err(DestinationError::Empty));
        assert_eq!(Destination::queue("a\nb"), Err(DestinationError::Control("a\nb".into())));
        assert_eq!(Destination::queue(&"x".repeat(1025)), Err(DestinationError::TooLong(1025)));
        assert_eq!(Destination::parse("vm://x"), Err(DestinationError::Scheme("vm://x".into())));
        assert_eq!(Destination::parse("queue:x"), Err(DestinationError::Scheme("queue:x".into())));
    }
}
