// SPDX-License-Identifier: Apache-2.0
//! Format codecs of plugins: what the inside of a stream's batch means. They hold no state.

use crate::transport::checked;
use bytes::Bytes;
use sabir_abi::*;
use sabir_boundary::{Error, ErrorCode, Result, error, owned, slices};
pub use sabir_boundary::{Item, Summary};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The functions of a format codec. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Codec {
    table: &'static sabir_codec_vtable,
    name: String,
}

type ShowSlot =
    unsafe extern "C" fn(sabir_slice, u64, sabir_codec_visit, *mut c_void, *mut sabir_error) -> i64;

impl Codec {
    pub(crate) fn new(table: &'static sabir_codec_vtable, name: &str) -> Self {
        Codec { table, name: name.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of the format.
    pub fn format(&self) -> u32 {
        self.table.format
    }

    /// Checks a batch as a client sent it, and tells what is in it.
    pub fn inspect(&self, batch: &[u8]) -> Result<Summary> {
        let inspect = self.table.inspect.ok_or_else(|| Error::unsupported("inspect"))?;
        let mut summary = Summary::default().to_abi();
        let mut detail = error::empty();
        // SAFETY: the arguments are valid during the call.
        let status = unsafe { inspect(slices::slice(batch), &mut summary, &mut detail) };
        // SAFETY: zeroed by us, filled by the callee, read once.
        unsafe { checked(status, detail) }?;
        if summary.count > summary.span {
            let text = format!("the codec {:?} counted more messages than the batch spans", self.name);
            return Err(Error::new(ErrorCode::Invalid, text));
        }
        Ok(Summary::from_abi(&summary))
    }

    /// Shows every message in order. An error of `visit` stops it, and is passed on.
    pub fn expand(
        &self,
        batch: &[u8],
        max_bytes: u64,
        visit: &mut dyn FnMut(Item<'_>) -> Result<()>,
    ) -> Result<()> {
        let expand = self.table.expand.ok_or_else(|| Error::unsupported("expand"))?;
        show(expand, batch, max_bytes, visit)
    }

    /// Shows the items with only their keys and timestamps filled in.
    pub fn keys(
        &self,
        batch: &[u8],
        max_bytes: u64,
        visit: &mut dyn FnMut(Item<'_>) -> Result<()>,
    ) -> Result<()> {
        let keys = self.table.keys.ok_or_else(|| Error::unsupported("keys"))?;
        show(keys, batch, max_bytes, visit)
    }

    /// Makes a batch.
    pub fn assemble(&self, items: &[Item<'_>]) -> Result<Bytes> {
        let assemble = self.table.assemble.ok_or_else(|| Error::unsupported("assemble"))?;
        let raw: Vec<sabir_codec_item> = items.iter().map(Item::to_abi).collect();
        let mut out = owned::none();
        let mut detail = error::empty();
        // SAFETY: the arguments are valid during the call.
        let status = unsafe {
            assemble(raw.as_ptr(), raw.len(), size_of::<sabir_codec_item>(), &mut out, &mut detail)
        };
        // SAFETY: zeroed by us, filled by the callee, read once; after a success `out` is ours.
        unsafe {
            checked(status, detail)?;
            Ok(owned::into_bytes(out))
        }
    }

    /// Writes the batch's first offset and the leader's epoch into its fixed fields, in place.
    pub fn assign_offsets(&self, batch: &mut [u8], first_offset: u64, leader_epoch: u32) -> Result<()> {
        let assign = self.table.assign_offsets.ok_or_else(|| Error::unsupported("assign_offsets"))?;
        let mut detail = error::empty();
        // SAFETY: the arguments are valid during the call.
        let status =
            unsafe { assign(batch.as_mut_ptr(), batch.len(), first_offset, leader_epoch, &mut detail) };
        // SAFETY: zeroed by us, filled by the callee, read once.
        unsafe { checked(status, detail) }.map(|_| ())
    }

    /// Makes a batch of the items that `keep` keeps, at their old offsets; empty when nothing stayed.
    pub fn filter(
        &self,
        batch: &[u8],
        max_bytes: u64,
        keep: &mut dyn FnMut(Item<'_>) -> Result<bool>,
    ) -> Result<Bytes> {
        let filter = self.table.filter.ok_or_else(|| Error::unsupported("filter"))?;
        let mut state = Visit { call: keep, failure: None };
        let mut out = owned::none();
        let mut detail = error::empty();
        // SAFETY: the arguments are valid during the call; `keep_item` gets the state that it expects.
        let status = unsafe {
            filter(slices::slice(batch), max_bytes, keep_item, (&raw mut state).cast(), &mut out, &mut detail)
        };
        let failure = state.failure.take();
        // SAFETY: zeroed by us, filled by the callee, read once; after a success `out` is ours.
        let result = unsafe { checked(status, detail).map(|_| owned::into_bytes(out)) };
        passed_on(failure)?;
        result
    }
}

/// What a visitor's own failure was: an error, or a panic, which must not cross the codec's frames.
type Failure = std::thread::Result<Error>;

/// A visitor of this side, and what became of it.
struct Visit<'a, R> {
    call: &'a mut dyn FnMut(Item<'_>) -> Result<R>,
    failure: Option<Failure>,
}

impl<R> Visit<'_, R> {
    /// # Safety
    /// `item` is NULL or an item of the contract.
    unsafe fn show(&mut self, item: *const sabir_codec_item) -> Option<R> {
        // SAFETY: the caller promises it.
        let Some(item) = (unsafe { Item::from_abi(item) }) else {
            let error = Error::new(ErrorCode::Invalid, "the codec showed an item that is too short");
            self.failure = Some(Ok(error));
            return None;
        };
        match catch_unwind(AssertUnwindSafe(|| (self.call)(item))) {
            Ok(Ok(result)) => return Some(result),
            Ok(Err(error)) => self.failure = Some(Ok(error)),
            Err(panic) => self.failure = Some(Err(panic)),
        }
        None
    }
}

fn passed_on(failure: Option<Failure>) -> Result<()> {
    match failure {
        None => Ok(()),
        Some(Ok(error)) => Err(error),
        Some(Err(panic)) => resume_unwind(panic),
    }
}

fn show(
    slot: ShowSlot,
    batch: &[u8],
    max_bytes: u64,
    visit: &mut dyn FnMut(Item<'_>) -> Result<()>,
) -> Result<()> {
    let mut state = Visit { call: visit, failure: None };
    let mut detail = error::empty();
    // SAFETY: the arguments are valid during the call; `show_item` gets the state that it expects.
    let status =
        unsafe { slot(slices::slice(batch), max_bytes, show_item, (&raw mut state).cast(), &mut detail) };
    let failure = state.failure.take();
    // SAFETY: zeroed by us, filled by the callee, read once.
    let result = unsafe { checked(status, detail) };
    passed_on(failure)?;
    result.map(|_| ())
}

unsafe extern "C" fn show_item(arg: *mut c_void, item: *const sabir_codec_item) -> i64 {
    // SAFETY: `arg` is of the state that `show` lends; the item is the codec's, during the call.
    match unsafe { (*arg.cast::<Visit<'_, ()>>()).show(item) } {
        Some(()) => SABIR_OK,
        None => SABIR_ERR_OTHER,
    }
}

unsafe extern "C" fn keep_item(arg: *mut c_void, item: *const sabir_codec_item) -> i64 {
    // SAFETY: `arg` is of the state that `filter` lends; the item is the codec's, during the call.
    match unsafe { (*arg.cast::<Visit<'_, bool>>()).show(item) } {
        Some(keep) => i64::from(keep),
        None => SABIR_ERR_OTHER,
    }
}
