//! Where an external table lies: a file or a folder, on this machine or in a bucket.

use std::sync::Arc;

use datafusion::datasource::listing::ListingTableUrl;
use datafusion::execution::SessionState;
use datafusion::execution::cache::TableScopedPath;
use datafusion::execution::cache::cache_manager::CacheManager;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;
use watershed_core::error::{Error, Result, SqlState};

use crate::error::{from_datafusion, from_object_store};
use crate::session::bucket_url;

/// Files that are looked at to learn a folder's shape.
const FILES_SEEN: usize = 10_000;

/// A location that has been looked at.
#[derive(Debug)]
pub(super) struct Place {
    /// Of a folder, with a trailing slash.
    pub(super) url: Url,
    pub(super) store: Arc<dyn ObjectStore>,
    /// Within the bucket.
    pub(super) path: Path,
    /// The first files of it.
    pub(super) files: Vec<ObjectMeta>,
}

impl Place {
    /// A digest of its files; none if there may be more than were looked at.
    pub(super) fn digest(&self) -> Option<String> {
        (self.files.len() < FILES_SEEN).then(|| {
            super::digest(self.files.iter().map(|file| {
                let tag = file.e_tag.as_deref();
                (file.location.as_ref(), file.size, file.last_modified, tag)
            }))
        })
    }

    /// Finds what `location` names: a path, or a `file://` or `s3://` URL.
    pub(super) async fn find(location: &str, state: &SessionState) -> Result<Self> {
        let place = Self::look(location, state).await?;
        forget_others(&place.files, &state.runtime_env().cache_manager);
        Ok(place)
    }

    async fn look(location: &str, state: &SessionState) -> Result<Self> {
        let url = parse(location)?;
        let bucket = ObjectStoreUrl::parse(bucket_url(&url)).map_err(from_datafusion)?;
        let store = state
            .runtime_env()
            .object_store(&bucket)
            .map_err(from_datafusion)?;
        let path = Path::from_url_path(url.path()).map_err(|error| unusable(location, &error))?;
        if url.path().ends_with('/') || path.as_ref().is_empty() {
            return Self::folder(location, url, store, path).await;
        }
        match store.head(&path).await {
            Ok(file) => Ok(Self {
                url,
                store,
                path,
                files: vec![file],
            }),
            Err(object_store::Error::NotFound { .. }) => Self::folder(location, url, store, path).await,
            // A folder of this machine is no object.
            Err(_) if url.scheme() == "file" => Self::folder(location, url, store, path).await,
            Err(error) => Err(from_object_store(&error)),
        }
    }

    async fn folder(location: &str, mut url: Url, store: Arc<dyn ObjectStore>, path: Path) -> Result<Self> {
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let mut files = Vec::new();
        let mut listing = store.list(Some(&path));
        while let Some(file) = listing.next().await {
            let file = file.map_err(|error| from_object_store(&error))?;
            if file.size > 0 && !is_hidden(&path, &file.location) {
                files.push(file);
            }
            if files.len() >= FILES_SEEN {
                break;
            }
        }
        drop(listing);
        if files.is_empty() {
            return Err(
                Error::new(SqlState::IoError, format!("there are no files at {location:?}"))
                    .with_hint("Check the path, and that the process may read it."),
            );
        }
        Ok(Self {
            url,
            store,
            path,
            files,
        })
    }

    pub(super) fn is_folder(&self) -> bool {
        self.url.path().ends_with('/')
    }

    /// As listings take it. What looks like a pattern in the path is meant as it stands.
    pub(super) fn listing(&self) -> Result<ListingTableUrl> {
        ListingTableUrl::try_new(self.url.clone(), None).map_err(from_datafusion)
    }

