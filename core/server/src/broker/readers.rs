// SPDX-License-Identifier: Apache-2.0
//! Threads that fetch records back from the store: reading blocks, and nothing that serves links may.

use super::committer::Committer;
use super::failure::{Failure, Vital};
use super::outbox::Outbox;
use super::room::Room;
use bytes::Bytes;
use sabir_engine::{Input, ReadRequest};
use sabir_host::{ErrorCode, Store};
use sabir_model::store::{LogId, Read, Want};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What is to be fetched.
#[derive(Debug)]
pub enum Wanted {
    /// Records, for the engine.
    Records(ReadRequest),
    /// A piece of a body, for a link.
    Piece(Fetch),
}

/// A piece of a body.
#[derive(Debug)]
pub struct Fetch {
    /// The log of the body's pieces.
    pub log: LogId,
    /// Its number.
    pub seq: u64,
    /// Who wants it.
    pub to: Arc<Outbox>,
}

/// Starts `count` readers. They end when the room no longer sends reads.
pub fn start(
    count: usize,
    requests: Receiver<Wanted>,
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

fn run(requests: &Mutex<Receiver<Wanted>>, room: &Room, store: &Store, committer: &Committer) {
    loop {
        // One waits at the door while the others read: whoever holds the lock gets the next request.
        let next = requests.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let request = match next {
            Ok(Wanted::Records(request)) => request,
            Ok(Wanted::Piece(fetch)) => {
                let piece = read_piece(&fetch, store);
                fetch.to.put_piece(piece);
                continue;
            }
            Err(_) => return,
        };
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

/// A piece that cannot be read costs its message alone, which the link sees to.
fn read_piece(fetch: &Fetch, store: &Store) -> Result<Bytes, String> {
    let Fetch { log, seq, .. } = *fetch;
    let read = Read { log, from: seq, last: seq, max_records: 1, max_bytes: 0, want: Want::All };
    let mut records = Vec::new();
    store.read_into(&read, &mut records).map_err(|error| error.to_string())?;
    let piece = records.into_iter().next().map(|record| record.data);
    piece.ok_or_else(|| format!("the piece {seq} of the log {log:#x} is missing"))
}
