// SPDX-License-Identifier: Apache-2.0
//! Records in an append-only journal with group commit, as a shared library.

sabir_sdk::export_plugin!(sabir_store_journal::PLUGIN);
