//! Bytes made wrong: a little, so that they get far, or altogether.

use arrow_flight::sql::Any;
use prost::Message;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// What a server takes in one message is more than enough to be too much.
const LONG: usize = 200_000;
const DEEP: usize = 2_000;

/// A wrong version of `bytes`, which are of a kind with those in `others`.
pub fn wrong(random: &mut StdRng, bytes: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let mut wrong = bytes.to_vec();
    for _ in 0..random.random_range(1..=3) {
        wrong = once(random, wrong, others);
    }
    wrong
}

fn once(random: &mut StdRng, mut bytes: Vec<u8>, others: &[Vec<u8>]) -> Vec<u8> {
    let other = others.choose(random).cloned().unwrap_or_default();
    let at = random.random_range(0..=bytes.len());
    match random.random_range(0..10) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
        2 => bytes.truncate(at),
        3 => {
            let from = random.random_range(0..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        // A length, or any other number, of which there is no such.
        4 => {
            let number = [0xff_u8, 0xff, 0xff, 0xff, 0x7f];
            let end = bytes.len().min(at + random.random_range(0..5));
            bytes.splice(at..end, number);
        }
        5 => {
            let end = bytes.len().min(at + random.random_range(1..16));
            let piece = bytes[at..end].to_vec();
            let times = random.random_range(1..=LONG / 16);
            bytes.splice(at..at, piece.repeat(times));
        }
        6 => bytes.insert(at, random.random()),
        7 => return within(random, &bytes, others),
        8 => return other_type(random, &bytes, &other),
        _ => {
            let depth = random.random_range(1..=DEEP);
            return nested(bytes, depth);
        }
    }
    bytes
}

/// The message inside, made wrong, so that the outer one is still right.
fn within(random: &mut StdRng, bytes: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let Ok(mut any) = Any::decode(bytes) else {
        return bytes.to_vec();
    };
    let inside: Vec<_> = others
        .iter()
        .filter_map(|other| Any::decode(other.as_slice()).ok())
        .collect();
    let inside: Vec<_> = inside.into_iter().map(|any| any.value.to_vec()).collect();
    any.value = wrong(random, &any.value, &inside).into();
    any.encode_to_vec()
}

/// One message under another's name, or under a name that there is not.
fn other_type(random: &mut StdRng, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let (Ok(mut any), Ok(other)) = (Any::decode(bytes), Any::decode(other)) else {
        return other.to_vec();
    };
    any.type_url = match random.random_range(0..4) {
        0 => "type.googleapis.com/google.protobuf.Any".to_owned(),
        1 => any.type_url.repeat(random.random_range(2..100)),
        _ => other.type_url,
    };
    any.encode_to_vec()
}

/// Messages in messages in messages.
fn nested(bytes: Vec<u8>, depth: usize) -> Vec<u8> {
    let mut inner = bytes;
    for _ in 0..depth {
        if inner.len() > LONG {
            break;
        }
        inner = Any {
            type_url: "type.googleapis.com/google.protobuf.Any".to_owned(),
            value: inner.into(),
        }
        .encode_to_vec();
    }
    inner
}

/// A text made wrong, which is still a text.
pub fn wrong_text(random: &mut StdRng, text: &str, others: &[&str]) -> String {
    const PIECES: [&str; 16] = [
        "'",
        "\"",
        "(",
        ")",
        "%",
        "_",
        "\\",
        "/*",
        "--",
        ";",
        "$9",
        "?",
        " NULL ",
        " SELECT ",
        "\u{0}",
        "\u{1F600}",
    ];
    let mut wrong: Vec<char> = text.chars().collect();
    for _ in 0..random.random_range(1..=3) {
        let at = random.random_range(0..=wrong.len());
        let end = wrong.len().min(at + random.random_range(0..8));
        match random.random_range(0..5) {
            0 => drop(wrong.drain(at..end)),
            1 => {
                let piece = PIECES.choose(random).unwrap_or(&"");
                wrong.splice(at..at, piece.chars());
            }
            2 => {
                let piece = wrong[at..end].to_vec();
                wrong.splice(at..at, piece.repeat(random.random_range(1..300)));
            }
            3 => {
                let other: Vec<char> = others.choose(random).unwrap_or(&"").chars().collect();
                let from = random.random_range(0..=other.len());
                wrong.truncate(at);
                wrong.extend_from_slice(&other[from..]);
            }
            _ => {
                let piece = PIECES.choose(random).unwrap_or(&"");
                wrong.splice(at..at, piece.repeat(random.random_range(1..LONG / 8)).chars());
            }
        }
    }
    wrong.into_iter().collect()
}
