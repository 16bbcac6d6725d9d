// SPDX-License-Identifier: Apache-2.0
//! mem:// links inside one process.
