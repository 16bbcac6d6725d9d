// SPDX-License-Identifier: Apache-2.0
//! The panic boundary: no panic leaves a plugin. The object it happened in is poisoned, and says so from then on.

use crate::host::LogLevel;
use crate::{Error, ErrorCode, Host, Result};
use sabir_abi::{SABIR_ERR_PANIC, sabir_error};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs `call`, whose panic becomes the status PANIC.
pub(crate) fn status(host: Host, what: &str, call: impl FnOnce() -> i64) -> i64 {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(status) => status,
        Err(panic) => {
            report(host, what, panic);
            SABIR_ERR_PANIC
        }
    }
}

/// Runs `call`, whose panic is only logged: for slots that answer nothing.
pub(crate) fn quietly(host: Host, what: &str, call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        report(host, what, panic);
    }
}

/// Logs a panic, and answers its text.
fn report(host: Host, what: &str, panic: Box<dyn Any + Send>) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => String::from("no text"),
    };
    // A payload can panic when it is dropped, and so on without end: it is forgotten.
    std::mem::forget(panic);
    let text = format!("{what} panicked: {text}");
    host.log(LogLevel::Error, "plugin", &text, &[]);
    text
}

/// An object behind a pointer of the contract.
pub(crate) struct Guarded<T> {
    pub value: T,
    pub host: Host,
    poisoned: AtomicBool,
}

impl<T> Guarded<T> {
    pub fn into_raw(value: T, host: Host) -> *mut std::ffi::c_void {
        Box::into_raw(Box::new(Guarded { value, host, poisoned: AtomicBool::new(false) })).cast()
    }

    /// Runs a slot of an object that any thread may use. The status is what `call` answers, or its error's.
    ///
    /// # Safety
    /// `object` came from `into_raw` and was not freed. `error` is NULL or points at a struct of the contract.
    pub unsafe fn shared(
        object: *mut std::ffi::c_void,
        what: &str,
        error: *mut sabir_error,
        call: impl FnOnce(&T) -> Result<i64>,
    ) -> i64 {
        // SAFETY: the caller promises it.
        let guarded = unsafe { &*object.cast::<Guarded<T>>() };
        // SAFETY: the caller promises it.
        unsafe { run(guarded.host, &guarded.poisoned, what, error, || call(&guarded.value)) }
    }

    /// Runs a slot of an object whose calls do not overlap.
    ///
    /// # Safety
    /// As of [`Guarded::shared`]; and nobody else uses the object during the call.
    pub unsafe fn exclusive(
        object: *mut std::ffi::c_void,
        what: &str,
        error: *mut sabir_error,
        call: impl FnOnce(&mut T) -> Result<i64>,
    ) -> i64 {
        // SAFETY: the caller promises it.
        let Guarded { value, host, poisoned } = unsafe { &mut *object.cast::<Guarded<T>>() };
        // SAFETY: the caller promises it.
        unsafe { run(*host, poisoned, what, error, || call(value)) }
    }

    /// Frees an object.
    ///
    /// # Safety
    /// `object` came from `into_raw` and is not used any more. NULL is allowed.
    pub unsafe fn free(object: *mut std::ffi::c_void, what: &str) {
        if object.is_null() {
            return;
        }
        // SAFETY: the caller promises it.
        let guarded = unsafe { Box::from_raw(object.cast::<Guarded<T>>()) };
        quietly(guarded.host, what, move || drop(guarded));
    }

    /// Takes an object out of its box, to be used up; `None`: it is poisoned, and was dropped.
    ///
    /// # Safety
    /// As of [`Guarded::free`].
    pub unsafe fn take(object: *mut std::ffi::c_void, what: &str) -> Option<(T, Host)> {
        // SAFETY: the caller promises it.
        let guarded = unsafe { Box::from_raw(object.cast::<Guarded<T>>()) };
        if guarded.poisoned.load(Ordering::Acquire) {
            quietly(guarded.host, what, move || drop(guarded));
            return None;
        }
        let Guarded { value, host, .. } = *guarded;
        Some((value, host))
    }
}

/// Runs `call` unless the object is poisoned, and poisons it when `call` panics.
///
/// # Safety
/// `error` is NULL or points at a struct of the contract.
unsafe fn run(
    host: Host,
    poisoned: &AtomicBool,
    what: &str,
    error: *mut sabir_error,
    call: impl FnOnce() -> Result<i64>,
) -> i64 {
    if poisoned.load(Ordering::Acquire) {
        let text = format!("{what}: the object is unusable since the plugin panicked in it");
        // SAFETY: the caller promises it.
        return unsafe { Error::new(ErrorCode::Panic, text).write(error) };
    }
    let outcome = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(status)) => return status,
        Ok(Err(failure)) => failure,
        Err(panic) => {
            poisoned.store(true, Ordering::Release);
            Error::new(ErrorCode::Panic, report(host, what, panic))
        }
    };
    // SAFETY: the caller promises it.
    unsafe { outcome.write(error) }
}

/// Runs a slot that belongs to no object yet: `open`, `init`.
///
/// # Safety
/// `error` is NULL or points at a struct of the contract.
pub(crate) unsafe fn unbound(
    host: Host,
    what: &str,
    error: *mut sabir_error,
    call: impl FnOnce() -> Result<i64>,
) -> i64 {
    // SAFETY: the caller promises it.
    unsafe { run(host, &AtomicBool::new(false), what, error, call) }
}
