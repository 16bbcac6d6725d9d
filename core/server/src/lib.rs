// SPDX-License-Identifier: Apache-2.0
//! The broker as a library, and the sabir program.
