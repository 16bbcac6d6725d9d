// SPDX-License-Identifier: Apache-2.0
//! Random numbers from a seed that is printed, so that a failure can be repeated.

/// A generator (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From `SABIR_SEED`, or from the clock; the seed is printed, which the test runner shows on failure.
    pub fn from_environment() -> Random {
        let seed = match std::env::var("SABIR_SEED") {
            Ok(text) => text.parse().expect("SABIR_SEED is a number"),
            Err(_) => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                now.expect("the clock is past 1970").as_nanos() as u64
            }
        };
        println!("SABIR_SEED={seed}");
        Random(seed)
    }

    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.any() % bound
    }
}
