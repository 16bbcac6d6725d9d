// SPDX-License-Identifier: Apache-2.0
//! The threads that serve links. Each runs a reactor of its own; a link stays with the thread that it was given to.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// Tasks that one reactor runs before it looks at its sockets again.
const EVENT_INTERVAL: u32 = 31;

/// The threads.
#[derive(Debug)]
pub struct Reactors {
    handles: Vec<Handle>,
    next: AtomicUsize,
    stop: watch::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Reactors {
    /// Starts them. 0: one for each pair of processors.
    pub fn start(count: usize) -> std::io::Result<Self> {
        let count = if count == 0 {
            std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1))
        } else {
            count
        };
        let (stop, _) = watch::channel(false);
        let (mut handles, mut threads) = (Vec::new(), Vec::new());
        for index in 0..count {
            let runtime =
                Builder::new_current_thread().enable_all().event_interval(EVENT_INTERVAL).build()?;
            handles.push(runtime.handle().clone());
            let mut stopped = stop.subscribe();
            let run = move || {
                // The sender lives as long as the threads do; its end means the same.
                let _ = runtime.block_on(stopped.wait_for(|stop| *stop));
                // Ends the tasks that are left. What they run on other threads ends by itself.
                runtime.shutdown_background();
            };
            threads.push(std::thread::Builder::new().name(format!("sabir-link-{index}")).spawn(run)?);
        }
        Ok(Reactors { handles, next: AtomicUsize::new(0), stop, threads: Mutex::new(threads) })
    }

    /// The first one: listeners and timers live there.
    pub fn first(&self) -> &Handle {
        &self.handles[0]
    }

    /// Runs a task on one of them.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.handles.len();
        self.handles[index].spawn(task);
    }

    /// Ends all tasks and the threads.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that has panicked has said so already.
            let _ = thread.join();
        }
    }
}
