//! Where an external table lies: a file, a folder or a pattern, on this machine or in a bucket.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use datafusion::execution::SessionState;
use datafusion::execution::cache::cache_manager::CacheManager;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;
use watershed_core::error::{Error, Result, SqlState};

use super::glob::{Glob, is_pattern};
use crate::error::{from_datafusion, from_object_store};
use crate::session::bucket_url;

/// Up to so many files have a digest, so that results over them are cached.
const FILES_DIGESTED: usize = 10_000;
/// Files that one table may have.
const FILES_MAX: usize = 1_000_000;

/// A location that has been looked at.
#[derive(Debug)]
pub(super) struct Place {
    /// Of a folder, with a trailing slash.
    pub(super) url: Url,
    pub(super) store: Arc<dyn ObjectStore>,
    /// Within the bucket; of a pattern, the folder that all matches lie in.
    pub(super) path: Path,
    pub(super) files: Vec<ObjectMeta>,
    /// Whether a pattern chose the files.
    matched: bool,
}

impl Place {
    /// A digest of its files; none of too many.
    pub(super) fn digest(&self) -> Option<String> {
        (self.files.len() <= FILES_DIGESTED).then(|| {
            super::digest(self.files.iter().map(|file| {
                let tag = file.e_tag.as_deref();
                (file.location.as_ref(), file.size, file.last_modified, tag)
            }))
        })
    }

    /// The bucket or file system that it lies in.
    pub(super) fn bucket(&self) -> Url {
        bucket_url(&self.url)
    }

    /// Finds what `location` names: a path, or a `file://` or `s3://` URL. Names that look like patterns are
    /// patterns unless there is something of that very name.
    pub(super) async fn find(location: &str, state: &SessionState) -> Result<Self> {
        let mut place = match Self::look(location, state).await {
            Err(error) if error.code() == SqlState::IoError && is_pattern(location) => {
                Self::matching(location, state).await?
            }
            found => found?,
        };
        if place.url.scheme() == "file" {
            place.files = with_changes(place.files).await?;
        }
        forget_others(&place.files, &state.runtime_env().cache_manager);
        Ok(place)
    }

    async fn look(location: &str, state: &SessionState) -> Result<Self> {
        let url = parse(location)?;
        let store = store_of(&url, state)?;
        let path = Path::from_url_path(url.path()).map_err(|error| unusable(location, &error))?;
        if url.path().ends_with('/') || path.as_ref().is_empty() {
            return Self::folder(location, url, store, path, None).await;
        }
        match store.head(&path).await {
            Ok(file) => Ok(Self {
                url,
                store,
                path,
                files: vec![file],
                matched: false,
            }),
            Err(object_store::Error::NotFound { .. }) => Self::folder(location, url, store, path, None).await,
            // A folder of this machine is no object.
            Err(_) if url.scheme() == "file" => Self::folder(location, url, store, path, None).await,
            Err(error) => Err(from_object_store(&error)),
        }
    }

    async fn matching(location: &str, state: &SessionState) -> Result<Self> {
        let (mut url, pattern) = split(location)?;
        let glob =
            Glob::parse(&pattern).ok_or_else(|| unusable(location, &"the pattern has too many choices"))?;
        let base = glob.base();
        let store = store_of(&url, state)?;
        match url.path_segments_mut() {
            Ok(mut segments) => {
                segments.clear().extend(&base).push("");
            }
            Err(()) => return Err(unusable(location, &"it is no path")),
        }
        let path = Path::from_url_path(url.path()).map_err(|error| unusable(location, &error))?;
        Self::folder(location, url, store, path, Some(&glob)).await
    }

    async fn folder(
        location: &str,
        mut url: Url,
        store: Arc<dyn ObjectStore>,
        path: Path,
        glob: Option<&Glob>,
    ) -> Result<Self> {
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let (mut files, mut empty) = (Vec::new(), Vec::new());
        let mut listing = store.list(Some(&path));
        while let Some(file) = listing.next().await {
            let file = file.map_err(|error| from_object_store(&error))?;
            let matches = || match glob {
                None => true,
                Some(glob) => {
                    let names: Vec<_> = file
                        .location
                        .parts()
                        .map(|part| part.as_ref().to_owned())
                        .collect();
                    glob.matches(&names.iter().map(String::as_str).collect::<Vec<_>>())
                }
            };
            if !is_hidden(&path, &file.location) && matches() {
                match file.size {
                    0 => empty.push(file),
                    _ => files.push(file),
                }
            }
            if files.len().max(empty.len()) > FILES_MAX {
                return Err(Error::new(
                    SqlState::InsufficientResources,
                    format!("there are more than {FILES_MAX} files at {location:?}"),
                )
                .with_hint("Name a folder or a pattern with fewer files."));
            }
        }
        drop(listing);
        // Writers leave empty files beside others as marks. Empty files alone are a table without rows.
        if files.is_empty() {
            files = empty;
        }
        if files.is_empty() {
            return Err(
                Error::new(SqlState::IoError, format!("there are no files at {location:?}"))
                    .with_hint("Check the path, and that the process may read it."),
            );
        }
        // The order of listings is not the same everywhere, and the first file may decide.
        files.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(Self {
            url,
            store,
            path,
            files,
            matched: glob.is_some(),
        })
    }

