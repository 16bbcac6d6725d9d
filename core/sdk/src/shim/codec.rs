// SPDX-License-Identifier: Apache-2.0
//! The table of format codecs.

use super::{invalid, stopped};
use crate::codec::{Codec, Item};
use crate::{Host, Result, guard};
use sabir_abi::*;
use sabir_boundary::{owned, slices};
use std::ffi::c_void;
use std::marker::PhantomData;

/// The table of the codec `C`.
#[derive(Debug)]
pub struct CodecShim<C>(PhantomData<C>);

/// Runs a slot inside the panic boundary. Codecs hold no state: there is nothing to poison, and no host to tell.
///
/// # Safety
/// `error` is NULL or points at a struct of the contract.
unsafe fn run(what: &str, error: *mut sabir_error, call: impl FnOnce() -> Result<i64>) -> i64 {
    // SAFETY: the caller promises it.
    unsafe { guard::unbound(Host::none(), what, error, call) }
}

impl<C: Codec> CodecShim<C> {
    /// The table.
    pub const VTABLE: sabir_codec_vtable = sabir_codec_vtable {
        struct_size: size_of::<sabir_codec_vtable>() as u32,
        format: C::FORMAT,
        inspect: Some(Self::inspect),
        expand: Some(Self::expand),
        assemble: Some(Self::assemble),
        assign_offsets: Some(Self::assign_offsets),
        keys: Some(Self::keys),
        filter: Some(Self::filter),
    };

    unsafe extern "C" fn inspect(
        batch: sabir_slice,
        out: *mut sabir_codec_summary,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `inspect`; the size comes first and is read before anything else is written.
        unsafe {
            run("inspect", error, || {
                if out.is_null() || ((*out).struct_size as usize) < size_of::<sabir_codec_summary>() {
                    return Err(invalid("nowhere to put the summary"));
                }
                let summary = C::inspect(slices::bytes(batch))?;
                out.write(sabir_codec_summary { struct_size: (*out).struct_size, ..summary.to_abi() });
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn expand(
        batch: sabir_slice,
        max_bytes: u64,
        visit: sabir_codec_visit,
        arg: *mut c_void,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `expand`.
        unsafe {
            run("expand", error, || {
                C::expand(slices::bytes(batch), max_bytes, &mut |item| show(visit, arg, item))?;
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn assemble(
        items: *const sabir_codec_item,
        count: usize,
        stride: usize,
        out: *mut sabir_bytes,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `assemble`.
        unsafe {
            run("assemble", error, || {
                let items = (0..count)
                    .map(|index| {
                        slices::element(items, index, stride)
                            .and_then(|raw| Item::from_abi(raw))
                            .ok_or_else(|| invalid("items that are missing or too short"))
                    })
                    .collect::<Result<Vec<Item<'_>>>>()?;
                give(out, C::assemble(&items)?)
            })
        }
    }

    unsafe extern "C" fn assign_offsets(
        batch: *mut u8,
        len: usize,
        first_offset: u64,
        leader_epoch: u32,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `assign_offsets`: `len` bytes at `batch` may be written.
        unsafe {
            run("assign_offsets", error, || {
                if batch.is_null() || isize::try_from(len).is_err() {
                    return Err(invalid("no batch"));
                }
                C::assign_offsets(std::slice::from_raw_parts_mut(batch, len), first_offset, leader_epoch)?;
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn keys(
        batch: sabir_slice,
        max_bytes: u64,
        visit: sabir_codec_visit,
        arg: *mut c_void,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `keys`.
        unsafe {
            run("keys", error, || {
                C::keys(slices::bytes(batch), max_bytes, &mut |item| show(visit, arg, item))?;
                Ok(SABIR_OK)
            })
        }
    }

    unsafe extern "C" fn filter(
        batch: sabir_slice,
        max_bytes: u64,
        keep: sabir_codec_keep,
        arg: *mut c_void,
        out: *mut sabir_bytes,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `filter`.
        unsafe {
            run("filter", error, || {
                let kept = C::filter(slices::bytes(batch), max_bytes, &mut |item| match keep(
                    arg,
                    &item.to_abi(),
                ) {
                    0 => Ok(false),
                    1.. => Ok(true),
                    status => Err(stopped(status)),
                })?;
                give(out, kept)
            })
        }
    }
}

/// # Safety
/// `out` is NULL or may be written.
unsafe fn give(out: *mut sabir_bytes, bytes: Vec<u8>) -> Result<i64> {
    if out.is_null() {
        return Err(invalid("nowhere to put the batch"));
    }
    // SAFETY: the caller promises it.
    unsafe { out.write(owned::from_bytes(bytes.into())) };
    Ok(SABIR_OK)
}

/// # Safety
/// `visit` and `arg` are those of the call.
unsafe fn show(visit: sabir_codec_visit, arg: *mut c_void, item: &Item<'_>) -> Result<()> {
    // SAFETY: the caller promises it; the item lives during the call.
    match unsafe { visit(arg, &item.to_abi()) } {
        0.. => Ok(()),
        status => Err(stopped(status)),
    }
}
