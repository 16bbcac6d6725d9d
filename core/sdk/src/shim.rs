// SPDX-License-Identifier: Apache-2.0
//! The tables of functions that the contract asks for, made of the traits that authors implement.
//!
//! Every slot checks its pointers, runs inside the panic boundary, and converts in both directions. Authors see
//! nothing of this but the macros in [`crate::export`].

mod codec;
mod protocol;
mod store;
mod transport;

pub use codec::CodecShim;
pub use protocol::ProtocolShim;
pub use store::StoreShim;
pub use transport::TransportShim;

use crate::guard::{self, Guarded};
use crate::host::LogLevel;
use crate::{Error, ErrorCode, Host, Result};
use sabir_abi::*;
use sabir_boundary::slices;
use std::ffi::c_void;

/// The plugin side of `init`: nothing to do but to know the host's version in time.
///
/// # Safety
/// As of `sabir_plugin.init`.
pub unsafe extern "C" fn init(host: *const sabir_host, error: *mut sabir_error) -> i64 {
    // SAFETY: the contract of `init`.
    unsafe {
        match Host::from_abi(host) {
            Ok(_) => SABIR_OK,
            Err(failure) => failure.write(error),
        }
    }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorCode::Invalid, format!("the host broke the contract: {what}"))
}

/// The `open` slot of every kind that has instances.
///
/// # Safety
/// The arguments follow the contract of `open`.
unsafe fn open<T>(
    what: &str,
    host: *const sabir_host,
    config: sabir_slice,
    out: *mut *mut c_void,
    error: *mut sabir_error,
    make: impl FnOnce(Host, &str) -> Result<T>,
) -> i64 {
    // SAFETY: the caller promises it.
    unsafe {
        let host = match Host::from_abi(host) {
            Ok(host) => host,
            Err(failure) => return failure.write(error),
        };
        guard::unbound(host, what, error, || {
            if out.is_null() {
                return Err(invalid("nowhere to put the instance"));
            }
            let config = slices::str(config).ok_or_else(|| invalid("a configuration that is no UTF-8"))?;
            out.write(Guarded::into_raw(make(host, config)?, host));
            Ok(SABIR_OK)
        })
    }
}

/// What a visitor's refusal becomes: the visitor knows why.
fn stopped(status: i64) -> Error {
    Error::new(ErrorCode::from_status(status), "the visitor stopped")
}

/// A length as a status.
fn count(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// Logs a mistake of the plugin that no status can tell of.
fn complain(host: Host, text: &str) {
    host.log(LogLevel::Error, "plugin", text, &[]);
}
