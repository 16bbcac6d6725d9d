// SPDX-License-Identifier: Apache-2.0
//! Wakers in both directions, without an allocation.
//!
//! A waker is two words on either side: data, and a table of functions. The table of the one side cannot know which
//! table of the other side the data belongs to, save by the address of the function called. So this module has a
//! few tables ready, each with functions of its own (by a const parameter, its *slot*), and ties a slot to the first
//! foreign table that comes along; there are one or two of those in a process (tokio's, and the host's). Data passes
//! through unchanged, and a waker that comes back to its own side is recognised by its table and becomes what it was.
//! Should the slots ever run out, a box takes their place.

use sabir_abi::{sabir_waker, sabir_waker_vtable};
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

const SLOTS: usize = 8;

macro_rules! for_each_slot {
    ($make:ident) => {
        [
            $make::<0>(),
            $make::<1>(),
            $make::<2>(),
            $make::<3>(),
            $make::<4>(),
            $make::<5>(),
            $make::<6>(),
            $make::<7>(),
        ]
    };
}

/// Rust tables that were seen, and for each the C table that stands for it.
static RUST_SEEN: [AtomicPtr<RawWakerVTable>; SLOTS] = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];
static C_TABLES: [sabir_waker_vtable; SLOTS] = for_each_slot!(c_table);

/// C tables that were seen, and for each the Rust table that stands for it.
static C_SEEN: [AtomicPtr<sabir_waker_vtable>; SLOTS] = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];
static RUST_TABLES: [RawWakerVTable; SLOTS] = for_each_slot!(rust_table);

/// The slot of a table that was seen, tying a free one if it was not; `None`: there is none left.
fn slot_of<T>(seen: &[AtomicPtr<T>; SLOTS], table: *const T) -> Option<usize> {
    let table = table.cast_mut();
    seen.iter().position(|slot| {
        let tied = slot.load(Ordering::Acquire);
        if tied == table {
            return true;
        }
        tied.is_null()
            && match slot.compare_exchange(ptr::null_mut(), table, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => true,
                Err(other) => other == table,
            }
    })
}

/// The slot of one of our own tables.
fn own_slot<T>(tables: &[T; SLOTS], table: *const T) -> Option<usize> {
    tables.iter().position(|own| ptr::eq(own, table))
}

// ---- from Rust to C ----

/// The C form of a waker that stays ours: *borrowed* by the callee.
pub fn lend(waker: &Waker) -> sabir_waker {
    if let Some(slot) = own_slot(&RUST_TABLES, waker.vtable()) {
        return sabir_waker { data: waker.data().cast(), vtable: C_SEEN[slot].load(Ordering::Acquire) };
    }
    match slot_of(&RUST_SEEN, waker.vtable()) {
        Some(slot) => sabir_waker { data: waker.data().cast(), vtable: &C_TABLES[slot] },
        None => sabir_waker { data: ptr::from_ref(waker).cast(), vtable: &C_BOXED },
    }
}

/// The C form of a waker, *owned* by the receiver.
fn give(waker: Waker) -> sabir_waker {
    let lent = lend(&waker);
    if ptr::eq(lent.vtable, &C_BOXED) {
        return sabir_waker { data: Box::into_raw(Box::new(waker)).cast(), vtable: &C_BOXED };
    }
    std::mem::forget(waker);
    lent
}

const fn c_table<const SLOT: usize>() -> sabir_waker_vtable {
    sabir_waker_vtable {
        struct_size: size_of::<sabir_waker_vtable>() as u32,
        reserved: 0,
        clone: Some(c_clone::<SLOT>),
        wake: Some(c_wake::<SLOT>),
        wake_by_ref: Some(c_wake_by_ref::<SLOT>),
        drop: Some(c_drop::<SLOT>),
    }
}

/// The Rust waker behind the data of a C waker with our table.
///
/// # Safety
/// `data` came from a waker with the Rust table that the slot is tied to.
unsafe fn rust_waker<const SLOT: usize>(data: *const c_void) -> Waker {
    // SAFETY: a C table is handed out only after its slot was tied, to a table that is static.
    unsafe { Waker::new(data.cast(), &*RUST_SEEN[SLOT].load(Ordering::Acquire)) }
}

unsafe extern "C" fn c_clone<const SLOT: usize>(data: *const c_void) -> sabir_waker {
    // SAFETY: the data is of a live waker, which stays the caller's.
    give(Waker::clone(&ManuallyDrop::new(unsafe { rust_waker::<SLOT>(data) })))
}

