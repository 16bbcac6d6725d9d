// SPDX-License-Identifier: Apache-2.0
//! Threads that fetch records back from the store: reading blocks, and nothing that serves links may.

use super::committer::Committer;
use super::failure::{Failure, Vital};
use super::room::Room;
use sabir_engine::{Input, ReadRequest};
use sabir_host::{ErrorCode, Store};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Starts `count` readers. They end when the room no longer sends reads.
pub fn start(
    count: usize,
    requests: Receiver<ReadRequest>,
    room: &Arc<Room>,
    store: &Arc<Store>,
    committer: &Arc<Committer>,
    failure: &Arc<Failure>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let requests = Arc::new(Mutex::new(requests));
    (0..count.max(1))
        .map(|index| {
            let (requests, room) = (requests.clone(), room.clone());
            let (store, committer) = (store.clone(), committer.clone());
            let name = format!("sabir-read-{index}");
            let vital = Vital::new(failure, "a reader of the store");
            std::thread::Builder::new().name(name).spawn(move || {
                let _vital = vital;
                run(&requests, &room, &store, &committer);
            })
        })
        .collect()
}

fn run(requests: &Mutex<Receiver<ReadRequest>>, room: &Room, store: &Store, committer: &Committer) {
    loop {
        // One waits at the door while the others read: whoever holds the lock gets the next request.
        let next = requests.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(request) = next else { return };
        let mut records = Vec::new();
        let error = store.read_into(&request.read, &mut records).err();
        if let Some(error) = &error {
            tracing::error!(log = request.read.log, from = request.read.from, %error, "cannot read records");
            if matches!(error.code, ErrorCode::Panic | ErrorCode::Closed) {
                // No record is damaged: there is no store any more.
                committer.fail(error);
                continue;
            }
        }
        let error = error.map(|error| error.to_string());
        room.enter(room.now(), Input::Records { read: request.id, records, error });
    }
}
