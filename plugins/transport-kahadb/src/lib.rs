// SPDX-License-Identifier: Apache-2.0
//! What a KahaDB of ActiveMQ holds, told to the broker as a client of it would.
//!
//! In the shape of a transport that has one peer: whoever listens gets links, at whose other end the importer sends what it has
//! read, and reads the answers. So what becomes of a message is what the protocol makes of it anyway, and what the
//! broker confirms is confirmed. `docs/decisions/0053-an-importer-is-a-client.md` says why.
//!
//! ```text
//!   kaha      the directory: files, records, what is left of them
//!   message   one stored message, made ready to be sent
//!   client    a client of the broker, over a link of its own
//!   import    what is sent, in which order, and where it goes on after it was interrupted
//!   report    what is told of it
//!   link, pipe   the links between the importer's thread and the broker
//! ```

mod client;
mod import;
pub mod kaha;
mod link;
mod message;
mod pipe;
mod report;

use import::Import;
use link::{Door, DoorListener};
use report::Reporter;
use sabir_sdk::transport::{Listener, Transport};
use sabir_sdk::uri::Uri;
use sabir_sdk::{Error, ErrorCode, Host, Result, abi};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

/// The scheme of this transport's addresses.
const SCHEME: &str = "kahadb";

/// JSON Schema of the settings.
const CONFIG_SCHEMA: &str = include_str!("config.schema.json");

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The directory of the KahaDB.
    pub directory: PathBuf,
    /// The directory of the scheduler's store; nothing: `scheduler` beside the other, if it is there.
    pub scheduler: PathBuf,
    /// The file into which is written how far it has come, a JSON object a line.
    pub report: PathBuf,
    /// Go on without what cannot be read or is refused.
    pub accept_loss: bool,
    /// Everything was sent before, and that is noted where the broker is not: only the marks are to go.
    pub sent: bool,
}

/// The component.
#[derive(Debug)]
pub struct KahaDb {
    settings: Settings,
}

impl Transport for KahaDb {
    const NAME: &'static str = SCHEME;
    const CAPABILITIES: u64 = abi::SABIR_CAP_TRANSPORT_LISTEN | abi::SABIR_CAP_TRANSPORT_LOCAL_ONLY;
    const CONFIG_SCHEMA: &'static str = CONFIG_SCHEMA;

    fn open(_: Host, config: &str) -> Result<Self> {
        let text = if config.trim().is_empty() { "{}" } else { config };
        let settings = serde_json::from_str(text)
            .map_err(|error| Error::new(ErrorCode::Config, format!("the import's configuration: {error}")))?;
        Ok(KahaDb { settings })
    }

    fn listen(&self, uri: &str) -> Result<Box<dyn Listener>> {
        Uri::parse(uri, SCHEME)?;
        let settings = self.settings.clone();
        if settings.directory.as_os_str().is_empty() || settings.report.as_os_str().is_empty() {
            let text = "an import needs a directory and a report (transports.kahadb)";
            return Err(Error::new(ErrorCode::Config, text));
        }
        let reporter = Reporter::create(&settings.report).map_err(|error| {
            Error::new(ErrorCode::Io, format!("{} cannot be written: {error}", settings.report.display()))
        })?;
        let door = Arc::new(Door::default());
        let import = Import::new(settings, door.clone(), reporter);
        let thread = std::thread::Builder::new().name("kahadb-import".to_owned());
        thread.spawn(move || import.run()).map_err(|error| {
            Error::new(ErrorCode::Other, format!("the import's thread cannot be started: {error}"))
        })?;
        Ok(Box::new(DoorListener { door }))
    }
}

sabir_sdk::plugin! {
    /// What this library answers with.
    pub static PLUGIN: name = "transport-kahadb",
    description = "What a KahaDB of ActiveMQ holds, told to the broker as a client of it would",
    transports = [KahaDb]
}
