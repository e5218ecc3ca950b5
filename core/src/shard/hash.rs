//! The key hash. It is on disk — a file's `_shard` says what it gave — so it never changes:
//! XXH3-64 with seed 0 over a canonical encoding of the key, modulo the number of shards.
//!
//! The encoding starts with a tag for the kind of value, so that all integer widths of one number
//! agree and a number never collides with a text by construction.

use xxhash_rust::xxh3::xxh3_64;

use crate::id::ShardId;

/// Names this hash in the files that were laid out with it.
pub const HASH_VERSION: &str = "xxh3-1";

/// A value of a shard key. Integers of any width and dates are `Int`; NULL is a key like any other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Key<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// The shard of `key` among `shards`.
pub fn shard_of(key: Key<'_>, shards: u32) -> ShardId {
    match key {
        Key::Null => reduce(xxh3_64(&[0]), shards),
        Key::Bool(value) => reduce(xxh3_64(&[1, u8::from(value)]), shards),
        Key::Int(value) => shard_of_i64(value, shards),
        Key::Text(value) => shard_of_str(value, shards),
        Key::Bytes(value) => tagged(4, value, shards),
    }
}

/// [`shard_of`] for an integer key.
pub fn shard_of_i64(value: i64, shards: u32) -> ShardId {
    let mut encoded = [2; 9];
    encoded[1..].copy_from_slice(&value.to_le_bytes());
    reduce(xxh3_64(&encoded), shards)
}

/// [`shard_of`] for a text key.
pub fn shard_of_str(value: &str, shards: u32) -> ShardId {
    tagged(3, value.as_bytes(), shards)
}

fn tagged(tag: u8, bytes: &[u8], shards: u32) -> ShardId {
    const INLINE: usize = 63;
    let hash = if bytes.len() <= INLINE {
        let mut encoded = [tag; INLINE + 1];
        encoded[1..=bytes.len()].copy_from_slice(bytes);
        xxh3_64(&encoded[..=bytes.len()])
    } else {
        let mut encoded = Vec::with_capacity(bytes.len() + 1);
        encoded.push(tag);
        encoded.extend_from_slice(bytes);
        xxh3_64(&encoded)
    };
    reduce(hash, shards)
}

fn reduce(hash: u64, shards: u32) -> ShardId {
    // The remainder is below `shards`, so it fits.
    #[expect(clippy::cast_possible_truncation, reason = "a remainder of a u32")]
    let shard = (hash % u64::from(shards.max(1))) as ShardId;
    shard
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden vectors, checked against the reference implementation. A change here makes every
    /// stored table unreadable by shard.
    #[test]
    fn frozen() {
        let got: Vec<_> = [
            Key::Null,
            Key::Bool(false),
            Key::Bool(true),
            Key::Int(0),
            Key::Int(1),
            Key::Int(-1),
            Key::Int(i64::MAX),
            Key::Text(""),
            Key::Text("event-1"),
            Key::Text("größer"),
            Key::Bytes(b"event-1"),
        ]
        .into_iter()
        .map(|key| shard_of(key, 1 << 16))
        .collect();
        assert_eq!(got, GOLDEN);
        let long = "x".repeat(200);
        assert_eq!(shard_of(Key::Text(&long), 1 << 16), GOLDEN_LONG);
    }

    const GOLDEN: [u32; 11] = [
        60635, 30400, 26099, 57575, 23831, 27749, 41947, 61421, 16115, 58949, 5440,
    ];
    const GOLDEN_LONG: u32 = 36692;

    #[test]
    fn spreads_evenly() {
        let mut counts = [0_u32; 16];
        for key in 0..16_000 {
            counts[shard_of_i64(key, 16) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
    }
}
