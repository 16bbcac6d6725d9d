// SPDX-License-Identifier: Apache-2.0
//! Memory that the links of one reactor thread share, because only one of them is being served at a time: an idle
//! link holds none of it.

use super::order::Place;
use sabir_host::{Capacities, OutBuffers};
use sabir_model::Request;
use std::cell::RefCell;

/// Bytes that one read can bring.
pub const READ_BYTES: usize = 128 * 1024;
/// Leftovers of an earlier read up to this length are copied in front of the next one; longer ones are read on where
/// they lie.
pub const COPIED_LEFTOVER_BYTES: usize = 16 * 1024;

/// The memory.
#[derive(Debug)]
pub struct Scratch {
    /// What was read: room for a short leftover, and a read behind it.
    pub read: Box<[u8]>,
    /// What sessions fill.
    pub out: OutBuffers,
    /// What a session asks in one round.
    pub requests: Vec<Request>,
    /// Where in its batch each of them stands.
    pub places: Vec<Place>,
    max_head_bytes: u64,
}

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// Lends the thread's memory, made for sessions that may demand heads of this length.
pub fn with<T>(max_head_bytes: u64, serve: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(|slot| {
        // Whoever panicked with the memory in hand has lost it.
        let is_good =
            |scratch: &Scratch| scratch.max_head_bytes >= max_head_bytes && !scratch.read.is_empty();
        if !slot.as_ref().is_some_and(is_good) {
            *slot = None;
        }
        let scratch = slot.get_or_insert_with(|| Scratch {
            read: vec![0; COPIED_LEFTOVER_BYTES + READ_BYTES].into_boxed_slice(),
            out: OutBuffers::new(Capacities::for_head(max_head_bytes)),
            requests: Vec::new(),
            places: Vec::new(),
            max_head_bytes,
        });
        serve(scratch)
    })
}
