// SPDX-License-Identifier: Apache-2.0
//! The tables of protocols and their sessions.

use super::{complain, count, invalid, open};
use crate::guard::Guarded;
use crate::protocol::{
    Attributes, ChunkInfo, Deliveries, Flow, Framing, Input, Out, Protocol, Replies, Session, SessionParams,
};
use crate::{Error, ErrorCode, Result};
use sabir_abi::*;
use sabir_boundary::slices;
use sabir_model::Now;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr;

/// The table of the protocol `P`.
#[derive(Debug)]
pub struct ProtocolShim<P>(PhantomData<P>);

fn now(now: sabir_now) -> Now {
    Now { monotonic_ms: now.monotonic_ms, unix_ms: now.unix_ms }
}

/// Calls a session with what it is to fill, and sees to it that no half item goes out.
///
/// # Safety
/// `out` follows the contract of `sabir_out`.
unsafe fn filling<R>(out: *mut sabir_out, call: impl FnOnce(&mut Out<'_>) -> R) -> Result<R> {
    // SAFETY: the caller promises it.
    let mut out = unsafe { Out::from_abi(out) }.ok_or_else(|| invalid("no room for output, or too short"))?;
    let start = out.mark();
    let result = call(&mut out);
    if out.overflowed() {
        out.rollback(start);
        return Err(Error::new(ErrorCode::Limit, "the session put out more than there is room for"));
    }
    Ok(result)
}

impl<P: Protocol> ProtocolShim<P> {
    /// The table.
    pub const VTABLE: sabir_protocol_vtable = sabir_protocol_vtable {
        struct_size: size_of::<sabir_protocol_vtable>() as u32,
        reserved: 0,
        open: Some(Self::open),
        matches: Some(Self::matches),
        session_open: Some(Self::session_open),
        on_bytes: Some(Self::on_bytes),
        on_replies: Some(Self::on_replies),
        on_deliveries: Some(Self::on_deliveries),
        on_flow: Some(Self::on_flow),
        on_timer: Some(Self::on_timer),
        on_close: Some(Self::on_close),
        session_drop: Some(Self::session_drop),
        close: Some(Self::close),
    };

    unsafe extern "C" fn open(
        host: *const sabir_host,
        config: sabir_slice,
        out: *mut *mut c_void,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `open`.
        unsafe { open("open", host, config, out, error, P::open) }
    }

    unsafe extern "C" fn matches(
        protocol: *mut c_void,
        prefix: sabir_slice,
        attributes: sabir_attributes,
    ) -> i64 {
        // SAFETY: the contract of `matches`.
        unsafe {
            Guarded::<P>::shared(protocol, "matches", ptr::null_mut(), |protocol| {
                let attributes = Attributes::from_abi(attributes);
                Ok(protocol.matches(slices::bytes(prefix), attributes).number())
            })
        }
    }

    unsafe extern "C" fn session_open(
        protocol: *mut c_void,
        params: *const sabir_session_params,
        at: sabir_now,
        out: *mut sabir_out,
        session: *mut *mut c_void,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `session_open`.
        unsafe {
            let host = (*protocol.cast::<Guarded<P>>()).host;
            Guarded::<P>::shared(protocol, "session_open", error, |protocol| {
                let params = session_params(params)?;
                if session.is_null() {
                    return Err(invalid("nowhere to put the session"));
                }
                let opened = filling(out, |out| protocol.session(&params, now(at), out))??;
                session.write(Guarded::into_raw(opened, host));
                Ok(SABIR_OK)
            })
        }
    }

    /// Calls the session inside the panic boundary.
    ///
    /// # Safety
    /// The arguments follow the contract of the session's slots.
    unsafe fn call(
        session: *mut c_void,
        what: &str,
        out: *mut sabir_out,
        call: impl FnOnce(&mut P::Session, &mut Out<'_>) -> Result<i64>,
    ) -> i64 {
        // SAFETY: the caller promises it.
        unsafe {
            let host = (*session.cast::<Guarded<P::Session>>()).host;
            Guarded::<P::Session>::exclusive(session, what, ptr::null_mut(), |session| {
                // These slots have no place for an error's text, so it is logged.
                let result = filling(out, |out| call(session, out)).and_then(|result| result);
                result.inspect_err(|failure| complain(host, &format!("{what}: {failure}")))
            })
        }
    }

    unsafe extern "C" fn on_bytes(
        session: *mut c_void,
        at: sabir_now,
        bytes: sabir_slice,
        info: *const sabir_chunk_info,
        out: *mut sabir_out,
    ) -> i64 {
        // SAFETY: the contract of `on_bytes`.
        unsafe {
            Self::call(session, "on_bytes", out, |session, out| {
                let info = match info.as_ref() {
                    Some(info) if info.struct_size as usize >= size_of_val(info) => ChunkInfo::from_abi(info),
                    _ => ChunkInfo::default(),
                };
                session.on_bytes(now(at), Input { bytes: slices::bytes(bytes), info }, out);
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn on_replies(
        session: *mut c_void,
        at: sabir_now,
        replies: *const sabir_reply,
        len: usize,
        stride: usize,
        out: *mut sabir_out,
    ) -> i64 {
        // SAFETY: the contract of `on_replies`.
        unsafe {
            Self::call(session, "on_replies", out, |session, out| {
                let replies = Replies::from_abi(replies, len, stride);
                Ok(count(session.on_replies(now(at), replies, out)))
            })
        }
    }

    unsafe extern "C" fn on_deliveries(
        session: *mut c_void,
        at: sabir_now,
        deliveries: *const sabir_delivery,
        len: usize,
        stride: usize,
        out: *mut sabir_out,
    ) -> i64 {
        // SAFETY: the contract of `on_deliveries`.
        unsafe {
            Self::call(session, "on_deliveries", out, |session, out| {
                let deliveries = Deliveries::from_abi(deliveries, len, stride);
                Ok(count(session.on_deliveries(now(at), deliveries, out)))
            })
        }
    }

    unsafe extern "C" fn on_flow(
        session: *mut c_void,
        at: sabir_now,
        flow: u32,
        reason: sabir_slice,
        out: *mut sabir_out,
    ) -> i64 {
        // SAFETY: the contract of `on_flow`.
        unsafe {
            Self::call(session, "on_flow", out, |session, out| {
                session.on_flow(now(at), Flow::from_flags(flow), slices::str(reason).unwrap_or(""), out);
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn on_timer(session: *mut c_void, at: sabir_now, out: *mut sabir_out) -> i64 {
        // SAFETY: the contract of `on_timer`.
        unsafe {
            Self::call(session, "on_timer", out, |session, out| {
                session.on_timer(now(at), out);
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn on_close(
        session: *mut c_void,
        at: sabir_now,
        reason: sabir_slice,
        out: *mut sabir_out,
    ) -> i64 {
        // SAFETY: the contract of `on_close`.
        unsafe {
            Self::call(session, "on_close", out, |session, out| {
                session.on_close(now(at), slices::str(reason).unwrap_or(""), out);
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn session_drop(session: *mut c_void) {
        // SAFETY: the contract of `session_drop`.
        unsafe { Guarded::<P::Session>::free(session, "dropping a session") }
    }

    unsafe extern "C" fn close(protocol: *mut c_void) {
        // SAFETY: the contract of `close`.
        unsafe { Guarded::<P>::free(protocol, "close") }
    }
}

/// # Safety
/// `params` is NULL, or points at a struct of the contract that stays during `'a`.
unsafe fn session_params<'a>(params: *const sabir_session_params) -> Result<SessionParams<'a>> {
    // SAFETY: the caller promises it; the size comes first and is read before anything else.
    unsafe {
        if params.is_null() || ((*params).struct_size as usize) < size_of::<sabir_session_params>() {
            return Err(invalid("session parameters that are missing or too short"));
        }
        let params = &*params;
        let text = |slice| slices::str(slice).ok_or_else(|| invalid("a text that is no UTF-8"));
        Ok(SessionParams {
            session_id: params.session_id,
            connection_id: text(params.connection_id)?,
            broker: text(params.broker)?,
            framing: Framing::from_number(params.framing)
                .ok_or_else(|| Error::unsupported(&format!("the framing {}", params.framing)))?,
            attributes: Attributes::from_abi(params.attributes),
            max_head_bytes: params.max_head_bytes,
            max_message_bytes: params.max_message_bytes,
        })
    }
}
