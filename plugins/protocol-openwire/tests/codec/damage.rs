// SPDX-License-Identifier: Apache-2.0
//! Damaged frames: errors, never a panic, and never more memory than the frame's budget.
