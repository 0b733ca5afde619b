//! The table format of a checkpoint's index: sorted keys with values, in blocks with checksums, as LevelDB writes it.
//!
//! <https://github.com/google/leveldb/blob/1.23/doc/table_format.md>; TensorFlow has a copy of that code.
//! The crates that read such tables (`sstable`, `rusty-leveldb`) panic on a truncated file, which an interrupted download
//! leaves behind.

use std::collections::BTreeMap;

/// Ends every table.
const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();
/// Two handles of at most 20 bytes, and the magic number.
const FOOTER: usize = 48;
/// The longest key that is read, in bytes. Keys are names of variables; BERT's have at most 90 bytes.
const LONGEST_KEY: usize = 512;
/// Bytes after a block: its compression and its checksum.
const TRAILER: usize = 5;

/// A key and its value.
type Entry = (Vec<u8>, Vec<u8>);

/// All values of a table by key; the error is the reason.
pub(super) fn entries(table: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, String> {
    let cut_short = || "it was cut short".to_owned();
    let footer = table.len().checked_sub(FOOTER).ok_or_else(cut_short)?;
    let (_, mut footer) = table.split_at(footer);
    if !footer.ends_with(&MAGIC) {
        return Err("it does not end as a table does".to_owned());
    }
    // The meta index is not used, but a truncated table has no valid one.
    Handle::read(&mut footer)?.block(table)?;
    let index = Handle::read(&mut footer)?;
    let mut found = BTreeMap::new();
    let mut bytes = 0_usize;
    for (_, handle) in index.block(table)? {
        let handle = Handle::read(&mut &handle[..])?;
        // Blocks do not overlap; an index that repeats one would take very long to read.
        bytes = bytes.saturating_add(handle.size);
        if bytes > table.len() {
            return Err("its blocks overlap".to_owned());
        }
        found.extend(handle.block(table)?);
    }
    Ok(found)
}

/// The position of a block.
struct Handle {
    offset: usize,
    size: usize,
}

impl Handle {
    fn read(bytes: &mut &[u8]) -> Result<Self, String> {
        Ok(Self { offset: varint(bytes)?, size: varint(bytes)? })
    }

    /// The entries of the block, in order.
    fn block(&self, table: &[u8]) -> Result<Vec<Entry>, String> {
        let outside = || format!("it has no block of {} bytes at {}", self.size, self.offset);
        let end = self.offset.checked_add(self.size).ok_or_else(outside)?;
        let contents = table.get(self.offset..end).ok_or_else(outside)?;
        let trailer = table.get(end..).and_then(<[u8]>::first_chunk::<TRAILER>);
        let [compression, checksum @ ..] = *trailer.ok_or_else(outside)?;
        let found = crc32c::crc32c_append(crc32c::crc32c(contents), &[compression]);
        if masked(found) != u32::from_le_bytes(checksum) {
            return Err(format!("the checksum of its block at {} is wrong", self.offset));
        }
        if compression != 0 {
            return Err(format!(
                "its block at {} is compressed, which is not supported",
                self.offset
            ));
        }
        entries_of_block(contents)
    }
}

/// Entries share prefixes of their keys. After them is a list of the offsets of complete keys for binary search, which is
/// not used.
fn entries_of_block(contents: &[u8]) -> Result<Vec<Entry>, String> {
    let damaged = || "a block of it is damaged".to_owned();
    let (rest, restarts) = contents.split_last_chunk::<4>().ok_or_else(damaged)?;
    let restarts = u32::from_le_bytes(*restarts) as usize;
    let end = restarts.checked_mul(4).and_then(|bytes| rest.len().checked_sub(bytes));
    let mut rest = &rest[..end.ok_or_else(damaged)?];

    let mut entries = Vec::new();
    let mut key: Vec<u8> = Vec::new();
    while !rest.is_empty() {
        let (shared, own, value) = (varint(&mut rest)?, varint(&mut rest)?, varint(&mut rest)?);
        if shared > key.len() {
            return Err(damaged());
        }
        key.truncate(shared);
        key.extend(rest.split_off(..own).ok_or_else(damaged)?);
        // A few bytes of a damaged block can repeat a long key many times.
        if key.len() > LONGEST_KEY {
            return Err(format!("a name in it is longer than {LONGEST_KEY} bytes"));
        }
        entries.push((key.clone(), rest.split_off(..value).ok_or_else(damaged)?.to_owned()));
    }
    Ok(entries)
}

fn varint(bytes: &mut &[u8]) -> Result<usize, String> {
    prost::decode_length_delimiter(bytes).map_err(|error| format!("a length in it: {error}"))
}

/// A checksum as it is stored: rotated and shifted, because a checksum over bytes with their own checksum is weak.
pub(super) fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Appends a block, and says where it is.
    fn append(table: &mut Vec<u8>, entries: &[(&[u8], &[u8])], kind: u8) -> Vec<u8> {
        let varint = |length: usize, into: &mut Vec<u8>| {
            prost::encode_length_delimiter(length, into).unwrap();
        };
        let (mut contents, mut last): (Vec<u8>, &[u8]) = (Vec::new(), &[]);
        for (key, value) in entries {
            let shared = last.iter().zip(*key).take_while(|(a, b)| a == b).count();
            for length in [shared, key.len() - shared, value.len()] {
                varint(length, &mut contents);
            }
            contents.extend(&key[shared..]);
            contents.extend(*value);
            last = key;
        }
        // One place to start: the first.
        contents.extend([0, 0, 0, 0, 1, 0, 0, 0]);
        let mut handle = Vec::new();
        varint(table.len(), &mut handle);
        varint(contents.len(), &mut handle);
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&contents), &[kind]);
        table.extend(contents);
        table.push(kind);
        table.extend(masked(checksum).to_le_bytes());
        handle
    }

    /// Ends a table whose blocks have these last keys and places.
    fn end(mut table: Vec<u8>, blocks: &[(Vec<u8>, Vec<u8>)], kind: u8) -> Vec<u8> {
        let blocks: Vec<(&[u8], &[u8])> =
            blocks.iter().map(|(key, handle)| (key.as_slice(), handle.as_slice())).collect();
        let mut footer =
            [append(&mut table, &[], kind), append(&mut table, &blocks, kind)].concat();
        footer.resize(FOOTER - MAGIC.len(), 0);
        [table, footer, MAGIC.to_vec()].concat()
    }

    /// A table as LevelDB's builder makes it, with so many entries a block.
    fn table(entries: &BTreeMap<Vec<u8>, Vec<u8>>, entries_a_block: usize, kind: u8) -> Vec<u8> {
        let mut table = Vec::new();
        let entries: Vec<(&[u8], &[u8])> =
            entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).collect();
        let blocks: Vec<(Vec<u8>, Vec<u8>)> = entries
            .chunks(entries_a_block)
            .map(|entries| {
                (entries[entries.len() - 1].0.to_vec(), append(&mut table, entries, kind))
            })
            .collect();
        end(table, &blocks, kind)
    }

    fn any_entries() -> impl Strategy<Value = BTreeMap<Vec<u8>, Vec<u8>>> {
        let bytes = |lengths| proptest::collection::vec(0..4_u8, lengths);
        proptest::collection::btree_map(bytes(0..6), bytes(0..300), 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn tables_of_many_blocks_are_read(found in any_entries(), entries_a_block in 1..9_usize) {
            prop_assert_eq!(entries(&table(&found, entries_a_block, 0)), Ok(found));
        }

        #[test]
        fn a_table_with_a_changed_bit_is_refused_or_gives_the_same_entries(
            found in any_entries(), place in any::<prop::sample::Index>(), bit in 0..8_u32
        ) {
            let mut bytes = table(&found, 5, 0);
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            // Padding has no checksum.
            if let Ok(read) = entries(&bytes) {
                prop_assert_eq!(read, found);
                prop_assert!(place >= bytes.len() - FOOTER);
            }
        }

        #[test]
        fn a_truncated_table_is_refused(
            found in any_entries(), end in any::<prop::sample::Index>()
        ) {
            let bytes = table(&found, 5, 0);
            prop_assert!(entries(&bytes[..end.index(bytes.len())]).is_err());
        }

        #[test]
        fn random_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = entries(&[&bytes[..], &MAGIC].concat());
            let _ = entries_of_block(&bytes);
        }
    }

    /// Entries share prefixes of their keys, so that 3 bytes can repeat a key as long as a block.
    #[test]
    fn memory_does_not_grow_with_shared_prefixes() {
        let long: Vec<Vec<u8>> =
            (0..2_u8).map(|last| [vec![b'k'; 600], vec![last]].concat()).collect();
        let found: BTreeMap<_, _> = long.into_iter().map(|key| (key, Vec::new())).collect();
        let refused = entries(&table(&found, 2, 0)).unwrap_err();
        assert_eq!(refused, "a name in it is longer than 512 bytes");
    }

    #[test]
    fn an_index_that_repeats_a_block_is_refused() {
        let mut table = Vec::new();
        let value = vec![b'v'; 300];
        let handle = append(&mut table, &[(b"a", &value)], 0);
        let blocks: Vec<(Vec<u8>, Vec<u8>)> =
            (b'a'..=b'z').map(|key| (vec![key], handle.clone())).collect();
        assert_eq!(entries(&end(table.clone(), &blocks, 0)).unwrap_err(), "its blocks overlap");
        assert_eq!(entries(&end(table, &blocks[..1], 0)).unwrap().len(), 1);
    }

    #[test]
    fn compressed_blocks_are_refused() {
        let found = BTreeMap::from([(b"a".to_vec(), b"b".to_vec())]);
        let refused = entries(&table(&found, 1, 1)).unwrap_err();
        assert!(refused.ends_with("is compressed, which is not supported"), "{refused}");
    }
}