unsafe extern "C" fn c_wake<const SLOT: usize>(data: *const c_void) {
    // SAFETY: the data is of a live waker, which the caller gives up.
    unsafe { rust_waker::<SLOT>(data) }.wake();
}

unsafe extern "C" fn c_wake_by_ref<const SLOT: usize>(data: *const c_void) {
    // SAFETY: the data is of a live waker, which stays the caller's.
    ManuallyDrop::new(unsafe { rust_waker::<SLOT>(data) }).wake_by_ref();
}

unsafe extern "C" fn c_drop<const SLOT: usize>(data: *const c_void) {
    // SAFETY: the data is of a live waker, which the caller gives up.
    drop(unsafe { rust_waker::<SLOT>(data) });
}

/// For Rust tables beyond the slots: the data is a `*const Waker`, of a box when the C waker is owned.
static C_BOXED: sabir_waker_vtable = sabir_waker_vtable {
    struct_size: size_of::<sabir_waker_vtable>() as u32,
    reserved: 0,
    clone: Some(c_boxed_clone),
    wake: Some(c_boxed_wake),
    wake_by_ref: Some(c_boxed_wake_by_ref),
    drop: Some(c_boxed_drop),
};

unsafe extern "C" fn c_boxed_clone(data: *const c_void) -> sabir_waker {
    // SAFETY: the data points at a live waker.
    give(unsafe { &*data.cast::<Waker>() }.clone())
}

unsafe extern "C" fn c_boxed_wake(data: *const c_void) {
    // SAFETY: the C waker was owned, so the data is of a box, which the caller gives up.
    unsafe { Box::from_raw(data.cast_mut().cast::<Waker>()) }.wake();
}

unsafe extern "C" fn c_boxed_wake_by_ref(data: *const c_void) {
    // SAFETY: the data points at a live waker.
    unsafe { &*data.cast::<Waker>() }.wake_by_ref();
}

unsafe extern "C" fn c_boxed_drop(data: *const c_void) {
    // SAFETY: as in `c_boxed_wake`.
    drop(unsafe { Box::from_raw(data.cast_mut().cast::<Waker>()) });
}

// ---- from C to Rust ----

/// Calls `poll` with a context that wakes the borrowed C waker. `None`: the waker breaks the contract.
///
/// # Safety
/// `waker` is NULL, or points at a waker of the contract that is valid during the call.
pub unsafe fn with_context<R>(
    waker: *const sabir_waker,
    poll: impl FnOnce(&mut Context<'_>) -> R,
) -> Option<R> {
    // SAFETY: the caller promises it.
    let raw = unsafe { borrowed(waker.as_ref()?) }?;
    // SAFETY: the raw waker is valid while the C waker is; it is not dropped, because it is borrowed.
    let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw) });
    Some(poll(&mut Context::from_waker(&waker)))
}

/// # Safety
/// `waker` is a waker of the contract, valid as long as the result is used.
unsafe fn borrowed(waker: &sabir_waker) -> Option<RawWaker> {
    // SAFETY: the caller promises it.
    match unsafe { unboxed(waker) }? {
        Some(raw) => Some(raw),
        None => Some(RawWaker::new(ptr::from_ref(waker).cast(), &RUST_BOXED)),
    }
}

/// # Safety
/// `waker` is an owned waker of the contract.
unsafe fn owned(waker: sabir_waker) -> Option<RawWaker> {
    // SAFETY: the caller promises it.
    match unsafe { unboxed(&waker) }? {
        Some(raw) => Some(raw),
        None => Some(RawWaker::new(Box::into_raw(Box::new(waker)).cast_const().cast(), &RUST_BOXED)),
    }
}

/// The Rust form that needs no box; the inner `None`: the slots have run out.
///
/// # Safety
/// `waker` is a waker of the contract.
unsafe fn unboxed(waker: &sabir_waker) -> Option<Option<RawWaker>> {
    if let Some(slot) = own_slot(&C_TABLES, waker.vtable) {
        // SAFETY: a C table is handed out only after its slot was tied, to a table that is static.
        return Some(Some(RawWaker::new(waker.data.cast(), unsafe {
            &*RUST_SEEN[slot].load(Ordering::Acquire)
        })));
    }
    let seen = C_SEEN.iter().position(|seen| ptr::eq(seen.load(Ordering::Acquire), waker.vtable));
    let slot = match seen.filter(|_| !waker.vtable.is_null()) {
        Some(slot) => Some(slot),
        None => {
            // SAFETY: the caller promises that the table is one, at least as long as it says.
            if !unsafe { complete(waker.vtable) } {
                return None;
            }
            slot_of(&C_SEEN, waker.vtable)
        }
    };
    Some(slot.map(|slot| RawWaker::new(waker.data.cast(), &RUST_TABLES[slot])))
}

