//! Files of hidden states in the cache.

use std::io::Cursor;

use fuzz::Harness;
use trainer_app::activation_cache::files::is_intact;

/// Bytes of numbers of every seed.
const NUMBERS: u64 = 256;

#[test]
fn hidden_states() {
    // Numbers, the magic bytes, and the CRC-32C of the numbers.
    let zeros = [&[0; 256][..], b"bfstates", &0xb872_b190_u32.to_le_bytes()].concat();
    let seeds = [zeros];
    // The checksum is computed with a buffer of 1 MiB.
    Harness { name: "hidden_states", seeds: &seeds, memory: 2 << 20 }.run(|bytes| {
        let is_intact = is_intact(Cursor::new(bytes), NUMBERS).unwrap_or_default();
        assert!(!is_intact || seeds.iter().any(|seed| seed == bytes), "damage is not noticed");
        is_intact
    });
}
