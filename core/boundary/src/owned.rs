// SPDX-License-Identifier: Apache-2.0
//! Reference-counted bytes across the boundary, without a copy: `bytes::Bytes` and `sabir_bytes`.

use bytes::Bytes;
use sabir_abi::sabir_bytes;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

/// No bytes.
pub fn none() -> sabir_bytes {
    sabir_bytes { ptr: ptr::null(), len: 0, owner: ptr::null_mut(), retain: None, release: None }
}

/// Hands bytes over to the other side, with one reference.
pub fn from_bytes(bytes: Bytes) -> sabir_bytes {
    if bytes.is_empty() {
        return none();
    }
    let shared = Arc::new(bytes);
    borrow_shared(&shared, Arc::into_raw(Arc::clone(&shared)).cast_mut().cast())
}

/// The C form of bytes that stay ours: whoever wants to keep them calls `retain`.
///
/// Valid while `shared` lives.
pub fn lend(shared: &Arc<Bytes>) -> sabir_bytes {
    borrow_shared(shared, Arc::as_ptr(shared).cast_mut().cast())
}

fn borrow_shared(shared: &Arc<Bytes>, owner: *mut c_void) -> sabir_bytes {
    sabir_bytes {
        ptr: shared.as_ptr(),
        len: shared.len(),
        owner,
        retain: Some(retain),
        release: Some(release),
    }
}

unsafe extern "C" fn retain(owner: *mut c_void) {
    // SAFETY: `owner` came from `Arc::into_raw` or `as_ptr` of an `Arc<Bytes>` that is alive, as the contract says.
    unsafe { Arc::increment_strong_count(owner.cast::<Bytes>()) }
}

unsafe extern "C" fn release(owner: *mut c_void) {
    // SAFETY: as in `retain`; the caller gives up a reference that it owns.
    unsafe { Arc::decrement_strong_count(owner.cast::<Bytes>()) }
}

/// Bytes of the other side, of which we own one reference.
struct Foreign(sabir_bytes);

// SAFETY: the contract lets any thread call `retain` and `release` and read the bytes, which never change.
unsafe impl Send for Foreign {}
// SAFETY: as above.
unsafe impl Sync for Foreign {}

impl AsRef<[u8]> for Foreign {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: valid while a reference is held, and we hold one.
        unsafe { crate::slices::raw(self.0.ptr, self.0.len) }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: we own the reference that is given back, once.
            unsafe { release(self.0.owner) }
        }
    }
}

/// Takes bytes over from the other side.
///
/// # Safety
/// `bytes` follows the contract of `sabir_bytes`, and its reference is ours.
pub unsafe fn into_bytes(bytes: sabir_bytes) -> Bytes {
    let foreign = Foreign(bytes);
    if foreign.0.len == 0 || foreign.0.ptr.is_null() {
        return Bytes::new();
    }
    Bytes::from_owner(foreign)
}

/// Keeps bytes that the other side only lent.
///
/// # Safety
/// `bytes` follows the contract of `sabir_bytes` and is borrowed by us now.
pub unsafe fn keep(bytes: &sabir_bytes) -> Bytes {
    if bytes.len == 0 || bytes.ptr.is_null() {
        return Bytes::new();
    }
    match (bytes.retain, bytes.release) {
        // SAFETY: the owner is alive while we borrow it; the reference gained is given back by `Foreign`.
        (Some(retain), Some(_)) => unsafe { retain(bytes.owner) },
        (None, None) => {}
        // Half a pair breaks the contract; a copy is right whatever was meant.
        // SAFETY: valid while we borrow it.
        _ => return Bytes::copy_from_slice(unsafe { crate::slices::raw(bytes.ptr, bytes.len) }),
    }
    Bytes::from_owner(Foreign(sabir_bytes { ..*bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cross_and_come_back_without_a_copy() {
        let original = Bytes::from(vec![7u8; 5000]);
        let address = original.as_ptr();
        // SAFETY: made by `from_bytes`, taken once.
        let back = unsafe { into_bytes(from_bytes(original.clone())) };
        assert_eq!(back, original);
        assert_eq!(back.as_ptr(), address);
    }

    #[test]
    fn a_lent_buffer_lives_on_when_it_is_kept_and_not_otherwise() {
        let shared = Arc::new(Bytes::from(vec![1u8; 100]));
        let lent = lend(&shared);
        assert_eq!(Arc::strong_count(&shared), 1);
        // SAFETY: `shared` is alive.
        let kept = unsafe { keep(&lent) };
        assert_eq!(Arc::strong_count(&shared), 2);
        drop(kept);
        assert_eq!(Arc::strong_count(&shared), 1);
    }

    #[test]
    fn no_bytes_need_no_owner() {
        let empty = from_bytes(Bytes::new());
        assert!(empty.owner.is_null() && empty.release.is_none());
        // SAFETY: made by `from_bytes`.
        assert!(unsafe { into_bytes(empty) }.is_empty());
    }
}