/// Whether a table has what version 1.0 asks of it.
///
/// # Safety
/// `table` is NULL, or points at a table that is at least as long as it says.
unsafe fn complete(table: *const sabir_waker_vtable) -> bool {
    if table.is_null() {
        return false;
    }
    // SAFETY: the caller promises the first field; the others are read when the struct is long enough.
    unsafe {
        (*table).struct_size as usize >= size_of::<sabir_waker_vtable>()
            && (*table).clone.is_some()
            && (*table).wake.is_some()
            && (*table).wake_by_ref.is_some()
            && (*table).drop.is_some()
    }
}

const fn rust_table<const SLOT: usize>() -> RawWakerVTable {
    RawWakerVTable::new(rust_clone::<SLOT>, rust_wake::<SLOT>, rust_wake_by_ref::<SLOT>, rust_drop::<SLOT>)
}

fn c_seen<const SLOT: usize>() -> &'static sabir_waker_vtable {
    // SAFETY: a Rust table is handed out only after its slot was tied, to a complete table that is valid for ever.
    unsafe { &*C_SEEN[SLOT].load(Ordering::Acquire) }
}

/// The Rust form of a waker that a foreign `clone` has given us.
unsafe fn adopt(waker: sabir_waker) -> RawWaker {
    // SAFETY: the contract says that `clone` gives an owned waker.
    match unsafe { owned(waker) } {
        Some(raw) => raw,
        // A foreign table that breaks the contract: nobody is woken, but nothing is undefined either.
        None => RawWaker::new(ptr::null(), Waker::noop().vtable()),
    }
}

unsafe fn rust_clone<const SLOT: usize>(data: *const ()) -> RawWaker {
    match c_seen::<SLOT>().clone {
        // SAFETY: the data is of a live waker of this table.
        Some(clone) => unsafe { adopt(clone(data.cast())) },
        None => RawWaker::new(ptr::null(), Waker::noop().vtable()),
    }
}

unsafe fn rust_wake<const SLOT: usize>(data: *const ()) {
    if let Some(wake) = c_seen::<SLOT>().wake {
        // SAFETY: the data is of a live waker of this table, which is given up.
        unsafe { wake(data.cast()) }
    }
}

unsafe fn rust_wake_by_ref<const SLOT: usize>(data: *const ()) {
    if let Some(wake) = c_seen::<SLOT>().wake_by_ref {
        // SAFETY: the data is of a live waker of this table.
        unsafe { wake(data.cast()) }
    }
}

unsafe fn rust_drop<const SLOT: usize>(data: *const ()) {
    if let Some(drop) = c_seen::<SLOT>().drop {
        // SAFETY: the data is of a live waker of this table, which is given up.
        unsafe { drop(data.cast()) }
    }
}

/// For C tables beyond the slots: the data is a `*const sabir_waker`, of a box when the waker is owned.
static RUST_BOXED: RawWakerVTable =
    RawWakerVTable::new(rust_boxed_clone, rust_boxed_wake, rust_boxed_wake_by_ref, rust_boxed_drop);

/// The table of a boxed C waker, which was complete when the box was made.
unsafe fn boxed(data: *const ()) -> (*const c_void, &'static sabir_waker_vtable) {
    // SAFETY: the data points at a C waker whose table is valid for ever.
    unsafe {
        let waker = &*data.cast::<sabir_waker>();
        (waker.data, &*waker.vtable)
    }
}

unsafe fn rust_boxed_clone(data: *const ()) -> RawWaker {
    // SAFETY: the data is of a live waker.
    let (data, table) = unsafe { boxed(data) };
    match table.clone {
        // SAFETY: as above.
        Some(clone) => unsafe { adopt(clone(data)) },
        None => RawWaker::new(ptr::null(), Waker::noop().vtable()),
    }
}

unsafe fn rust_boxed_wake(data: *const ()) {
    // SAFETY: the waker was owned, so the data is of a box, which is given up with the waker in it.
    let waker = unsafe { Box::from_raw(data.cast_mut().cast::<sabir_waker>()) };
    // SAFETY: as above.
    unsafe {
        if let Some(wake) = (*waker.vtable).wake {
            wake(waker.data);
        }
    }
}

