//! Random streams by name: one seed drives all of them, and none disturbs another.

use sha2::{Digest, Sha256};

/// The seed of the stream `name` of a run's `seed`: the first eight bytes of SHA-256 over both.
///
/// ```
/// use glue_data::derive_seed;
/// assert_eq!(derive_seed(42, "order/1"), derive_seed(42, "order/1"));
/// assert_ne!(derive_seed(42, "order/1"), derive_seed(42, "order/2"));
/// ```
pub fn derive_seed(seed: u64, name: &str) -> u64 {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}
