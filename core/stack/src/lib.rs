// SPDX-License-Identifier: Apache-2.0
//! The tower layers between a session and the engine.
