//! One version of an object, and a store in which there is no other.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use ring::digest::{Context, SHA256};

use super::cache::BlockCache;
use crate::cache::Key;

/// The form of what is kept.
const FORMAT: &str = "block/1";
/// Bytes of a key that say which version it is of; the others are the block's number.
const NAME: usize = 24;

/// A version of an object: what a block is a block of.
#[derive(Debug)]
pub(super) struct Version {
    store: Arc<dyn ObjectStore>,
    pub(super) meta: ObjectMeta,
    /// The object never changes under its name.
    immutable: bool,
    name: [u8; NAME],
}

/// Why bytes are not there.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NotFetched {
    #[error("the object is another version by now")]
    Changed,
    #[error(transparent)]
    Failed(#[from] Arc<object_store::Error>),
}

impl Version {
    /// None of an object that may change and whose versions have no tags: size and time do not tell
    /// versions apart that are of one second.
    pub(super) fn of(
        url: &str,
        store: &Arc<dyn ObjectStore>,
        meta: &ObjectMeta,
        immutable: bool,
        epoch: u64,
    ) -> Option<Self> {
        if !immutable && meta.e_tag.is_none() {
            return None;
        }
        let tag = meta.e_tag.as_ref().filter(|_| !immutable);
        let time = meta.last_modified.timestamp_micros();
        let text = format!(
            "{FORMAT} {url:?} {:?} {} {time} {tag:?} {epoch}",
            meta.location.as_ref(),
            meta.size
        );
        let mut context = Context::new(&SHA256);
        context.update(text.as_bytes());
        let mut name = [0; NAME];
        name.copy_from_slice(&context.finish().as_ref()[..NAME]);
        Some(Self {
            store: Arc::clone(store),
            meta: meta.clone(),
            immutable,
            name,
        })
    }

    pub(super) fn key(&self, block: u64) -> Key {
        let mut key = [0; 32];
        key[..NAME].copy_from_slice(&self.name);
        key[NAME..].copy_from_slice(&block.to_le_bytes());
        Key(key)
    }

    /// Bytes that are of this version for certain.
    pub(super) async fn fetch(&self, range: Range<u64>) -> std::result::Result<Bytes, NotFetched> {
        let length = range.end - range.start;
        let options = GetOptions::new().with_range(Some(range));
        let answer = self.store.get_opts(&self.meta.location, options).await;
        let answer = answer.map_err(Arc::new)?;
        let same = self.immutable || self.meta.e_tag == answer.meta.e_tag;
        if !same || self.meta.size != answer.meta.size {
            return Err(NotFetched::Changed);
        }
        let bytes = answer.bytes().await.map_err(Arc::new)?;
        match bytes.len() as u64 == length {
            true => Ok(bytes),
            false => Err(NotFetched::Changed),
        }
    }
}

/// The object's store as those see it who read this version of it: it is read by way of the cache.
#[derive(Debug)]
pub(super) struct PinnedStore {
    pub(super) version: Arc<Version>,
    pub(super) cache: Arc<BlockCache>,
    /// Bytes that were read and not fetched, so far.
    pub(super) cached: Arc<AtomicUsize>,
}

impl PinnedStore {
    async fn read(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Option<Vec<Bytes>>> {
        if *location != self.version.meta.location {
            return Ok(None);
        }
        let Some((parts, cached)) = self.cache.read(&self.version, ranges).await? else {
            return Ok(None);
        };
        self.cached.fetch_add(cached, Ordering::Relaxed);
        Ok(Some(parts))
    }

    fn store(&self) -> &dyn ObjectStore {
        self.version.store.as_ref()
    }
}

/// It asks for more than bytes.
fn is_special(options: &GetOptions) -> bool {
    let conditional = options.if_match.is_some()
        || options.if_none_match.is_some()
        || options.if_modified_since.is_some()
        || options.if_unmodified_since.is_some();
    conditional || options.version.is_some() || options.head
}

impl fmt::Display for PinnedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.version.meta.location, self.version.store)
    }
}

#[async_trait]
impl ObjectStore for PinnedStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if let Some(GetRange::Bounded(range)) = &options.range
            && !is_special(&options)
            && let Some(parts) = self.read(location, std::slice::from_ref(range)).await?
        {
            return Ok(GetResult {
                payload: GetResultPayload::Stream(stream::iter(parts.into_iter().map(Ok)).boxed()),
                meta: self.version.meta.clone(),
                range: range.clone(),
                attributes: Default::default(),
            });
        }
        self.store().get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match self.read(location, ranges).await? {
            Some(parts) => Ok(parts),
            None => self.store().get_ranges(location, ranges).await,
        }
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.store().put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store().put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store().delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store().list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store().list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store().copy_opts(from, to, options).await
    }
}
