// SPDX-License-Identifier: Apache-2.0
//! The reader of KahaDB, as a shared library.

sabir_sdk::export_plugin!(sabir_transport_kahadb::PLUGIN);
