// SPDX-License-Identifier: Apache-2.0
//! The frames of STOMP 1.0, 1.1 and 1.2, without input or output.
//!
//! ```text
//!   bytes ──▶ Decoder::decode ──▶ Decoded { Frame | Body | EndOfLines | Incomplete }
//!   bytes ◀── FrameWriter ◀── command, headers, body
//! ```
//!
//! It serves both ends of a connection: the broker's session in this crate, and clients that only want the codec
//! (this crate without its default feature). It knows neither sessions nor brokers nor the plugin contract; what a
//! header means is not its business, save for `content-length`, which says where a frame ends.
//!
//! Specifications: <https://stomp.github.io/stomp-specification-1.0.html>, `-1.1.html`, `-1.2.html`.

mod command;
mod decoder;
mod encoder;
mod header;
mod heartbeat;
mod version;

pub use command::Command;
pub use decoder::{Body, Decoded, Decoder, Frame, FrameError, Head, Limits};
pub use encoder::{FrameWriter, Sink};
pub use header::HeaderName;
pub use heartbeat::{HeartBeat, HeartBeatError};
pub use version::{Escapes, Version};
