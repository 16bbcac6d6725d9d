// SPDX-License-Identifier: Apache-2.0
//! Transports that stand on others, as tls and ws will: they prove that the contract's wrapping has the right shape.
//!
//! | Scheme | Links | What it proves |
//! |---|---|---|
//! | `xor` | 1 to 1, a stream on a stream | bytes change on their way |
//! | `framed` | 1 to 1, messages on a stream | the framing changes; a buffer, and flushing it |
//! | `mux` | 1 to M | one inner link yields several links |
//! | `join` | 2 to 1 | several inner links make one link |
//!
//! They are made for tests: what they cost and how they are tuned is nobody's concern.

mod framed;
mod join;
mod mux;
mod xor;

pub use join::announce as join_announce;
pub use mux::{MuxFrame, encode_frame as mux_frame};

use framed::{Framed, FramedListener};
use join::JoinListener;
use mux::MuxListener;
use sabir_sdk::abi;
use sabir_sdk::transport::{Framing, Link, Listener, Transport};
use sabir_sdk::{Error, ErrorCode, Host, Result};
use xor::{Xor, XorListener};

const WRAPS: u64 = abi::SABIR_CAP_TRANSPORT_WRAP_LISTENER | abi::SABIR_CAP_TRANSPORT_WRAP_LINK;

sabir_sdk::plugin! {
    /// All of them, as one plugin that can be linked statically.
    pub static PLUGIN: name = "testkit-wrapping", description = "transports on other transports, for tests",
    transports = [XorTransport, FramedTransport, MuxTransport, JoinTransport]
}

fn streams_only(inner: Framing, scheme: &str) -> Result<()> {
    if inner == Framing::Stream {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::Unsupported,
        format!("{scheme} stands on streams, not on links with {inner:?}"),
    ))
}

struct XorTransport;

impl Transport for XorTransport {
    const NAME: &'static str = "xor";
    const CAPABILITIES: u64 = WRAPS | abi::SABIR_CAP_TRANSPORT_HALF_CLOSE;

    fn open(_: Host, _: &str) -> Result<Self> {
        Ok(Self)
    }

    fn wrap_listener(&self, inner: Box<dyn Listener>, _: &str) -> Result<Box<dyn Listener>> {
        Ok(Box::new(XorListener(inner)))
    }

    fn wrap_link(&self, inner: Box<dyn Link>, _: &str) -> Result<Box<dyn Link>> {
        Ok(Box::new(Xor::new(inner)?))
    }
}

struct FramedTransport;

impl Transport for FramedTransport {
    const NAME: &'static str = "framed";
    const CAPABILITIES: u64 = WRAPS | abi::SABIR_CAP_TRANSPORT_HALF_CLOSE;

    fn open(_: Host, _: &str) -> Result<Self> {
        Ok(Self)
    }

    fn wrap_listener(&self, inner: Box<dyn Listener>, _: &str) -> Result<Box<dyn Listener>> {
        Ok(Box::new(FramedListener(inner)))
    }

    fn wrap_link(&self, inner: Box<dyn Link>, _: &str) -> Result<Box<dyn Link>> {
        Ok(Box::new(Framed::new(inner)?))
    }
}

struct MuxTransport;

impl Transport for MuxTransport {
    const NAME: &'static str = "mux";
    const CAPABILITIES: u64 = abi::SABIR_CAP_TRANSPORT_WRAP_LISTENER;

    fn open(_: Host, _: &str) -> Result<Self> {
        Ok(Self)
    }

    fn wrap_listener(&self, inner: Box<dyn Listener>, _: &str) -> Result<Box<dyn Listener>> {
        Ok(Box::new(MuxListener::new(inner)))
    }
}

struct JoinTransport;

impl Transport for JoinTransport {
    const NAME: &'static str = "join";
    const CAPABILITIES: u64 = abi::SABIR_CAP_TRANSPORT_WRAP_LISTENER;

    fn open(_: Host, _: &str) -> Result<Self> {
        Ok(Self)
    }

    fn wrap_listener(&self, inner: Box<dyn Listener>, _: &str) -> Result<Box<dyn Listener>> {
        Ok(Box::new(JoinListener::new(inner)))
    }
}
