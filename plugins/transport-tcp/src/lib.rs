// SPDX-License-Identifier: Apache-2.0
//! tcp:// links on the host's reactor.
//!
//! It moves bytes between sockets and the host, and says who is at the other end. It knows no protocol, and nothing
//! of what the bytes mean. The sockets are registered with the host's reactor: there is no thread here.
//!
//! ```text
//!   options   what can be set, one table
//!   address   host:port to socket addresses
//!   socket    sockets with their options; what their failures mean
//!   listener  accepting
//!   link      accepted links, and those on their way
//! ```

mod address;
mod link;
mod listener;
pub mod options;
mod socket;

use address::Target;
use link::ConnectingLink;
use listener::TcpListener;
use options::{CONFIG_SCHEMA, Options, TABLE};
use sabir_sdk::abi;
use sabir_sdk::settings::Settings;
use sabir_sdk::transport::{Link, Listener, Transport};
use sabir_sdk::uri::Uri;
use sabir_sdk::{Host, Result};

/// The scheme of this transport's addresses.
const SCHEME: &str = "tcp";

/// Sockets take files where the system has `sendfile` in Linux's form.
const SEND_FILE: u64 = if cfg!(target_os = "linux") { abi::SABIR_CAP_TRANSPORT_SEND_FILE } else { 0 };

/// The component: opens listeners and links.
pub struct Tcp {
    host: Host,
    defaults: Settings,
}

impl Tcp {
    fn target(&self, uri: &str) -> Result<(Target, Options)> {
        let uri = Uri::parse(uri, SCHEME)?;
        let mut settings = self.defaults.clone();
        settings.apply_query(uri.query)?;
        Ok((Target::parse(uri.address)?, Options::read(&settings)))
    }
}

impl Transport for Tcp {
    const NAME: &'static str = SCHEME;
    const CAPABILITIES: u64 = abi::SABIR_CAP_TRANSPORT_LISTEN
        | abi::SABIR_CAP_TRANSPORT_CONNECT
        | abi::SABIR_CAP_TRANSPORT_HALF_CLOSE
        | SEND_FILE;
    const REQUIRED_HOST_CAPABILITIES: u64 =
        abi::SABIR_CAP_HOST_REACTOR | abi::SABIR_CAP_HOST_TIMERS | abi::SABIR_CAP_HOST_BLOCKING;
    const CONFIG_SCHEMA: &'static str = CONFIG_SCHEMA;

    fn open(host: Host, config: &str) -> Result<Self> {
        let mut defaults = Settings::new(TABLE);
        defaults.apply_json(config)?;
        Ok(Self { host, defaults })
    }

    fn listen(&self, uri: &str) -> Result<Box<dyn Listener>> {
        let (target, options) = self.target(uri)?;
        Ok(Box::new(TcpListener::open(self.host, target.for_listening()?, options)?))
    }

    fn connect(&self, uri: &str) -> Result<Box<dyn Link>> {
        let (target, options) = self.target(uri)?;
        Ok(Box::new(ConnectingLink::open(self.host, target, options)?))
    }
}

sabir_sdk::plugin! {
    /// What this library answers with.
    pub static PLUGIN: name = "transport-tcp", description = "tcp:// links on the host's reactor",
    transports = [Tcp]
}
