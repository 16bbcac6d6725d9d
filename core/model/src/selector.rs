// SPDX-License-Identifier: Apache-2.0
//! The SQL-92 conditions of JMS.