unsafe fn rust_boxed_wake_by_ref(data: *const ()) {
    // SAFETY: the data is of a live waker.
    let (data, table) = unsafe { boxed(data) };
    if let Some(wake) = table.wake_by_ref {
        // SAFETY: as above.
        unsafe { wake(data) }
    }
}

unsafe fn rust_boxed_drop(data: *const ()) {
    // SAFETY: as in `rust_boxed_wake`.
    let waker = unsafe { Box::from_raw(data.cast_mut().cast::<sabir_waker>()) };
    // SAFETY: as above.
    unsafe {
        if let Some(drop) = (*waker.vtable).drop {
            drop(waker.data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_waker_that_went_out_and_came_back_is_the_same_waker() {
        let counter = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&counter));
        let lent = lend(&waker);
        // SAFETY: `waker` lives.
        let same = unsafe { with_context(&lent, |cx| cx.waker().will_wake(&waker)) };
        assert_eq!(same, Some(true));
        // SAFETY: as above; the clone is taken over.
        let clone = unsafe { with_context(&lent, |cx| cx.waker().clone()) }.unwrap();
        assert_eq!(Arc::strong_count(&counter), 3);
        clone.wake();
        assert_eq!((Arc::strong_count(&counter), counter.0.load(Ordering::SeqCst)), (2, 1));
    }

    /// A foreign table, as another library's: counts what is called, and how often.
    mod foreign {
        use super::*;
        pub static CLONES: AtomicUsize = AtomicUsize::new(0);
        pub static WAKES: AtomicUsize = AtomicUsize::new(0);
        pub static DROPS: AtomicUsize = AtomicUsize::new(0);

        pub const fn table() -> sabir_waker_vtable {
            sabir_waker_vtable {
                struct_size: size_of::<sabir_waker_vtable>() as u32,
                reserved: 0,
                clone: Some(clone),
                wake: Some(wake),
                wake_by_ref: Some(wake),
                drop: Some(drop),
            }
        }

        unsafe extern "C" fn clone(data: *const c_void) -> sabir_waker {
            CLONES.fetch_add(1, Ordering::SeqCst);
            sabir_waker { data, vtable: Box::leak(Box::new(table())) }
        }

        unsafe extern "C" fn wake(_: *const c_void) {
            WAKES.fetch_add(1, Ordering::SeqCst);
        }

        unsafe extern "C" fn drop(_: *const c_void) {
            DROPS.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn foreign_wakers_work_when_the_slots_have_run_out() {
        // Every clone has another table, so that the slots are used up, and the boxes are used too.
        for round in 1..=3 * SLOTS {
            let table: &'static sabir_waker_vtable = Box::leak(Box::new(foreign::table()));
            let waker = sabir_waker { data: ptr::null(), vtable: table };
            // SAFETY: the table lives for ever and needs no data.
            let clone = unsafe { with_context(&waker, |cx| cx.waker().clone()) }.unwrap();
            let lent = lend(&clone);
            // SAFETY: `clone` lives.
            unsafe { with_context(&lent, |cx| cx.waker().wake_by_ref()) }.unwrap();
            drop(clone);
            assert_eq!(foreign::CLONES.load(Ordering::SeqCst), round);
            assert_eq!(foreign::WAKES.load(Ordering::SeqCst), round);
            assert_eq!(foreign::DROPS.load(Ordering::SeqCst), round);
        }
    }

    #[test]
    fn a_waker_without_a_table_or_with_half_a_table_is_refused() {
        let none = sabir_waker { data: ptr::null(), vtable: ptr::null() };
        // SAFETY: NULL is told from a table.
        assert!(unsafe { with_context(&none, |_| ()) }.is_none());
        // SAFETY: NULL is told from a waker.
        assert!(unsafe { with_context(ptr::null(), |_| ()) }.is_none());
        let half = sabir_waker_vtable { wake: None, ..foreign::table() };
        // SAFETY: the table is as long as it says.
        assert!(unsafe { with_context(&sabir_waker { data: ptr::null(), vtable: &half }, |_| ()) }.is_none());
        let short = sabir_waker_vtable { struct_size: 8, ..foreign::table() };
        let waker = sabir_waker { data: ptr::null(), vtable: &short };
        // SAFETY: as above.
        assert!(unsafe { with_context(&waker, |_| ()) }.is_none());
    }
}
