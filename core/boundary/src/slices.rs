// SPDX-License-Identifier: Apache-2.0
//! Borrowed bytes and attributes.

use sabir_abi::{sabir_attribute, sabir_attributes, sabir_slice};
use std::marker::PhantomData;
use std::ptr;

/// No bytes.
pub const EMPTY: sabir_slice = sabir_slice { ptr: ptr::null(), len: 0 };

/// The C form of borrowed bytes.
pub const fn slice(bytes: &[u8]) -> sabir_slice {
    sabir_slice { ptr: bytes.as_ptr(), len: bytes.len() }
}

/// The C form of borrowed text.
pub const fn text(text: &str) -> sabir_slice {
    slice(text.as_bytes())
}

/// Bytes at an address; NULL is empty.
///
/// # Safety
/// Unless `ptr` is NULL, `len` bytes lie there, unchanged during `'a`.
pub unsafe fn raw<'a>(ptr: *const u8, len: usize) -> &'a [u8] {
    // A length beyond `isize::MAX` cannot be true, and would be undefined behaviour below.
    if ptr.is_null() || len == 0 || isize::try_from(len).is_err() {
        return &[];
    }
    // SAFETY: the caller promises it.
    unsafe { std::slice::from_raw_parts(ptr, len) }
}

/// The bytes behind a C slice.
///
/// # Safety
/// As of [`raw`].
pub unsafe fn bytes<'a>(slice: sabir_slice) -> &'a [u8] {
    // SAFETY: the caller promises it.
    unsafe { raw(slice.ptr, slice.len) }
}

/// The text behind a C slice; `None` if it is no UTF-8.
///
/// # Safety
/// As of [`raw`].
pub unsafe fn str<'a>(slice: sabir_slice) -> Option<&'a str> {
    // SAFETY: the caller promises it.
    std::str::from_utf8(unsafe { bytes(slice) }).ok()
}

/// An element of an array whose elements may be larger than this side knows.
///
/// # Safety
/// Unless `first` is NULL, more than `index` elements lie there, `stride` bytes apart, unchanged during `'a`.
pub unsafe fn element<'a, T>(first: *const T, index: usize, stride: usize) -> Option<&'a T> {
    if first.is_null() || stride < size_of::<T>() || !stride.is_multiple_of(align_of::<T>()) {
        return None;
    }
    // SAFETY: the caller promises that the element exists; the stride keeps the alignment.
    Some(unsafe { &*first.byte_add(index * stride) })
}

/// What is known of a link: names and values, borrowed.
#[derive(Clone, Copy)]
pub struct Attributes<'a> {
    raw: sabir_attributes,
    borrowed: PhantomData<&'a [u8]>,
}

impl std::fmt::Debug for Attributes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a> Attributes<'a> {
    /// None.
    pub fn none() -> Self {
        Attributes { raw: sabir_attributes { ptr: ptr::null(), count: 0, stride: 0 }, borrowed: PhantomData }
    }

    /// Those behind the C form.
    ///
    /// # Safety
    /// The array, and what it points at, is valid and unchanged during `'a`.
    pub unsafe fn from_abi(raw: sabir_attributes) -> Self {
        Attributes { raw, borrowed: PhantomData }
    }

    /// The C form.
    pub fn to_abi(self) -> sabir_attributes {
        self.raw
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.raw.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.raw.count == 0
    }

    /// All of them in order; those that are no UTF-8 are skipped.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let raw = self.raw;
        (0..raw.count as usize).filter_map(move |index| {
            // SAFETY: `from_abi`'s caller promised the array.
            let attribute: &'a sabir_attribute = unsafe { element(raw.ptr, index, raw.stride as usize) }?;
            // SAFETY: and what it points at.
            Some(unsafe { (str(attribute.name)?, str(attribute.value)?) })
        })
    }

    /// The first value with this name.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(candidate, _)| *candidate == name).map(|(_, value)| value)
    }

    /// Owned copies.
    pub fn to_vec(&self) -> Vec<(String, String)> {
        self.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// An array of attributes to hand over, made again for every call from reused memory.
#[derive(Default)]
pub struct AttributeArray(Vec<sabir_attribute>);

// SAFETY: the pointers in the array are only followed by those that `fill`'s result was handed to, while it borrows.
unsafe impl Send for AttributeArray {}
// SAFETY: as above.
unsafe impl Sync for AttributeArray {}

impl AttributeArray {
    /// The C form of these pairs.
    pub fn fill<'a>(&'a mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Attributes<'a> {
        self.0.clear();
        self.0.extend(
            pairs.into_iter().map(|(name, value)| sabir_attribute { name: text(name), value: text(value) }),
        );
        let raw = sabir_attributes {
            ptr: self.0.as_ptr(),
            count: self.0.len() as u32,
            stride: size_of::<sabir_attribute>() as u32,
        };
        Attributes { raw, borrowed: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_across_a_stride_larger_than_ours() {
        #[repr(C)]
        struct Newer {
            known: sabir_attribute,
            added: u64,
        }
        let array = [
            Newer { known: sabir_attribute { name: text("peer"), value: text("1.2.3.4:5") }, added: 1 },
            Newer { known: sabir_attribute { name: text("path"), value: text("/x") }, added: 2 },
        ];
        let raw =
            sabir_attributes { ptr: array.as_ptr().cast(), count: 2, stride: size_of::<Newer>() as u32 };
        // SAFETY: the array lives.
        let attributes = unsafe { Attributes::from_abi(raw) };
        assert_eq!(attributes.get("path"), Some("/x"));
        assert_eq!(attributes.get("none"), None);
        let short = sabir_attributes { stride: 8, ..raw };
        // SAFETY: a stride that is too short is never followed.
        assert_eq!(unsafe { Attributes::from_abi(short) }.iter().count(), 0);
    }
}
