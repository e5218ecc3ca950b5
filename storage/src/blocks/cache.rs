//! Reading ranges of an object by blocks: those that are kept, and the others in few requests.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use foyer::{LfuConfig, Spawner};
use futures::future::{BoxFuture, try_join_all};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::sync::OnceCell;
use watershed_core::cluster::CacheFigures;
use watershed_core::telemetry::DATA_CACHE_BYTES;

use super::object::{NotFetched, Version};
use crate::cache::{Activity, Disk, Epochs, Held, Tiers};

/// Bytes of a block: a small request's worth.
const BLOCK: u64 = 128 << 10;
/// Blocks that one request may bring, so that large reads are several beside each other.
const MAX_RUN: u64 = 32;
/// Blocks that nobody asked for and that are fetched all the same, as one request is less than two.
const MAX_GAP: u64 = 2;
/// Blocks that are read from disk at a time, and requests under way, for one reader.
const READS: usize = 32;
const REQUESTS: usize = 8;
/// No read takes more than this part of the cache from the others.
const MAX_PART: usize = 4;
/// Bytes that an entry takes beside its data.
const OVERHEAD: usize = 256;

/// The cache of a process. It is opened when something is first read from an object store.
#[derive(Debug)]
pub struct BlockCache {
    /// Nothing is kept if this is 0.
    memory: usize,
    disk: Option<Disk>,
    epochs: Arc<Epochs>,
    spawner: Spawner,
    /// Hits and misses are of blocks that readers ask for.
    activity: Arc<Activity>,
    kept: OnceCell<Option<Tiers<Bytes>>>,
}

impl BlockCache {
    /// Within a Tokio runtime, which is to last.
    pub(crate) fn new(memory: usize, disk: Option<Disk>, epochs: Arc<Epochs>) -> Self {
        Self {
            memory,
            disk,
            epochs,
            spawner: Spawner::current(),
            activity: Arc::new(Activity::new("data")),
            kept: OnceCell::new(),
        }
    }

    /// In memory alone.
    pub fn in_memory(memory: usize) -> Self {
        Self::new(memory, None, Arc::default())
    }

    /// See [`Epochs`].
    pub(super) fn epoch(&self, path: &str) -> u64 {
        self.epochs.of(path)
    }

    pub(crate) fn clear_memory(&self) {
        if let Some(Some(kept)) = self.kept.get() {
            kept.clear_memory();
        }
    }

    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// What it holds and has done.
    pub fn figures(&self) -> CacheFigures {
        let held = match self.kept.get() {
            Some(Some(kept)) => kept.held(self.memory),
            // It could not be opened.
            Some(None) => Held::default(),
            None => Held {
                max_bytes: self.memory,
                ..Held::default()
            },
        };
        self.activity.figures(held)
    }

    pub(crate) fn measure(&self) {
        if let Some(Some(kept)) = self.kept.get() {
            kept.measure();
        }
    }

    /// Waits until what is kept is on disk.
    pub(crate) async fn close(&self) {
        if let Some(Some(kept)) = self.kept.get() {
            kept.close().await;
        }
    }

    async fn kept(&self) -> Option<&Tiers<Bytes>> {
        if self.memory == 0 {
            return None;
        }
        let open = || async {
            let kept = Tiers::open(
                &self.activity,
                self.memory,
                self.disk.as_ref(),
                LfuConfig::default().into(),
                |block: &Bytes| block.len() + OVERHEAD,
                self.spawner.clone(),
            );
            kept.await
                .inspect_err(|error| tracing::error!(%error, "no data of object stores is kept"))
                .ok()
        };
        self.kept.get_or_init(open).await.as_ref()
    }

