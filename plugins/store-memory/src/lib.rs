// SPDX-License-Identifier: Apache-2.0
//! Records in memory: for tests and brokers that may forget.
//!
//! The store's contract in its simplest form: maps behind one lock. It knows no disk, and nothing survives the
//! process; `sync` has nothing to do.

mod contents;

use contents::Contents;
use sabir_model::store::{Level, LogSummary, Read, Record};
use sabir_sdk::store::{Ops, Stats, Store};
use sabir_sdk::{Error, ErrorCode, Host, Result, abi};
use std::sync::{Mutex, MutexGuard, PoisonError};

sabir_sdk::plugin! {
    pub static PLUGIN:
    name = "store-memory",
    description = "Records in memory: for tests and brokers that may forget",
    transports = [], protocols = [], stores = [Memory], codecs = []
}

/// A store in memory.
pub struct Memory {
    contents: Mutex<Contents>,
    // Records and keys beyond this are refused: memory is not endless.
    max_bytes: u64,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    max_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { max_bytes: 1 << 30 }
    }
}

impl Memory {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    const NAME: &'static str = "memory";
    const CAPABILITIES: u64 = abi::SABIR_CAP_STORE_REPLACE;
    const CONFIG_SCHEMA: &'static str = include_str!("config.schema.json");

    fn open(_host: Host, config: &str) -> Result<Self> {
        let text = if config.trim().is_empty() { "{}" } else { config };
        let options: Options = serde_json::from_str(text).map_err(|error| {
            Error::new(ErrorCode::Config, format!("the memory store's configuration: {error}"))
        })?;
        Ok(Memory { contents: Mutex::default(), max_bytes: options.max_bytes })
    }

    fn recover(&self, visit: &mut dyn FnMut(&LogSummary) -> Result<()>) -> Result<()> {
        // It was opened empty.
        self.contents().summaries().iter().try_for_each(visit)
    }

    fn submit(&self, ops: Ops<'_>, _level: Level) -> Result<u64> {
        let mut contents = self.contents();
        let batch = contents.check(ops)?;
        if batch.grows_bytes > 0 && contents.bytes() + batch.grows_bytes > self.max_bytes {
            let text =
                format!("the memory store holds {} bytes, and {} at most", contents.bytes(), self.max_bytes);
            return Err(Error { retryable: true, ..Error::new(ErrorCode::Full, text) });
        }
        contents.apply(ops);
        contents.ticket += 1;
        Ok(contents.ticket)
    }

    fn sync(&self, ticket: u64) -> Result<u64> {
        let last = self.contents().ticket;
        if ticket > last {
            return Err(Error::new(
                ErrorCode::Invalid,
                format!("ticket {ticket} was never given: the last is {last}"),
            ));
        }
        Ok(last)
    }

    fn read(&self, what: &Read, visit: &mut dyn FnMut(Record) -> bool) -> Result<()> {
        // Collected first, so that the visitor may take its time without holding up writers.
        let found = self.contents().read(what);
        for record in found {
            if !visit(record) {
                break;
            }
        }
        Ok(())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: u64,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        self.contents().scan(from, to, limit, visit);
        Ok(())
    }

    fn stats(&self) -> Stats {
        let contents = self.contents();
        Stats {
            live_records: contents.entries(),
            live_bytes: contents.record_bytes(),
            used_bytes: contents.bytes(),
            free_bytes: self.max_bytes.saturating_sub(contents.bytes()),
            index_bytes: contents.entries() * contents::ENTRY_BYTES,
            ..Stats::default()
        }
    }

    fn close(self) -> Result<()> {
        Ok(())
    }
}
