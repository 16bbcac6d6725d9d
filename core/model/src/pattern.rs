// SPDX-License-Identifier: Apache-2.0
//! One language of wildcards.
