// SPDX-License-Identifier: Apache-2.0
//! Loads plugins, owns the reactor, turns vtables into Rust objects.
