// SPDX-License-Identifier: Apache-2.0
//! The contract between the broker and its plugins, version 1, in C types.
//!
//! This crate is the source of `c-include/sabir_plugin.h`. It holds `repr(C)` types and constants only: no
//! dependency, no code. Rust authors use `sabir-sdk`, which makes these types safe; C authors use the header.
//! The rules in prose, and how the contract may grow, are in `docs/plugin-abi.md`.
//!
//! **Words used on every item.** *Borrowed*: valid until the call returns (or as long as the text says); the
//! receiver must not keep it. *Owned*: passes to the receiver, who releases it. *Since*: the first minor version
//! of the ABI that has the item. *Reactor thread*: a thread of the host that must never block.
//!
//! **Append-only.** Within a major version, structs grow at their end only, and constants are only added. A
//! reader checks `struct_size` (for arrays: the stride) before it touches a field, and a function pointer for
//! NULL before it calls it.
//!
//! ```text
//!   types      slices, owned bytes, wakers, status, errors, attributes
//!   plugin     the descriptor, its components, the entry point
//!   host       the table of functions that the host gives to a plugin
//!   transport  listeners and links
//!   protocol   sessions: bytes in, verbs out, deliveries in, bytes out
//!   codec      formats of stream batches
//!   store      logs, sequence numbers, batches, keys
//! ```
#![allow(non_camel_case_types)]
#![no_std]

mod codec;
mod host;
mod plugin;
mod protocol;
mod store;
mod transport;
mod types;

pub use codec::*;
pub use host::*;
pub use plugin::*;
pub use protocol::*;
pub use store::*;
pub use transport::*;
pub use types::*;
