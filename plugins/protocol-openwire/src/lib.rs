// SPDX-License-Identifier: Apache-2.0
//! OpenWire, versions 1 to 12: the protocol of ActiveMQ's clients.
//!
//! ```text
//!   codec        frames: bytes to commands, and back; knows nothing else
//!   session      one connection: commands to verbs, deliveries to commands
//!   settings     every bound that a client can reach, by name
//!   plugin       recognises OpenWire and opens sessions
//! ```
//!
//! What is supported, command by command, is in `docs/openwire.md`. Without the feature `plugin` the crate is the codec
//! alone.

pub mod codec;

#[cfg(feature = "plugin")]
mod log;
#[cfg(feature = "plugin")]
mod plugin;
#[cfg(feature = "plugin")]
mod session;
#[cfg(feature = "plugin")]
mod settings;

#[cfg(feature = "plugin")]
pub use plugin::OpenWire;
#[cfg(feature = "plugin")]
pub use session::OpenWireSession;
/// For tests and measurements.
#[cfg(feature = "plugin")]
#[doc(hidden)]
pub use session::convert;

#[cfg(feature = "plugin")]
sabir_sdk::plugin! {
    pub static PLUGIN:
    name = "protocol-openwire",
    description = "OpenWire, versions 1 to 12",
    protocols = [OpenWire],
}
