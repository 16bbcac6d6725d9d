// SPDX-License-Identifier: Apache-2.0
//! Links every plugin into one binary.
