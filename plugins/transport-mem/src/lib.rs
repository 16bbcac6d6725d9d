// SPDX-License-Identifier: Apache-2.0
//! mem:// links inside one process.
//!
//! For tests, and for programs that carry a broker within them. A link is two bounded buffers; there is no socket,
//! no thread and no copy beyond the two that a pipe needs. It knows no protocol.
//!
//! ```text
//!   options   what can be set, one table
//!   pipe      one direction of a link
//!   link      both ends of a link
//!   listener  names, and who listens on them
//! ```

mod link;
mod listener;
pub mod options;
mod pipe;

pub use link::MemLink;
use listener::MemListener;
use options::{CONFIG_SCHEMA, Options, TABLE};
use sabir_sdk::abi;
use sabir_sdk::settings::Settings;
use sabir_sdk::transport::{Link, Listener, Transport};
use sabir_sdk::uri::Uri;
use sabir_sdk::{Host, Result};

/// The scheme of this transport's addresses.
const SCHEME: &str = "mem";

/// The component: opens listeners and links.
pub struct Mem {
    defaults: Settings,
}

impl Mem {
    fn settings(&self, query: &str) -> Result<Settings> {
        let mut settings = self.defaults.clone();
        settings.apply_query(query)?;
        Ok(settings)
    }
}

impl Transport for Mem {
    const NAME: &'static str = SCHEME;
    const CAPABILITIES: u64 = abi::SABIR_CAP_TRANSPORT_LISTEN
        | abi::SABIR_CAP_TRANSPORT_CONNECT
        | abi::SABIR_CAP_TRANSPORT_HALF_CLOSE
        | abi::SABIR_CAP_TRANSPORT_LOCAL_ONLY;
    const CONFIG_SCHEMA: &'static str = CONFIG_SCHEMA;

    fn open(_: Host, config: &str) -> Result<Self> {
        let mut defaults = Settings::new(TABLE);
        defaults.apply_json(config)?;
        Ok(Self { defaults })
    }

    fn listen(&self, uri: &str) -> Result<Box<dyn Listener>> {
        let uri = Uri::parse(uri, SCHEME)?;
        let options = Options::read(&self.settings(uri.query)?);
        Ok(Box::new(MemListener::open(uri.address, options)?))
    }

    fn connect(&self, uri: &str) -> Result<Box<dyn Link>> {
        let uri = Uri::parse(uri, SCHEME)?;
        let settings = self.settings(uri.query)?;
        let framing = settings.is_set("framing").then(|| options::framing(&settings));
        Ok(Box::new(listener::connect(uri.address, framing)?))
    }
}

/// Connects to the listener `name` of this process, whichever framing it has. The way in for Rust programs that
/// carry the broker within them.
///
/// # Errors
/// `NotFound` when nobody listens there, `Limit` when too many links wait to be accepted already.
pub fn connect(name: &str) -> Result<MemLink> {
    listener::connect(name, None)
}

sabir_sdk::plugin! {
    /// What this library answers with.
    pub static PLUGIN: name = "transport-mem", description = "mem:// links inside one process",
    transports = [Mem]
}
