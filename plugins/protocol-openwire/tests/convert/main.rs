// SPDX-License-Identifier: Apache-2.0
//! OpenWire's messages to the canonical form and back, and what becomes of them between OpenWire and STOMP.

#[path = "../codec/counting.rs"]
mod counting;
#[path = "../codec/frames.rs"]
mod frames;

mod bodies;
mod generated;
mod ids;
mod labels;
mod properties;
mod refused;
mod roundtrip;
mod support;
