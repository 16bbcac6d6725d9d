// SPDX-License-Identifier: Apache-2.0
//! What every transport must do, contract by contract, whoever wrote it and in whatever language.
//!
//! The suite drives a transport through the host alone, as the broker does: it knows no plugin and no medium. A
//! [`Subject`] says how to open the transport's addresses and what its links can do; what they cannot do is skipped,
//! never failed. [`run`] gives a [`Report`](crate::Report) with one case per contract; the ids are stable.
//!
//! ```text
//!   subject    the transport that is looked at, and how to reach it
//!   run        one case after another, each with its time
//!   end        one end of a link, with futures instead of polls
//!   bell       a waker that counts
//!   addresses  accepting  bytes  ending  pressure  waking  messages  files  standing     the contracts
//!   wrapping   transports that stand on others, to prove that the contract lets them
//! ```

mod accepting;
mod addresses;
mod bell;
mod bytes;
mod end;
mod ending;
mod files;
mod messages;
mod pressure;
mod run;
mod standing;
mod subject;
mod waking;
pub mod wrapping;

pub use run::run;
pub use subject::{Profile, Subject};
