// SPDX-License-Identifier: Apache-2.0
//! OpenWire, versions 1 to 12, as a shared library.

sabir_sdk::export_plugin!(sabir_protocol_openwire::PLUGIN);
