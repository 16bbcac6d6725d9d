// SPDX-License-Identifier: Apache-2.0
//! tcp:// links on the host's reactor, as a shared library.

sabir_sdk::export_plugin!(sabir_transport_tcp::PLUGIN);
