// SPDX-License-Identifier: Apache-2.0
//! mem:// links inside one process, as a shared library.

sabir_sdk::export_plugin!(sabir_transport_mem::PLUGIN);
