// SPDX-License-Identifier: Apache-2.0
//! OpenWire's messages to the canonical form, and back. It knows the codec and the model, and nothing of connections.
//!
//! ```text
//!   codec::Message ──to_publish──▶ head, and where the body lies in the frame
//!   delivery ──to_message──▶ codec::Message, and what stands in front of the body
//!
//!   publish, dispatch   the two directions
//!   property            what properties say to the broker, and what it adds to them
//!   message_id          JMSMessageID, and the ids of other protocols
//!   destination         physical names, and the text form
//!   rest                what OpenWire alone understands
//!   names               ids and destinations that come again and again
//! ```
//!
//! Bodies and properties pass as they are: what Java writes is the canonical form unless a text holds NUL or a character
//! beyond U+FFFF. Such properties are converted; such bodies stay in Java's form (`sabir_model::body`), and so do those
//! that are compressed, until somebody of another protocol wants them.

mod destination;
mod dispatch;
mod error;
mod message_id;
mod names;
mod property;
mod publish;
mod rest;

pub use dispatch::{ContentPlan, goes_as_it_is, to_message};
pub use error::ConvertError;
pub use names::Names;
pub use publish::{BodyPlace, to_publish, to_publish_behind};

/// The namespace of the annotation for what OpenWire alone understands.
pub const ANNOTATION: &str = "openwire";
