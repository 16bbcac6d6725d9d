// SPDX-License-Identifier: Apache-2.0
//! The whole stack over an engine that only remembers: one module per layer.

mod authenticate;
mod authorize;
mod extension;
mod flow;
mod limits;
mod metrics;
mod policy;
mod support;
mod validate;
