// SPDX-License-Identifier: Apache-2.0
//! The engine room: the engine behind one short lock, and the way out of it for what it answers.
//!
//! Whoever enters (a session with the verbs of one read, the committer with a watermark, a reader with records) runs
//! the engine, hands its answers to the sessions' outboxes, leaves, and only then wakes who must be woken. Nothing
//! in here does input or output.

use super::clock::Clock;
use super::outbox::{End, Outbox};
use super::readers::{Fetch, Wanted};
use super::signals::{CommitSignal, DeadlineSignal};
use sabir_engine::{Client, CommitId, CommitNeed, Engine, Input, Outputs, ReadRequest};
use sabir_model::store::Batch;
use sabir_model::verb::Refusal;
use sabir_model::{Now, Request, SessionId};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Bits of a session's number that say where its outbox is; the others are never used twice.
const PLACE_BITS: u32 = 24;

/// The engine and those it talks to.
#[derive(Debug)]
pub struct Room {
    inside: Mutex<Inside>,
    /// Tells the committer that there is something to commit.
    pub commit: CommitSignal,
    /// Tells the timer when the engine wants to be called.
    pub deadline: DeadlineSignal,
    reads: Mutex<Option<Sender<Wanted>>>,
    clock: Clock,
}

struct Inside {
    engine: Engine,
    outputs: Outputs,
    outboxes: Vec<Option<(SessionId, Arc<Outbox>)>>,
    free_places: Vec<usize>,
    next_generation: u64,
    leaving: Leaving,
}

/// What is taken out of the room, to be done outside. Empty whenever nobody is inside.
#[derive(Default)]
struct Leaving {
    wakers: Vec<Waker>,
    reads: Vec<ReadRequest>,
}

thread_local! {
    /// Swapped with the room's own, so that neither is ever allocated anew.
    static LEAVING: RefCell<Leaving> = RefCell::default();
}

/// Somebody is inside. A panic there leaves the engine in a state that nobody knows, while the store's is known: the
/// process ends at once, to start again from that.
struct Locked<'r> {
    inside: MutexGuard<'r, Inside>,
    /// Whoever ends a link because of a panic elsewhere comes in to say so, and does no harm.
    was_panicking: bool,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if !self.was_panicking && std::thread::panicking() {
            tracing::error!("the engine has panicked: the process ends, to start again from its store");
            eprintln!("error: the engine has panicked");
            std::process::abort();
        }
    }
}

impl Deref for Locked<'_> {
    type Target = Inside;

    fn deref(&self) -> &Inside {
        &self.inside
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Inside {
        &mut self.inside
    }
}

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inside").field("sessions", &self.outboxes.len()).finish_non_exhaustive()
    }
}

impl Room {
    /// A room with this engine; `reads` takes what is to be fetched from the store.
    pub fn new(engine: Engine, clock: Clock, reads: Sender<Wanted>) -> Self {
        let inside = Inside {
            engine,
            outputs: Outputs::default(),
            outboxes: Vec::new(),
            free_places: Vec::new(),
            next_generation: 1,
            leaving: Leaving::default(),
        };
        Room {
            inside: Mutex::new(inside),
            commit: CommitSignal::default(),
            deadline: DeadlineSignal::default(),
            reads: Mutex::new(Some(reads)),
            clock,
        }
    }

