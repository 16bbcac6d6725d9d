// SPDX-License-Identifier: Apache-2.0
//! What goes wrong, as exceptions of Java: the names of classes that JMS clients know, and texts.
//!
//! Texts may quote the peer. They are cut and made printable here, once, for frames and the log alike. What a peer calls
//! an exception is never sent on to another: classes come from the list below.

use crate::codec::{self, Throwable};
use sabir_model::verb::Reason;

/// Longest text of an exception, in bytes.
const TEXT_BYTES: usize = 1024;

/// The classes of exceptions that clients are sent. 6.x clients read `javax.jms` as `jakarta.jms`.
pub mod class {
    /// Anything without a class of its own.
    pub const JMS: &str = "javax.jms.JMSException";
    /// The order of things was not kept.
    pub const ILLEGAL_STATE: &str = "javax.jms.IllegalStateException";
    /// Clients make a `JMSSecurityException` of it, and give the connection up when it answers their log-in.
    pub const SECURITY: &str = "java.lang.SecurityException";
    /// The client id is missing, or somebody else's.
    pub const CLIENT_ID: &str = "javax.jms.InvalidClientIDException";
    /// There is no such destination.
    pub const DESTINATION: &str = "javax.jms.InvalidDestinationException";
    /// The selector cannot be read.
    pub const SELECTOR: &str = "javax.jms.InvalidSelectorException";
    /// The message cannot be read.
    pub const MESSAGE_FORMAT: &str = "javax.jms.MessageFormatException";
    /// A limit was reached.
    pub const RESOURCE: &str = "javax.jms.ResourceAllocationException";
    /// The transaction was rolled back.
    pub const ROLLED_BACK: &str = "javax.jms.TransactionRolledBackException";
    /// A step of a distributed transaction that cannot be.
    pub const XA: &str = "javax.transaction.xa.XAException";
    /// The bytes are wrong.
    pub const IO: &str = "java.io.IOException";
}

/// Error codes of `XAException`. Clients read them out of its text, since OpenWire has no place for them.
pub mod xa {
    use sabir_model::verb::Reason;

    /// `XA_RBROLLBACK`: it was rolled back.
    pub const ROLLED_BACK: i32 = 100;
    /// `XAER_RMERR`: something else is wrong with the branch.
    pub const FAILED: i32 = -3;
    /// `XAER_NOTA`: there is no such branch.
    pub const UNKNOWN: i32 = -4;
    /// `XAER_INVAL`: the question makes no sense.
    pub const INVALID: i32 = -5;
    /// `XAER_PROTO`: not now.
    pub const ORDER: i32 = -6;
    /// `XAER_RMFAIL`: the broker cannot, for the time being.
    pub const UNAVAILABLE: i32 = -7;
    /// `XAER_DUPID`: there is such a branch already.
    pub const DUPLICATE: i32 = -8;

    /// What the broker's refusal of a step is to a transaction manager.
    pub fn code_of(reason: Reason) -> i32 {
        match reason {
            Reason::RolledBack => ROLLED_BACK,
            Reason::NotFound => UNKNOWN,
            Reason::Invalid => ORDER,
            Reason::Conflict => DUPLICATE,
            Reason::Store | Reason::Stopping => UNAVAILABLE,
            Reason::Unauthenticated
            | Reason::Forbidden
            | Reason::Limit
            | Reason::BadMessage
            | Reason::BadSelector
            | Reason::Unsupported
            | Reason::Full => FAILED,
        }
    }
}

/// An exception to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    class: &'static str,
    text: String,
}

/// Why a command is not carried out.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    /// The client is told, and goes on.
    Refused(Exception),
    /// The client is told, and the connection ends.
    Fatal(Exception),
}

impl Exception {
    /// An exception of this class.
    pub fn new(class: &'static str, text: impl AsRef<str>) -> Self {
        Exception { class, text: printable(text.as_ref()) }
    }

    /// An `XAException` with this code, which its clients expect at the very end of the text.
    pub fn xa(code: i32, text: impl AsRef<str>) -> Self {
        let text = printable(text.as_ref());
        Exception { class: class::XA, text: format!("{text}. xaErrorCode:{code}") }
    }

    /// What the broker's refusal is to a client of JMS.
    pub fn of(reason: Reason, text: &str) -> Self {
        Exception::new(class_of(reason), text)
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As it travels.
    pub fn throwable(&self) -> Box<Throwable> {
        Box::new(Throwable::new(self.class, &self.text))
    }

    /// The client is told, and goes on.
    pub fn refused(self) -> Problem {
        Problem::Refused(self)
    }

    /// The client is told, and the connection ends.
    pub fn fatal(self) -> Problem {
        Problem::Fatal(self)
    }
}

impl Problem {
    /// The order of things was not kept.
    pub fn state(text: impl AsRef<str>) -> Self {
        Exception::new(class::ILLEGAL_STATE, text).refused()
    }

    /// Something is missing that the command means nothing without.
    pub fn missing(command: &str, field: &str) -> Self {
        Exception::new(class::JMS, format!("{command} has no {field}")).refused()
    }

    /// A limit was reached.
    pub fn limit(setting: &str, limit: usize) -> Self {
        let text = format!("a limit of this connection was reached: {setting} is {limit}");
        Exception::new(class::RESOURCE, text).refused()
    }

    /// This broker cannot do that.
    pub fn unsupported(what: impl AsRef<str>) -> Self {
        Exception::new(class::JMS, what).refused()
    }
}

impl From<codec::Error> for Problem {
    fn from(error: codec::Error) -> Self {
        Exception::new(class::IO, format!("the frame cannot be read: {error}")).fatal()
    }
}

/// The class of exception that clients expect.
fn class_of(reason: Reason) -> &'static str {
    match reason {
        Reason::Unauthenticated | Reason::Forbidden => class::SECURITY,
        Reason::NotFound => class::DESTINATION,
        Reason::Limit | Reason::Full => class::RESOURCE,
        Reason::BadMessage => class::MESSAGE_FORMAT,
        Reason::BadSelector => class::SELECTOR,
        Reason::RolledBack => class::ROLLED_BACK,
        Reason::Invalid | Reason::Conflict | Reason::Store | Reason::Stopping | Reason::Unsupported => {
            class::JMS
        }
    }
}

/// A text without control characters and of bounded length.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(TEXT_BYTES));
    for character in text.chars() {
        if shown.len() + character.len_utf8() > TEXT_BYTES {
            shown.push_str(" ...");
            break;
        }
        shown.push(if character.is_control() { char::REPLACEMENT_CHARACTER } else { character });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_class_that_clients_can_load() {
        for reason in Reason::ALL {
            let throwable = Exception::of(reason, "x").throwable();
            assert!(
                throwable.class.starts_with("javax.jms.") || &*throwable.class == class::SECURITY,
                "{reason:?}"
            );
        }
    }

    #[test]
    fn texts_are_cut_and_made_printable() {
        assert_eq!(printable("a\r\n\u{1b}[31m"), "a\u{fffd}\u{fffd}\u{fffd}[31m");
        assert!(printable(&"é".repeat(5000)).len() <= TEXT_BYTES + 4);
    }
}
