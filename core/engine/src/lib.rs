// SPDX-License-Identifier: Apache-2.0
//! Routing, queues and transactions: a deterministic state machine.