    /// The time.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// The clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    fn lock(&self) -> Locked<'_> {
        // A poisoned lock is never seen: whoever poisons it ends the process.
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { inside, was_panicking: std::thread::panicking() }
    }

    /// A number and an outbox for a link, before its session has logged in.
    pub fn register(&self) -> (SessionId, Arc<Outbox>) {
        let outbox = Outbox::new();
        let mut inside = self.lock();
        let place = inside.free_places.pop().unwrap_or_else(|| {
            inside.outboxes.push(None);
            inside.outboxes.len() - 1
        });
        let session = SessionId(inside.next_generation << PLACE_BITS | place as u64);
        inside.next_generation += 1;
        if let Some(slot) = inside.outboxes.get_mut(place) {
            *slot = Some((session, outbox.clone()));
        }
        (session, outbox)
    }

    /// Gives the number back. A session that had logged in must have been closed before.
    pub fn unregister(&self, session: SessionId) {
        let mut inside = self.lock();
        let place = place_of(session);
        if inside.outboxes.get(place).is_some_and(|slot| slot.as_ref().is_some_and(|(id, _)| *id == session))
        {
            inside.outboxes[place] = None;
            inside.free_places.push(place);
        }
    }

    /// A session has logged in. Unless the engine refuses it, that must be told when it ends.
    pub fn open(&self, now: Now, session: SessionId, client: Client) -> Result<(), Refusal> {
        let mut refused = None;
        let need = self.run(now, Input::Open { session, client }, |outputs| {
            let at = outputs.closes.iter().position(|(closed, _)| *closed == session);
            refused = at.map(|at| outputs.closes.remove(at).1);
        });
        self.commit.need(need);
        refused.map_or(Ok(()), Err)
    }

    /// A session has ended.
    pub fn close(&self, now: Now, session: SessionId) {
        self.enter(now, Input::Close { session });
    }

    /// Verbs of a session; `requests` is drained. Answers how urgent the commit is.
    pub fn requests(&self, now: Now, session: SessionId, requests: &mut Vec<Request>) -> CommitNeed {
        if requests.is_empty() {
            return CommitNeed::None;
        }
        self.enter_quietly(now, Input::Requests { session, requests })
    }

    /// Anything else. Tells the committer when there is something for it.
    pub fn enter(&self, now: Now, input: Input<'_>) {
        let need = self.enter_quietly(now, input);
        self.commit.need(need);
    }

    /// Runs the engine and hands out what it answers; the committer is the caller's to tell.
    pub fn enter_quietly(&self, now: Now, input: Input<'_>) -> CommitNeed {
        self.run(now, input, |_| ())
    }

    /// The same; `look` sees what the engine answers before it is handed out.
    fn run(&self, now: Now, input: Input<'_>, look: impl FnOnce(&mut Outputs)) -> CommitNeed {
        let mut inside = self.lock();
        let Inside { engine, outputs, .. } = &mut *inside;
        engine.handle(now, input, outputs);
        look(outputs);
        let (need, deadline) = (outputs.commit, outputs.deadline_ms);
        inside.distribute();
        // Inside the lock, so that an older deadline never takes the place of a newer one.
        self.deadline.set(deadline);
        LEAVING.with_borrow_mut(|leaving| {
            std::mem::swap(&mut inside.leaving, leaving);
            drop(inside);
            self.leave(leaving);
        });
        need
    }

    /// What is done outside: waking and reading.
    fn leave(&self, leaving: &mut Leaving) {
        if !leaving.reads.is_empty() {
            let sender = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
            for read in leaving.reads.drain(..) {
                // Without a reader the broker is stopping, and nobody waits for records any more.
                let _ = sender.as_ref().map(|sender| sender.send(Wanted::Records(read)));
            }
        }
        leaving.wakers.drain(..).for_each(Waker::wake);
    }

    /// Asks for a piece of a body.
    pub fn fetch(&self, fetch: Fetch) {
        let sender = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        // As above: without a reader the broker is stopping.
        let _ = sender.as_ref().map(|sender| sender.send(Wanted::Piece(fetch)));
    }

    /// Takes the operations that wait to be committed.
    pub fn take_batch(&self, batch: &mut Batch) -> Option<CommitId> {
        self.lock().engine.take_batch(batch)
    }

    /// No more records are read.
    pub fn stop_reads(&self) {
        *self.reads.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Calls `each` with the outbox of every link.
    pub fn for_each_outbox(&self, mut each: impl FnMut(&Outbox)) {
        let outboxes: Vec<Arc<Outbox>> =
            self.lock().outboxes.iter().flatten().map(|(_, outbox)| outbox.clone()).collect();
        outboxes.iter().for_each(|outbox| each(outbox));
    }

    /// Looks at the engine, for figures.
    pub fn inspect<T>(&self, look: impl FnOnce(&Engine) -> T) -> T {
        look(&self.lock().engine)
    }
}

fn place_of(session: SessionId) -> usize {
    (session.0 & ((1 << PLACE_BITS) - 1)) as usize
}

