// SPDX-License-Identifier: Apache-2.0
//! Stores that cannot be read from any more: no record is damaged then, there is no store.

use crate::{Client, PATIENCE};
use sabir_host::Registry;
use sabir_sdk::store::{Level, LogSummary, Ops, Read, Record, Stats, Store};
use sabir_sdk::{Error, ErrorCode, Host, Result};
use sabir_server::config::Config;
use sabir_server::serve;
use std::sync::atomic::{AtomicU64, Ordering};

sabir_sdk::plugin! {
    static PLUGIN: name = "unreadable", description = "for tests",
    transports = [], protocols = [], stores = [Closing, Panicking], codecs = []
}

/// A store that takes everything and then says that it is closed.
#[derive(Default)]
struct Closing(AtomicU64);

/// A store that takes everything and panics when something is to be read.
#[derive(Default)]
struct Panicking(AtomicU64);

macro_rules! takes_all_and_gives_nothing {
    ($store:ident, $name:literal, $read:expr) => {
        impl Store for $store {
            const NAME: &'static str = $name;
            const CAPABILITIES: u64 = 0;

            fn open(_: Host, _: &str) -> Result<Self> {
                Ok(Self::default())
            }

            fn recover(&self, _: &mut dyn FnMut(&LogSummary) -> Result<()>) -> Result<()> {
                Ok(())
            }

            fn submit(&self, _: Ops<'_>, _: Level) -> Result<u64> {
                Ok(self.0.fetch_add(1, Ordering::SeqCst) + 1)
            }

            fn sync(&self, _: u64) -> Result<u64> {
                Ok(self.0.load(Ordering::SeqCst))
            }

            fn read(&self, _: &Read, _: &mut dyn FnMut(Record) -> bool) -> Result<()> {
                $read
            }

            fn scan(
                &self,
                _: &[u8],
                _: &[u8],
                _: u64,
                _: &mut dyn FnMut(&[u8], &[u8]) -> bool,
            ) -> Result<()> {
                Ok(())
            }

            fn stats(&self) -> Stats {
                Stats::default()
            }

            fn close(self) -> Result<()> {
                Ok(())
            }
        }
    };
}

takes_all_and_gives_nothing!(Closing, "closing", Err(Error::new(ErrorCode::Closed, "the store was closed")));
takes_all_and_gives_nothing!(Panicking, "panicking", panic!("the reader gave up"));

#[test]
fn a_store_that_is_closed_or_panics_when_it_is_read_has_failed_for_good() {
    for (kind, cause) in [("closing", "the store was closed"), ("panicking", "the reader gave up")] {
        let mut registry = Registry::new();
        for plugin in sabir_bundle::plugins() {
            registry.add(plugin).unwrap();
        }
        registry.add(&PLUGIN).unwrap();
        // The first message finds no room in memory, so it must be read.
        let config = format!(
            "listeners = [{{ uri = \"tcp://127.0.0.1:0\" }}]\nstore.kind = \"{kind}\"\npolicy.resident_bytes = 1024\n\
             [stores.{kind}]\n"
        );
        let broker = serve(Config::from_toml(&config).unwrap(), registry).unwrap_or_else(|e| panic!("{e}"));
        let mut producer = Client::logged_in(&broker);
        let body = "x".repeat(1024);
        for n in 1..=10 {
            producer.send(&format!("SEND\ndestination:/queue/q\npersistent:true\nreceipt:{n}\n\n{body}\0"));
            producer.receipt(&n.to_string());
        }
        assert_eq!(broker.failure(), None);
        let mut consumer = Client::logged_in(&broker);
        consumer.send("SUBSCRIBE\nid:1\ndestination:/queue/q\nack:client\n\n\0");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let failed = async { tokio::time::timeout(PATIENCE, broker.failed()).await };
        let reason = runtime.block_on(failed).expect("a store that cannot be read has failed");
        assert!(reason.contains(cause), "{reason}");
        for client in [&mut producer, &mut consumer] {
            let farewell = client.frame();
            assert!(
                farewell.starts_with("ERROR\n") && farewell.contains("the store has failed"),
                "{farewell}"
            );
            assert_eq!(client.frame(), "");
        }
        broker.shutdown(PATIENCE);
    }
}
