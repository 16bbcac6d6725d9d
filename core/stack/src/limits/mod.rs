// SPDX-License-Identifier: Apache-2.0
//! Bounds on what one session may make and hold, each with a name and a setting.

mod layer;
mod service;
mod settings;

pub use layer::LimitsLayer;
pub use service::Limited;
pub use settings::Limits;