    pub(super) fn is_folder(&self) -> bool {
        self.url.path().ends_with('/')
    }

    /// Leaves out the logs of Delta tables within a tree. The files of a Delta table itself are no rows by themselves:
    /// its log says which of them count.
    pub(super) fn without_delta_log(mut self, location: &str) -> Result<Self> {
        let is_log = |part: object_store::path::PathPart<'_>| part.as_ref() == DELTA_LOG;
        let is_delta_table = !self.matched
            && self.files.iter().any(|file| {
                let below = file.location.prefix_match(&self.path);
                below.and_then(|mut parts| parts.next()).is_some_and(is_log)
            });
        if is_delta_table {
            return Err(Error::new(
                SqlState::WrongObjectType,
                format!("{location:?} is a Delta table"),
            )
            .with_hint(format!(
                "Read it with delta_scan('{location}') or STORED AS DELTA."
            )));
        }
        self.files.retain(|file| !file.location.parts().any(is_log));
        Ok(self)
    }

    /// Leaves the files that count: those with one of the `endings`. Without any such file, and unless the ending was
    /// asked for, those that end as the first does. What a pattern or a file's own name chose stays.
    pub(super) fn with_endings(mut self, endings: &[String], asked: bool) -> Self {
        if !self.is_folder() || (self.matched && !asked) {
            return self;
        }
        let counts = |file: &ObjectMeta| {
            let name = file.location.filename().unwrap_or_default().to_ascii_lowercase();
            endings.iter().any(|ending| name.ends_with(ending))
        };
        if asked || self.files.iter().any(counts) {
            self.files.retain(counts);
        } else {
            let ending = self.files.first().and_then(|file| file.location.extension());
            let ending = ending.map(str::to_owned);
            self.files
                .retain(|file| file.location.extension() == ending.as_deref());
        }
        self
    }
}

/// Adds the time of the last change to the tags of files of this machine. Their size and time of writing may be those
/// of another content: who writes a file can set these, but not the time of the change.
async fn with_changes(mut files: Vec<ObjectMeta>) -> Result<Vec<ObjectMeta>> {
    let tagged = tokio::task::spawn_blocking(move || {
        for file in &mut files {
            let path = std::path::Path::new("/").join(file.location.as_ref());
            // A file that is gone by now fails when it is read.
            let Ok(found) = std::fs::metadata(&path) else {
                continue;
            };
            let tag = file.e_tag.take().unwrap_or_default();
            file.e_tag = Some(format!("{tag}-{}.{:09}", found.ctime(), found.ctime_nsec()));
        }
        files
    });
    tagged
        .await
        .map_err(|error| Error::internal("looking at files failed").with_detail(error.to_string()))
}

/// The folder of a Delta table's log.
const DELTA_LOG: &str = "_delta_log";

fn store_of(url: &Url, state: &SessionState) -> Result<Arc<dyn ObjectStore>> {
    let bucket = ObjectStoreUrl::parse(bucket_url(url)).map_err(from_datafusion)?;
    state.runtime_env().object_store(&bucket).map_err(from_datafusion)
}

/// The root of a pattern's bucket or file system, and the pattern below it. Signs such as `?` are part of the
/// pattern here, and would not be of a URL.
fn split(location: &str) -> Result<(Url, String)> {
    let (root, pattern) = match location.split_once("://") {
        Some(("file", path)) => ("file:///".to_owned(), path.to_owned()),
        Some((scheme, rest)) => {
            let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
            (format!("{scheme}://{bucket}/"), path.to_owned())
        }
        None => {
            let path = std::path::absolute(location).map_err(|error| unusable(location, &error))?;
            ("file:///".to_owned(), path.to_string_lossy().into_owned())
        }
    };
    Ok((parse(&root)?, pattern))
}

/// Markers and logs that engines leave beside data.
fn is_hidden(folder: &Path, file: &Path) -> bool {
    file.prefix_match(folder).is_some_and(|mut parts| {
        parts.any(|part| {
            let part = part.as_ref();
            part.starts_with('.') || (part.starts_with('_') && !part.contains('=') && part != DELTA_LOG)
        })
    })
}

/// Forgets the footers of other versions of these files. They are found by size and time, which two versions of
/// one second may share.
fn forget_others(files: &[ObjectMeta], caches: &CacheManager) {
    let footers = caches.get_file_metadata_cache();
    for file in files {
        let known = footers.get(&file.location);
        if known.is_some_and(|known| known.meta.e_tag != file.e_tag) {
            footers.remove(&file.location);
        }
    }
}

/// Reads a location as people write it.
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
