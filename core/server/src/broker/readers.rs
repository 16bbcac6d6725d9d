// SPDX-License-Identifier: Apache-2.0
//! Threads that fetch records back from the store: reading blocks, and nothing that serves links may.

use super::room::Room;
use sabir_engine::{Input, ReadRequest};
use sabir_host::Store;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Starts `count` readers. They end when the room no longer sends reads.
pub fn start(
    count: usize,
    requests: Receiver<ReadRequest>,
    room: &Arc<Room>,
    store: &Arc<Store>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let requests = Arc::new(Mutex::new(requests));
    (0..count.max(1))
        .map(|index| {
            let (requests, room, store) = (requests.clone(), room.clone(), store.clone());
            let name = format!("sabir-read-{index}");
            std::thread::Builder::new().name(name).spawn(move || run(&requests, &room, &store))
        })
        .collect()
}

fn run(requests: &Mutex<Receiver<ReadRequest>>, room: &Room, store: &Store) {
    loop {
        // One waits at the door while the others read: whoever holds the lock gets the next request.
        let next = requests.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(request) = next else { return };
        let mut records = Vec::new();
        let error = store.read_into(&request.read, &mut records).err().map(|error| error.to_string());
        if let Some(error) = &error {
            tracing::error!(log = request.read.log, from = request.read.from, %error, "cannot read records");
        }
        room.enter(room.now(), Input::Records { read: request.id, records, error });
    }
}