    /// Ranges of a version of an object, and how many of their bytes were kept; none if the cache is not
    /// for them, or the object is another version by now.
    pub(super) async fn read(
        &self,
        version: &Arc<Version>,
        ranges: &[Range<u64>],
    ) -> object_store::Result<Option<(Vec<Bytes>, usize)>> {
        let size = version.meta.size;
        if ranges.iter().any(|range| range.is_empty() || range.end > size) {
            return Ok(None);
        }
        let wanted: BTreeSet<u64> = ranges.iter().flat_map(blocks_of).collect();
        let limit = self
            .disk
            .as_ref()
            .map_or(self.memory, |disk| disk.bytes.max(self.memory));
        if wanted.len() as u64 * BLOCK > (limit / MAX_PART) as u64 {
            return Ok(None);
        }
        let Some(kept) = self.kept().await else {
            return Ok(None);
        };
        let lookups = wanted.iter().map(|block| async {
            let found = kept.get(&version.key(*block)).await;
            (*block, found)
        });
        let lookups: Vec<_> = lookups.collect();
        let found: Vec<_> = stream::iter(lookups).buffered(READS).collect().await;
        let mut blocks: BTreeMap<u64, Bytes> = BTreeMap::new();
        let mut missing = Vec::new();
        for (block, bytes) in found {
            match bytes {
                Some(bytes) => drop(blocks.insert(block, bytes)),
                None => missing.push(block),
            }
        }
        self.activity.hit(blocks.len());
        self.activity.missed(missing.len());
        let cached = ranges.iter().map(|range| overlap(range, &blocks)).sum();
        let fetches: Vec<_> = runs(&missing)
            .into_iter()
            .map(|run| fetch(kept, version, run, &blocks))
            .collect();
        let fetches = stream::iter(fetches).buffer_unordered(REQUESTS);
        match fetches.try_collect::<Vec<_>>().await {
            Ok(fetched) => blocks.extend(fetched.into_iter().flatten()),
            Err(error) => {
                return match error.downcast_ref::<NotFetched>() {
                    Some(NotFetched::Failed(error)) => Err(again(error)),
                    // It is read as if there were no cache.
                    Some(NotFetched::Changed) | None => Ok(None),
                };
            }
        }
        let parts: Option<Vec<Bytes>> = ranges.iter().map(|range| cut(range, &blocks)).collect();
        let Some(parts) = parts else { return Ok(None) };
        let asked: usize = parts.iter().map(Bytes::len).sum();
        for (from, bytes) in [("cache", cached), ("store", asked - cached)] {
            DATA_CACHE_BYTES.with_label_values(&[from]).inc_by(bytes as u64);
        }
        Ok(Some((parts, cached)))
    }
}

/// The blocks of a run that are not here, by one request at most: none if others are fetching them.
fn fetch<'a>(
    kept: &'a Tiers<Bytes>,
    version: &Arc<Version>,
    run: Range<u64>,
    here: &BTreeMap<u64, Bytes>,
) -> BoxFuture<'a, foyer::Result<Vec<(u64, Bytes)>>> {
    let start = run.start * BLOCK;
    let end = (run.end * BLOCK).min(version.meta.size);
    let request = {
        let version = Arc::clone(version);
        async move { version.fetch(start..end).await }.boxed().shared()
    };
    let blocks = run.filter(|block| !here.contains_key(block)).map(|block| {
        let (key, request) = (version.key(block), request.clone());
        let place = block * BLOCK - start..((block + 1) * BLOCK).min(end) - start;
        async move {
            let part = async move {
                let bytes = request.await?;
                // Its own bytes: one block shall not keep all of a request's in memory.
                match (usize::try_from(place.start), usize::try_from(place.end)) {
                    (Ok(from), Ok(to)) if to <= bytes.len() => Ok(Bytes::copy_from_slice(&bytes[from..to])),
                    _ => Err(NotFetched::Changed),
                }
            };
            Ok((block, kept.get_or_fetch(&key, part).await?))
        }
    });
    try_join_all(blocks.collect::<Vec<_>>()).boxed()
}

