// SPDX-License-Identifier: Apache-2.0
//! Counts what this thread allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What a piece of code took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// How often it asked for memory.
    pub times: usize,
    /// How much, whether given back or not.
    pub bytes: usize,
}

thread_local! {
    static TAKEN: Cell<Taken> = const { Cell::new(Taken { times: 0, bytes: 0 }) };
}

/// Runs it and counts.
pub fn count<R>(run: impl FnOnce() -> R) -> (R, Taken) {
    TAKEN.set(Taken::default());
    let result = run();
    (result, TAKEN.get())
}

struct Counting;

impl Counting {
    fn took(bytes: usize) {
        let taken = TAKEN.get();
        TAKEN.set(Taken { times: taken.times + 1, bytes: taken.bytes.saturating_add(bytes) });
    }
}

// SAFETY: every call is the system allocator's; counting touches no memory but a constant thread-local.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::took(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::took(size.saturating_sub(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
