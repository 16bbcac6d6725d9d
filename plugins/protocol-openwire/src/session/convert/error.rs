// SPDX-License-Identifier: Apache-2.0
//! Why a message cannot cross between OpenWire and the canonical form.

use crate::codec;
use sabir_model::body::BodyError;

/// Why a message cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// Something is missing that a message means nothing without.
    #[error("the message has no {0}")]
    Missing(&'static str),
    /// The properties are no primitive map.
    #[error("the properties of the message are damaged: {0}")]
    Properties(BodyError),
    /// A property that steers delivery cannot be read.
    #[error("the property {name} is not {wanted}")]
    Property {
        /// Its name.
        name: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// Something that a property asks for and this broker does not do.
    #[error("the property {0} is not supported: messages are delivered once, after AMQ_SCHEDULED_DELAY")]
    Schedule(&'static str),
    /// A part of the head is too long.
    #[error("the message's {what} is longer than the {limit_bytes} bytes that it may have")]
    TooLong {
        /// Which.
        what: &'static str,
        /// How long it may be.
        limit_bytes: usize,
    },
    /// Content or properties do not lie in the frame that was handed in.
    #[error("the message's {0} are not in its frame")]
    Detached(&'static str),
    /// The body is in a form that OpenWire does not have.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// What OpenWire alone understands cannot be written.
    #[error("what only OpenWire understands of the message cannot be kept: {0}")]
    Rest(#[from] codec::Error),
}
