//! The bytes of a file, decompressed, in pieces.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use bzip2::{Decompress, Status};
use flate2::write::MultiGzDecoder;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};
use watershed_core::error::{Error, Result, SqlState};
use zstd::stream::raw::{Decoder, Operation};

use super::Compression;
use crate::error::from_object_store;

/// Bytes that are fetched at a time.
const FETCHED: u64 = 1 << 20;
/// Compressed bytes that are decompressed at a time.
const PIECE: usize = 64 << 10;
/// What one piece may become.
const DECOMPRESSED_MAX: usize = 256 << 20;

/// The bytes of a file from its start, up to `limit` of those that are stored.
pub(super) fn read(
    store: Arc<dyn ObjectStore>,
    file: ObjectMeta,
    compression: Compression,
    limit: u64,
) -> BoxStream<'static, Result<Bytes>> {
    let path = file.location.to_string();
    let fetched = fetched(store, file, limit);
    match Decompressor::new(compression.of(&path)) {
        Ok(None) => fetched,
        Ok(Some(decompressor)) => decompressed(fetched, decompressor, path),
        Err(error) => stream::once(async move { Err(damaged(&path, &error)) }).boxed(),
    }
}

fn fetched(store: Arc<dyn ObjectStore>, file: ObjectMeta, limit: u64) -> BoxStream<'static, Result<Bytes>> {
    let end = file.size.min(limit);
    stream::try_unfold((0_u64, None::<String>), move |(start, tag)| {
        let (store, location) = (Arc::clone(&store), file.location.clone());
        async move {
            if start >= end {
                return Ok::<_, Error>(None);
            }
            let next = end.min(start.saturating_add(FETCHED));
            let options = GetOptions {
                range: Some(GetRange::Bounded(start..next)),
                // All pieces are of one version of the file.
                if_match: tag.clone(),
                ..GetOptions::default()
            };
            let result = store.get_opts(&location, options).await;
            let result = result.map_err(|error| from_object_store(&error))?;
            let tag = tag.or_else(|| result.meta.e_tag.clone());
            let bytes = result.bytes().await.map_err(|error| from_object_store(&error))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let next = start.saturating_add(bytes.len() as u64);
            Ok(Some((bytes, (next, tag))))
        }
    })
    .boxed()
}

fn decompressed(
    fetched: BoxStream<'static, Result<Bytes>>,
    decompressor: Decompressor,
    path: String,
) -> BoxStream<'static, Result<Bytes>> {
    let pieces = fetched.map_ok(|bytes| {
        let count = bytes.len().div_ceil(PIECE);
        stream::iter((0..count).map(move |piece| {
            let start = piece * PIECE;
            Ok::<_, Error>(bytes.slice(start..bytes.len().min(start + PIECE)))
        }))
    });
    let state = (Some(pieces.try_flatten().boxed()), decompressor, path);
    stream::try_unfold(state, |(pieces, mut decompressor, path)| async move {
        let Some(mut pieces) = pieces else {
            return Ok::<_, Error>(None);
        };
        let next = pieces.try_next().await?;
        let ended = next.is_none();
        let bytes = decompressor
            .push(next.as_deref())
            .map_err(|error| damaged(&path, &error))?;
        let pieces = (!ended).then_some(pieces);
        Ok(Some((Bytes::from(bytes), (pieces, decompressor, path))))
    })
    .boxed()
}

fn damaged(path: &str, error: &io::Error) -> Error {
    Error::new(SqlState::DataCorrupted, format!("cannot decompress {path:?}")).with_detail(error.to_string())
}

/// Takes compressed bytes and gives what they become. Several streams in a row are one, and what ends in the middle
/// of one is an error.
enum Decompressor {
    Gzip(Box<MultiGzDecoder<Bounded>>),
    Zstd(ZstdStreams),
    Bzip2(Bzip2Streams),
}

impl Decompressor {
    fn new(compression: Compression) -> io::Result<Option<Self>> {
        Ok(match compression {
            Compression::Auto | Compression::None => None,
            Compression::Gzip => Some(Self::Gzip(Box::new(MultiGzDecoder::new(Bounded::default())))),
            Compression::Zstd => Some(Self::Zstd(ZstdStreams {
                decoder: Decoder::new()?,
                open: false,
            })),
            Compression::Bzip2 => Some(Self::Bzip2(Bzip2Streams {
                decoder: Decompress::new(false),
                open: false,
            })),
        })
    }

