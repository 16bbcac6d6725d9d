// SPDX-License-Identifier: Apache-2.0
//! STOMP 1.0, 1.1 and 1.2, as a shared library.

sabir_sdk::export_plugin!(sabir_protocol_stomp::PLUGIN);
