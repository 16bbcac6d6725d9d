// SPDX-License-Identifier: Apache-2.0
//! Records in an append-only journal with group commit.
