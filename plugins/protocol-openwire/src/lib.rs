// SPDX-License-Identifier: Apache-2.0
//! OpenWire, versions 1 to 12: the protocol of ActiveMQ's clients.
//!
//! ```text
//!   codec        frames: bytes to commands, and back; knows nothing else
//! ```

pub mod codec;
