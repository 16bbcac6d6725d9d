// SPDX-License-Identifier: Apache-2.0
//! The safe Rust face of the plugin contract.
