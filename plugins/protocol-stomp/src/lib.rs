// SPDX-License-Identifier: Apache-2.0
//! STOMP 1.0, 1.1 and 1.2.
//!
//! ```text
//!   codec        frames: bytes to heads and bodies, and back; knows nothing else
//!   destination  what clients call destinations, and what they mean here
//!   session      one connection: frames to verbs, deliveries to frames
//!   settings     every bound that a client can reach, by name
//!   plugin       recognises STOMP and opens sessions
//! ```
//!
//! What is supported, header by header, is in `docs/stomp.md`. Without the feature `plugin` the crate is the codec
//! alone.

pub mod codec;

#[cfg(feature = "plugin")]
pub mod destination;
#[cfg(feature = "plugin")]
mod log;
#[cfg(feature = "plugin")]
mod plugin;
#[cfg(feature = "plugin")]
mod session;
#[cfg(feature = "plugin")]
mod settings;

#[cfg(feature = "plugin")]
pub use plugin::Stomp;
#[cfg(feature = "plugin")]
pub use session::StompSession;

#[cfg(feature = "plugin")]
sabir_sdk::plugin! {
    pub static PLUGIN:
    name = "protocol-stomp",
    description = "STOMP 1.0, 1.1 and 1.2",
    protocols = [Stomp],
}
