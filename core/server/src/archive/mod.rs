// SPDX-License-Identifier: Apache-2.0
//! A store as one file: everything that it holds, in a form that no store has of its own, so that it can be kept, looked
//! at, and put into a store of another kind. `docs/store-export.md` specifies it byte by byte.
//!
//! ```text
//!   frame    the file as checked frames: writing and reading them
//!   export   a store to frames              import   frames into a store
//! ```
//! Neither knows what entries and keys mean. Memory is bounded whatever a store holds: by some pieces, and by the largest
//! single record.

pub mod export;
pub mod frame;
pub mod import;

pub use export::{ExportError, export};
pub use frame::{FrameError, Item, Reader, Totals, Writer};
pub use import::{ImportError, import, is_unfinished};

use sabir_host::{Result, Store};

/// The key that a store has while an import into it goes on. Nobody else's keys begin as this and the next one do.
pub const MARK: &[u8] = b"import unfinished";
/// The key that a store has while what another broker has stored is taken over; its value says from where.
pub const FROM: &[u8] = b"import from";
/// The key that it has besides once all of that is there; its value is the report, as JSON.
pub const SENT: &[u8] = b"import sent";
/// What keys begin with that stay when all is there: one for each place from which something was taken over.
pub const DONE: &[u8] = b"imported ";
/// What the keys begin with that go, and the first key behind those that do.
const MARKS: [&[u8]; 2] = [b"import ", b"import!"];

/// Told how much is done, in entries, and of how many.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// Keys that are asked for at a time.
const KEYS_AT_A_TIME: u64 = 1_000;

/// Is shown keys with their values.
pub type KeyVisit<'a, E> = dyn FnMut(&[u8], &[u8]) -> std::result::Result<(), E> + 'a;

/// Shows the keys of a store, page by page, with their values. An error of `visit` is passed on.
pub fn each_key<E: From<sabir_host::Error>>(
    store: &Store,
    visit: &mut KeyVisit<'_, E>,
) -> std::result::Result<(), E> {
    // Keys are never empty: nothing sorts before this.
    let mut from = vec![0];
    loop {
        let page = store.scan(&from, &[], KEYS_AT_A_TIME)?;
        for (key, value) in &page {
            visit(key, value)?;
        }
        let Some((last, _)) = page.last().filter(|_| page.len() as u64 == KEYS_AT_A_TIME) else {
            return Ok(());
        };
        // The next key that there can be.
        from = [last, &[0][..]].concat();
    }
}

/// Whether a store holds nothing at all: no entry, no key.
pub fn is_empty(store: &Store) -> Result<bool> {
    let entries = store.recover()?.iter().any(|log| !log.ranges.is_empty());
    Ok(!entries && store.scan(&[0], &[], 1)?.is_empty())
}
