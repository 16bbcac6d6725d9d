// SPDX-License-Identifier: Apache-2.0
//! The status codes of the contract, and errors with their text.

use crate::owned;
use sabir_abi::*;
use std::fmt;
use std::io;

/// What kind of failure, for programs: `SABIR_ERR_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The caller passed something that the contract forbids.
    Invalid,
    /// The component does not have this function or option.
    Unsupported,
    /// An input or output operation failed.
    Io,
    /// The peer, or this side, has closed the object.
    Closed,
    /// A named limit was reached.
    Limit,
    /// Stored or received data is damaged.
    Corrupt,
    /// The resource is locked by another process.
    Locked,
    /// No room: disk or quota. The operation had no effect and may be tried again.
    Full,
    /// The configuration was refused; the message names the key.
    Config,
    /// What was asked for does not exist.
    NotFound,
    /// Credentials or permissions were refused.
    Denied,
    /// The plugin panicked; the object is poisoned.
    Panic,
    /// The address is in use or cannot be bound.
    Address,
    /// The time allowed has passed.
    Timeout,
    /// Any other failure, also those with a code that this side does not know.
    Other,
}

impl ErrorCode {
    /// All of them: for total mappings and their tests.
    pub const ALL: [ErrorCode; 15] = [
        ErrorCode::Invalid,
        ErrorCode::Unsupported,
        ErrorCode::Io,
        ErrorCode::Closed,
        ErrorCode::Limit,
        ErrorCode::Corrupt,
        ErrorCode::Locked,
        ErrorCode::Full,
        ErrorCode::Config,
        ErrorCode::NotFound,
        ErrorCode::Denied,
        ErrorCode::Panic,
        ErrorCode::Address,
        ErrorCode::Timeout,
        ErrorCode::Other,
    ];

    /// The status in the contract.
    pub fn status(self) -> i64 {
        match self {
            ErrorCode::Invalid => SABIR_ERR_INVALID,
            ErrorCode::Unsupported => SABIR_ERR_UNSUPPORTED,
            ErrorCode::Io => SABIR_ERR_IO,
            ErrorCode::Closed => SABIR_ERR_CLOSED,
            ErrorCode::Limit => SABIR_ERR_LIMIT,
            ErrorCode::Corrupt => SABIR_ERR_CORRUPT,
            ErrorCode::Locked => SABIR_ERR_LOCKED,
            ErrorCode::Full => SABIR_ERR_FULL,
            ErrorCode::Config => SABIR_ERR_CONFIG,
            ErrorCode::NotFound => SABIR_ERR_NOT_FOUND,
            ErrorCode::Denied => SABIR_ERR_DENIED,
            ErrorCode::Panic => SABIR_ERR_PANIC,
            ErrorCode::Address => SABIR_ERR_ADDRESS,
            ErrorCode::Timeout => SABIR_ERR_TIMEOUT,
            ErrorCode::Other => SABIR_ERR_OTHER,
        }
    }

    /// The code of a status; unknown ones, and statuses that are no failures, are [`ErrorCode::Other`].
    pub fn from_status(status: i64) -> Self {
        ErrorCode::ALL.into_iter().find(|code| code.status() == status).unwrap_or(ErrorCode::Other)
    }

    /// What the code means, in a few words.
    pub fn describe(self) -> &'static str {
        match self {
            ErrorCode::Invalid => "invalid use",
            ErrorCode::Unsupported => "not supported",
            ErrorCode::Io => "input or output failed",
            ErrorCode::Closed => "closed",
            ErrorCode::Limit => "a limit was reached",
            ErrorCode::Corrupt => "the data is damaged",
            ErrorCode::Locked => "locked by another process",
            ErrorCode::Full => "no room",
            ErrorCode::Config => "the configuration was refused",
            ErrorCode::NotFound => "not found",
            ErrorCode::Denied => "denied",
            ErrorCode::Panic => "the plugin panicked",
            ErrorCode::Address => "the address cannot be used",
            ErrorCode::Timeout => "timed out",
            ErrorCode::Other => "failed",
        }
    }
}