    /// `None` is the end of the file.
    fn push(&mut self, bytes: Option<&[u8]>) -> io::Result<Vec<u8>> {
        match (self, bytes) {
            (Self::Gzip(decoder), bytes) => {
                match bytes {
                    Some(bytes) => decoder.write_all(bytes)?,
                    None => decoder.try_finish()?,
                }
                Ok(std::mem::take(&mut decoder.get_mut().0))
            }
            (Self::Zstd(streams), Some(bytes)) => streams.push(bytes),
            (Self::Bzip2(streams), Some(bytes)) => streams.push(bytes),
            (Self::Zstd(ZstdStreams { open, .. }) | Self::Bzip2(Bzip2Streams { open, .. }), None) => {
                match open {
                    true => Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the file ends in the middle of a compressed stream",
                    )),
                    false => Ok(Vec::new()),
                }
            }
        }
    }
}

struct ZstdStreams {
    decoder: Decoder<'static>,
    /// Whether a stream has begun that has not ended.
    open: bool,
}

impl ZstdStreams {
    fn push(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut found = Bounded::default();
        let mut buffer = vec![0; 128 << 10];
        let mut rest = bytes;
        loop {
            let status = self.decoder.run_on_buffers(rest, &mut buffer)?;
            rest = &rest[status.bytes_read..];
            found.write_all(&buffer[..status.bytes_written])?;
            self.open = status.remaining > 0;
            // More may be waiting as long as the buffer was filled.
            if rest.is_empty() && status.bytes_written < buffer.len() {
                return Ok(found.0);
            }
        }
    }
}

struct Bzip2Streams {
    decoder: Decompress,
    open: bool,
}

impl Bzip2Streams {
    fn push(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut found = Bounded::default();
        let mut buffer = vec![0; 128 << 10];
        let mut rest = bytes;
        loop {
            let (taken, given) = (self.decoder.total_in(), self.decoder.total_out());
            let status = self.decoder.decompress(rest, &mut buffer);
            let status = status.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let count = |before: u64, after: u64| usize::try_from(after - before).unwrap_or(usize::MAX);
            let taken = count(taken, self.decoder.total_in());
            let given = count(given, self.decoder.total_out());
            rest = rest.get(taken..).unwrap_or_default();
            found.write_all(buffer.get(..given).unwrap_or_default())?;
            self.open |= taken > 0;
            if status == Status::StreamEnd {
                self.decoder = Decompress::new(false);
                self.open = false;
            } else if given < buffer.len() && (taken == 0 || rest.is_empty()) {
                return Ok(found.0);
            }
            if rest.is_empty() && !self.open {
                return Ok(found.0);
            }
        }
    }
}

/// Bytes up to a bound.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > DECOMPRESSED_MAX {
            return Err(io::Error::other("a small part becomes more than 256 MiB"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Vec<u8> {
        // Repeats itself, so that one piece becomes many.
        (0..3_000_000_u32)
            .flat_map(|number| (number / 7_000).to_le_bytes())
            .collect()
    }

    fn compressed(compression: Compression, plain: &[u8]) -> Vec<u8> {
        match compression {
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(plain, 1).unwrap(),
            _ => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn decompress(compression: Compression, bytes: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let mut decompressor = Decompressor::new(compression)?.unwrap();
        let mut found = Vec::new();
        for piece in bytes.chunks(piece) {
            found.extend(decompressor.push(Some(piece))?);
        }
        found.extend(decompressor.push(None)?);
        Ok(found)
    }

    #[test]
    fn streams_of_all_kinds() {
        let plain = plain();
        for compression in [Compression::Gzip, Compression::Zstd, Compression::Bzip2] {
            let mut bytes = compressed(compression, &plain);
            for piece in [1_000, PIECE] {
                assert!(
                    decompress(compression, &bytes, piece).unwrap() == plain,
                    "{compression:?}"
                );
            }
            let cut = &bytes[..bytes.len() - 20];
            assert!(decompress(compression, cut, PIECE).is_err(), "{compression:?}");
            bytes.extend(compressed(compression, b"second"));
            let two = decompress(compression, &bytes, PIECE).unwrap();
            assert!(
                two.ends_with(b"second") && two.len() == plain.len() + 6,
                "{compression:?}"
            );
            let garbled: Vec<u8> = bytes.iter().map(|byte| byte ^ 0x55).collect();
            assert!(
                decompress(compression, &garbled, PIECE).is_err(),
                "{compression:?}"
            );
        }
    }
}