impl Inside {
    /// Hands what the engine has answered to the sessions' outboxes. What is for a session that has gone meanwhile
    /// is dropped: the engine knows, or will soon be told.
    fn distribute(&mut self) {
        let Inside { outputs, outboxes, leaving: Leaving { wakers, reads }, .. } = self;
        let find = |session: SessionId| match outboxes.get(place_of(session)) {
            Some(Some((id, outbox))) if *id == session => Some(outbox),
            _ => None,
        };
        let mut replies = outputs.replies.drain(..).peekable();
        while let Some((session, reply)) = replies.next() {
            let Some(outbox) = find(session) else { continue };
            let mut waiting = outbox.lock();
            waiting.replies.push(reply);
            while let Some((_, reply)) = replies.next_if(|(next, _)| *next == session) {
                waiting.replies.push(reply);
            }
            wakers.extend(waiting.take_waker());
        }
        let mut deliveries = outputs.deliveries.drain(..).peekable();
        while let Some((session, delivery)) = deliveries.next() {
            let Some(outbox) = find(session) else { continue };
            let mut waiting = outbox.lock();
            waiting.deliveries.push(delivery);
            while let Some((_, delivery)) = deliveries.next_if(|(next, _)| *next == session) {
                waiting.deliveries.push(delivery);
            }
            wakers.extend(waiting.take_waker());
        }
        for (session, reply) in outputs.drained.drain(..) {
            let Some(outbox) = find(session) else { continue };
            let mut waiting = outbox.lock();
            let behind = waiting.deliveries.len();
            waiting.behind.push_back((behind, reply));
            wakers.extend(waiting.take_waker());
        }
        for (session, change) in outputs.flow.drain(..) {
            let Some(outbox) = find(session) else { continue };
            let mut waiting = outbox.lock();
            waiting.flow = Some(change);
            wakers.extend(waiting.take_waker());
        }
        for (session, bytes) in outputs.taken.drain(..) {
            let Some(outbox) = find(session) else { continue };
            let mut waiting = outbox.lock();
            waiting.stored_bytes += bytes;
            wakers.extend(waiting.take_waker());
        }
        for (session, refusal) in outputs.closes.drain(..) {
            let Some(outbox) = find(session) else { continue };
            let mut waiting = outbox.lock();
            waiting.end.get_or_insert(End::AtOnce(refusal.text));
            wakers.extend(waiting.take_waker());
        }
        reads.append(&mut outputs.reads);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::sync::mpsc::channel;

    const CHILD: &str = "SABIR_ROOM_TEST_CHILD";

    fn room() -> Room {
        let config = crate::config::Config::from_toml("").unwrap().engine;
        let clock = Clock::start();
        let engine = Engine::recover(config, clock.now(), Vec::new(), Vec::new()).unwrap();
        Room::new(engine, clock, channel().0)
    }

    /// A task that panics is caught where tasks are run: without more, the broker would look alive with an engine that nobody
    /// can enter. The child, this very test again, sees nothing of its own end.
    #[test]
    fn a_panic_inside_the_engine_ends_the_process_at_once_though_nobody_enters_it_again() {
        if std::env::var_os(CHILD).is_some() {
            let room = Arc::new(room());
            let _ = std::thread::spawn(move || room.inspect(|_| panic!("a mistake in the engine"))).join();
            std::process::exit(0);
        }
        let name = "broker::room::tests::a_panic_inside_the_engine_ends_the_process_at_once_though_nobody_enters_it_again";
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([name, "--exact", "--nocapture"]).env(CHILD, "1").stdin(Stdio::null());
        let output = child.output().unwrap();
        assert_eq!(output.status.code(), None, "killed by its own abort: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("the engine has panicked"), "{output:?}");
    }

    #[test]
    fn whoever_comes_in_because_of_a_panic_elsewhere_ends_nothing() {
        struct Leaves(Arc<Room>, SessionId);
        impl Drop for Leaves {
            fn drop(&mut self) {
                self.0.unregister(self.1);
            }
        }
        let room = Arc::new(room());
        let (session, _) = room.register();
        let leaves = Leaves(room.clone(), session);
        let thread = std::thread::spawn(move || {
            let _leaves = leaves;
            panic!("as it should in this test");
        });
        assert!(thread.join().is_err());
        assert_eq!(room.lock().free_places.len(), 1);
    }
}
