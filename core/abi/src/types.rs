// SPDX-License-Identifier: Apache-2.0
//! What every part of the contract is made of: slices, owned bytes, wakers, status codes, errors, attributes.

use core::ffi::c_void;

/// Major version of the ABI. Plugins of another major version are refused. Since 1.0.
pub const SABIR_ABI_MAJOR: u32 = 1;
/// Minor version of the ABI: grows whenever something is appended. Since 1.0.
pub const SABIR_ABI_MINOR: u32 = 2;

/// Success. Since 1.0.
pub const SABIR_OK: i64 = 0;
/// A poll function has nothing yet; it kept a clone of the waker and will wake it. Since 1.0.
pub const SABIR_PENDING: i64 = -1;
/// The caller passed something that the contract forbids. Since 1.0.
pub const SABIR_ERR_INVALID: i64 = -2;
/// The component does not have this function or option. Since 1.0.
pub const SABIR_ERR_UNSUPPORTED: i64 = -3;
/// An input or output operation failed; the object is unusable afterwards unless the text says otherwise. Since 1.0.
pub const SABIR_ERR_IO: i64 = -4;
/// The peer, or this side, has closed the object. Since 1.0.
pub const SABIR_ERR_CLOSED: i64 = -5;
/// A named limit was reached. Since 1.0.
pub const SABIR_ERR_LIMIT: i64 = -6;
/// Stored or received data is damaged. Since 1.0.
pub const SABIR_ERR_CORRUPT: i64 = -7;
/// The resource is locked by another process. Since 1.0.
pub const SABIR_ERR_LOCKED: i64 = -8;
/// No room: disk or quota. The operation had no effect and may be tried again. Since 1.0.
pub const SABIR_ERR_FULL: i64 = -9;
/// The configuration was refused; the message names the key. Since 1.0.
pub const SABIR_ERR_CONFIG: i64 = -10;
/// What was asked for does not exist. Since 1.0.
pub const SABIR_ERR_NOT_FOUND: i64 = -11;
/// Credentials or permissions were refused. Since 1.0.
pub const SABIR_ERR_DENIED: i64 = -12;
/// The plugin panicked; the object is poisoned and every later call answers this. Since 1.0.
pub const SABIR_ERR_PANIC: i64 = -13;
/// The address is in use or cannot be bound. Since 1.0.
pub const SABIR_ERR_ADDRESS: i64 = -14;
/// The time allowed has passed. Since 1.0.
pub const SABIR_ERR_TIMEOUT: i64 = -15;
/// Any other failure. Since 1.0.
pub const SABIR_ERR_OTHER: i64 = -16;

/// Bytes that somebody else owns. *Borrowed* wherever it stands. `ptr` may be NULL only if `len` is 0. Text is
/// UTF-8 without a terminating NUL. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_slice {
    /// First byte.
    pub ptr: *const u8,
    /// Number of bytes.
    pub len: usize,
}

/// Bytes with a reference count, freed by their maker. A value of this type owns one reference. Any thread may
/// call `retain` and `release`. Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_bytes {
    /// First byte; valid while a reference is held. May be NULL only if `len` is 0.
    pub ptr: *const u8,
    /// Number of bytes.
    pub len: usize,
    /// What `retain` and `release` take. Opaque.
    pub owner: *mut c_void,
    /// Adds a reference. NULL: the bytes are static and need none.
    pub retain: Option<unsafe extern "C" fn(owner: *mut c_void)>,
    /// Gives a reference back. NULL: the bytes are static and need none.
    pub release: Option<unsafe extern "C" fn(owner: *mut c_void)>,
}

/// Functions of a [`sabir_waker`]; the C mirror of Rust's `RawWakerVTable`. All may be called from any thread.
/// Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_waker_vtable {
    /// Size of this struct in bytes, as its maker knew it.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Makes an owned waker for the same task.
    pub clone: Option<unsafe extern "C" fn(data: *const c_void) -> sabir_waker>,
    /// Wakes the task and consumes the waker.
    pub wake: Option<unsafe extern "C" fn(data: *const c_void)>,
    /// Wakes the task; the waker stays valid.
    pub wake_by_ref: Option<unsafe extern "C" fn(data: *const c_void)>,
    /// Gives the waker back without waking.
    pub drop: Option<unsafe extern "C" fn(data: *const c_void)>,
}

/// Tells a task that a poll function which answered `SABIR_PENDING` is worth calling again. As the argument of a
/// poll function it is *borrowed*: valid during the call; `clone` gives an owned one. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_waker {
    /// Opaque; handed to the functions.
    pub data: *const c_void,
    /// Never NULL. Valid for ever.
    pub vtable: *const sabir_waker_vtable,
}

/// Detail of a failure. The caller passes a pointer to a zeroed struct, or NULL when it does not care; the callee
/// fills it only when it answers a negative status other than `SABIR_PENDING`. Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_error {
    /// Size of this struct in bytes, set by the caller.
    pub struct_size: u32,
    /// 1 when trying the same again may succeed.
    pub retryable: u32,
    /// The status that was answered: one of `SABIR_ERR_*`.
    pub code: i64,
    /// What went wrong, for people. *Owned* by the caller of the function that failed.
    pub message: sabir_bytes,
}

/// A name and a value, both UTF-8. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_attribute {
    /// One of the documented names: `scheme`, `local`, `peer`, `path`, `alpn`, `subprotocol`, `content_type`,
    /// `tls_subject`, `peer_uid`, `peer_pid`; others are passed on unread.
    pub name: sabir_slice,
    /// Its value.
    pub value: sabir_slice,
}

/// An array of attributes. Elements may grow: step by `stride`. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_attributes {
    /// First element; NULL only if `count` is 0.
    pub ptr: *const sabir_attribute,
    /// Number of elements.
    pub count: u32,
    /// Bytes from one element to the next.
    pub stride: u32,
}

/// The time, as the host sees it. Plugins that are state machines read no clock. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_now {
    /// Milliseconds of a clock that never goes back; its origin has no meaning.
    pub monotonic_ms: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z. May jump.
    pub unix_ms: i64,
}
