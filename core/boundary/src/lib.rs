// SPDX-License-Identifier: Apache-2.0
//! What both sides of the plugin boundary share: conversions between the contract's C types and Rust's.
//!
//! The broker (`sabir-host`) and plugins written in Rust (`sabir-sdk`) face each other across the types of
//! `sabir-abi`. Each of them turns Rust values into C ones and back, in both directions; the code for that lives
//! here once. It is compiled into both sides: nothing in here crosses the boundary itself. It knows no reactor, no
//! thread, no file, no loader and no component.
//!
//! ```text
//!   kinds     framings, chunks, flows, matches: the small words as Rust enums
//!   error     the status codes, and errors with their text
//!   slices    borrowed bytes and attributes
//!   owned     reference-counted bytes, without a copy
//!   waker     wakers in both directions, without an allocation
//!   link      calling a link or a listener that lives on the other side
//!   buffers   the memory behind `sabir_out`: verbs to requests, segments to slices
//!   out       how a session fills it
//!   events    replies and deliveries as C arrays
//!   incoming  how a session reads them
//!   batch     store operations as C arrays, and how a store reads them
//!   stats     figures of a store                 item  what a format codec shows of a batch
//! ```

pub mod batch;
pub mod buffers;
pub mod error;
pub mod events;
pub mod incoming;
pub mod item;
pub mod kinds;
pub mod link;
pub mod out;
pub mod owned;
pub mod slices;
pub mod stats;
pub mod waker;

pub use batch::BatchOps;
pub use buffers::{BodyAssembler, Capacities, OutBuffers, Segment, VerbError};
pub use error::{Error, ErrorCode, Result};
pub use events::{DeliveryArray, ReplyArray};
pub use item::{Item, Summary};
pub use kinds::{ChunkInfo, Flow, Framing, Maintenance, Match};
pub use link::{Link, Listener};
pub use slices::Attributes;
pub use stats::Stats;