/// A failure that crosses, or has crossed, the plugin boundary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of failure, for programs.
    pub code: ErrorCode,
    /// Trying the same again may succeed.
    pub retryable: bool,
    /// What went wrong, for people.
    pub message: String,
}

/// What fallible functions on the plugin boundary answer.
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            return f.write_str(self.code.describe());
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as K;
        // Some failures pass when others let go of what they hold: worth another try.
        let (code, retryable) = match error.kind() {
            K::NotFound => (ErrorCode::NotFound, false),
            K::PermissionDenied => (ErrorCode::Denied, false),
            K::AddrInUse | K::AddrNotAvailable => (ErrorCode::Address, false),
            K::TimedOut => (ErrorCode::Timeout, true),
            K::StorageFull | K::QuotaExceeded => (ErrorCode::Full, true),
            K::BrokenPipe
            | K::ConnectionReset
            | K::ConnectionAborted
            | K::NotConnected
            | K::UnexpectedEof => (ErrorCode::Closed, false),
            K::Unsupported => (ErrorCode::Unsupported, false),
            K::InvalidInput => (ErrorCode::Invalid, false),
            K::InvalidData => (ErrorCode::Corrupt, false),
            K::Interrupted | K::WouldBlock => (ErrorCode::Io, true),
            _ => (ErrorCode::Io, false),
        };
        Error { code, retryable, message: error.to_string() }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        use io::ErrorKind as K;
        let kind = match error.code {
            ErrorCode::NotFound => K::NotFound,
            ErrorCode::Denied => K::PermissionDenied,
            ErrorCode::Address => K::AddrInUse,
            ErrorCode::Timeout => K::TimedOut,
            ErrorCode::Full => K::StorageFull,
            ErrorCode::Closed => K::BrokenPipe,
            ErrorCode::Unsupported => K::Unsupported,
            ErrorCode::Invalid | ErrorCode::Config => K::InvalidInput,
            ErrorCode::Corrupt => K::InvalidData,
            ErrorCode::Locked => K::ResourceBusy,
            ErrorCode::Io | ErrorCode::Limit | ErrorCode::Panic | ErrorCode::Other => K::Other,
        };
        io::Error::new(kind, error)
    }
}

impl Error {
    /// A failure that trying again does not cure.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Error { code, retryable: false, message: message.into() }
    }

    /// The same, but worth another try.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// The component does not have what was asked for.
    pub fn unsupported(what: &str) -> Self {
        Error::new(ErrorCode::Unsupported, format!("{what} is not supported"))
    }

    /// Fills the C form, if the caller wants it, and answers the status.
    ///
    /// # Safety
    /// `out` is NULL or points at a struct of at least `struct_size` bytes that nobody else uses meanwhile.
    pub unsafe fn write(self, out: *mut sabir_error) -> i64 {
        let status = self.code.status();
        // SAFETY: the caller promises that a pointer that is not NULL points at a struct of the size it says.
        unsafe {
            if out.is_null() || ((*out).struct_size as usize) < size_of::<sabir_error>() {
                return status;
            }
            (*out).retryable = u32::from(self.retryable);
            (*out).code = status;
            // What was there before is not ours: the caller passed a zeroed struct.
            (&raw mut (*out).message).write(owned::from_bytes(self.message.into_bytes().into()));
        }
        status
    }

    /// Makes an error of a status and what the callee filled in.
    ///
    /// # Safety
    /// `detail` was zeroed by this side, handed to a callee of the contract, and is read only once.
    pub unsafe fn read(status: i64, detail: sabir_error) -> Self {
        let code = ErrorCode::from_status(status);
        // SAFETY: the message is owned by us, as the contract says.
        let message = unsafe { owned::into_bytes(detail.message) };
        let mut message = String::from_utf8_lossy(&message).into_owned();
        if code == ErrorCode::Other && status != SABIR_ERR_OTHER {
            message = format!("{message} (unknown status {status})").trim_start().to_owned();
        }
        Error { code, retryable: detail.retryable == 1, message }
    }
}

/// A struct for a callee to fill.
pub fn empty() -> sabir_error {
    sabir_error {
        struct_size: size_of::<sabir_error>() as u32,
        retryable: 0,
        code: 0,
        message: owned::none(),
    }
}