    /// The ending of the files that count: one of `usual` if any file has it, else that of the first.
    pub(super) fn extension(&self, usual: &[&str]) -> String {
        let has = |ending: &str| {
            self.files
                .iter()
                .any(|file| file.location.as_ref().ends_with(ending))
        };
        if let Some(ending) = usual.iter().find(|ending| has(ending)) {
            return (*ending).to_owned();
        }
        self.files
            .first()
            .and_then(|file| file.location.extension())
            .map(|ending| format!(".{ending}"))
            .unwrap_or_default()
    }

    /// The `name=value` folders that every file lies in, outermost first, with the values seen.
    pub(super) fn partitions(&self, ending: &str) -> Vec<(String, Vec<String>)> {
        let mut found: Option<Vec<(String, Vec<String>)>> = None;
        let files = self
            .files
            .iter()
            .filter(|file| file.location.as_ref().ends_with(ending));
        for file in files {
            let pairs = pairs(&self.path, &file.location);
            match &mut found {
                None => {
                    found = Some(
                        pairs
                            .into_iter()
                            .map(|(name, value)| (name, vec![value]))
                            .collect(),
                    );
                }
                Some(found) => {
                    // What not all files have is no partition.
                    let same = found
                        .iter()
                        .zip(&pairs)
                        .take_while(|((name, _), (other, _))| name == other)
                        .count();
                    found.truncate(same);
                    for ((_, values), (_, value)) in found.iter_mut().zip(pairs) {
                        values.push(value);
                    }
                }
            }
        }
        found.unwrap_or_default()
    }
}

fn pairs(folder: &Path, file: &Path) -> Vec<(String, String)> {
    let below: Vec<_> = match file.prefix_match(folder) {
        Some(parts) => parts.map(|part| part.as_ref().to_owned()).collect(),
        None => Vec::new(),
    };
    let folders = below.split_last().map_or(&[][..], |(_, folders)| folders);
    folders
        .iter()
        .map_while(|part| part.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Markers and logs that engines leave beside data.
fn is_hidden(folder: &Path, file: &Path) -> bool {
    file.prefix_match(folder).is_some_and(|mut parts| {
        parts.any(|part| {
            let part = part.as_ref();
            part.starts_with('.') || (part.starts_with('_') && !part.contains('=') && part != "_delta_log")
        })
    })
}

/// Reads a location as people write it.
/// Forgets what is remembered of other versions of these files. Who remembers goes by size and time, which two
/// versions of one second may share.
fn forget_others(files: &[ObjectMeta], caches: &CacheManager) {
    let (footers, statistics) = (
        caches.get_file_metadata_cache(),
        caches.get_file_statistic_cache(),
    );
    for file in files {
        let known = footers.get(&file.location);
        if known.is_some_and(|known| known.meta.e_tag != file.e_tag) {
            footers.remove(&file.location);
        }
        let Some(statistics) = &statistics else { continue };
        let path = TableScopedPath {
            table: None,
            path: file.location.clone(),
        };
        let known = statistics.get(&path);
        if known.is_some_and(|known| known.meta.e_tag != file.e_tag) {
            statistics.remove(&path);
        }
    }
}

fn parse(location: &str) -> Result<Url> {
    if location.trim().is_empty() {
        return Err(unusable(location, &"it is empty"));
    }
    if location.contains("://") {
        let url = Url::parse(location).map_err(|error| unusable(location, &error))?;
        return match url.scheme() {
            "file" | "s3" => Ok(url),
            other => Err(unusable(location, &format!("{other}:// is not served"))),
        };
    }
    let path = std::path::absolute(location).map_err(|error| unusable(location, &error))?;
    let made = match location.ends_with('/') || path.is_dir() {
        true => Url::from_directory_path(&path),
        false => Url::from_file_path(&path),
    };
    made.map_err(|()| unusable(location, &"it is no path"))
}

fn unusable(location: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        format!("cannot use the location {location:?}"),
    )
    .with_detail(why.to_string())
    .with_hint("Name a file or folder by its path, or by a file:// or s3:// URL.")
}
