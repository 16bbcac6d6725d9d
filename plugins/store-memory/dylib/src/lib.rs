// SPDX-License-Identifier: Apache-2.0
//! Records in memory: for tests and brokers that may forget, as a shared library.

sabir_sdk::export_plugin!(sabir_store_memory::PLUGIN);