fn blocks_of(range: &Range<u64>) -> Range<u64> {
    range.start / BLOCK..range.end.div_ceil(BLOCK)
}

/// Blocks, ascending, as runs that are fetched by one request each.
fn runs(blocks: &[u64]) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for block in blocks {
        match runs.last_mut() {
            Some(run) if block - run.end <= MAX_GAP && block - run.start < MAX_RUN => run.end = block + 1,
            _ => runs.push(*block..block + 1),
        }
    }
    runs
}

/// How many bytes of a range are in these blocks.
fn overlap(range: &Range<u64>, blocks: &BTreeMap<u64, Bytes>) -> usize {
    let parts = blocks_of(range)
        .filter(|block| blocks.contains_key(block))
        .map(|block| {
            let (start, end) = (block * BLOCK, (block + 1) * BLOCK);
            end.min(range.end) - start.max(range.start)
        });
    usize::try_from(parts.sum::<u64>()).unwrap_or(usize::MAX)
}

/// A range out of its blocks; none if they are not what they should be.
fn cut(range: &Range<u64>, blocks: &BTreeMap<u64, Bytes>) -> Option<Bytes> {
    let part = |block: u64| {
        let bytes = blocks.get(&block)?;
        let start = range.start.saturating_sub(block * BLOCK);
        let end = (range.end - block * BLOCK).min(BLOCK);
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
        (end <= bytes.len()).then(|| bytes.slice(start..end))
    };
    let numbers = blocks_of(range);
    if numbers.end - numbers.start == 1 {
        return part(numbers.start);
    }
    let mut whole = BytesMut::with_capacity(usize::try_from(range.end - range.start).ok()?);
    for number in numbers {
        whole.extend_from_slice(&part(number)?);
    }
    Some(whole.freeze())
}

/// An error that several are told.
fn again(error: &Arc<object_store::Error>) -> object_store::Error {
    let source = Box::new(Arc::clone(error));
    match error.as_ref() {
        object_store::Error::NotFound { path, .. } => object_store::Error::NotFound {
            path: path.clone(),
            source,
        },
        object_store::Error::PermissionDenied { path, .. } => object_store::Error::PermissionDenied {
            path: path.clone(),
            source,
        },
        object_store::Error::Unauthenticated { path, .. } => object_store::Error::Unauthenticated {
            path: path.clone(),
            source,
        },
        _ => object_store::Error::Generic {
            store: "object store",
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_are_near_are_fetched_together() {
        assert_eq!(runs(&[]), Vec::<Range<u64>>::new());
        assert_eq!(runs(&[3, 4, 5]), vec![3..6; 1]);
        assert_eq!(runs(&[0, 3, 7]), [0..4, 7..8]);
        let many: Vec<u64> = (0..70).collect();
        assert_eq!(runs(&many), [0..32, 32..64, 64..70]);
    }

    #[test]
    fn ranges_are_put_together_of_blocks() {
        let data: Vec<u8> = (0..BLOCK * 3 + 10).map(|n| (n % 251) as u8).collect();
        let blocks: BTreeMap<u64, Bytes> = data
            .chunks(BLOCK as usize)
            .enumerate()
            .map(|(number, block)| (number as u64, Bytes::copy_from_slice(block)))
            .collect();
        let size = data.len() as u64;
        for range in [0..1, 5..BLOCK, BLOCK - 1..BLOCK + 1, 7..size, BLOCK * 3..size] {
            let place = range.start as usize..range.end as usize;
            assert_eq!(cut(&range, &blocks).unwrap(), data[place.clone()], "{range:?}");
            assert_eq!(overlap(&range, &blocks), place.len());
        }
        assert_eq!(cut(&(0..size + 1), &blocks), None);
        let some = BTreeMap::from([(1, blocks[&1].clone())]);
        assert_eq!(overlap(&(10..size), &some), BLOCK as usize);
        assert_eq!(cut(&(10..size), &some), None);
    }
}
