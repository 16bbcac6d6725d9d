// SPDX-License-Identifier: Apache-2.0
//! The encoding of rare verbs, replies and labels on the plugin boundary: `{u16 field, u16 zero, u32 length, bytes}`.
//!
//! Numbers are little-endian. Unknown fields are skipped, so that new ones can be added.

/// Appends a field.
pub fn put(buffer: &mut Vec<u8>, field: u16, value: &[u8]) {
    buffer.extend_from_slice(&field.to_le_bytes());
    buffer.extend_from_slice(&[0, 0]);
    buffer.extend_from_slice(&(value.len() as u32).to_le_bytes());
    buffer.extend_from_slice(value);
}

/// Bytes that are no fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the fields are damaged")]
pub struct FieldsError;

/// All fields in order.
pub fn iter(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), FieldsError>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let Some((head, rest)) = bytes.split_at_checked(8) else {
            bytes = &[];
            return Some(Err(FieldsError));
        };
        let field = u16::from_le_bytes([head[0], head[1]]);
        let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let Some((value, rest)) = rest.split_at_checked(len) else {
            bytes = &[];
            return Some(Err(FieldsError));
        };
        bytes = rest;
        Some(Ok((field, value)))
    })
}
