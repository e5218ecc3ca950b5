//! A folder as an object store whose objects outlive a loss of power once they are acknowledged.
//!
//! `LocalFileSystem` of `object_store` 0.13 never syncs, and has no option for it. An object is written here under a
//! temporary name, synced, given its name, and then the folders are synced that lead to it: an object under its name is
//! complete, and an acknowledged object is durable.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

/// The name of the store in errors.
const NAME: &str = "LocalFileSystem";

/// A file system whose objects are synced.
#[derive(Debug, Clone)]
pub(super) struct SyncedFolders {
    inner: Arc<LocalFileSystem>,
}

impl SyncedFolders {
    pub(super) fn new() -> Self {
        Self {
            inner: Arc::new(LocalFileSystem::new()),
        }
    }

    /// How many folders around an object have to be synced for its name to stay: those that are to be made, and the one
    /// that holds them.
    fn new_folders(&self, location: &Path) -> Result<usize> {
        let path = self.inner.path_to_filesystem(location)?;
        Ok(missing_folders(&Disk, &path) + 1)
    }

    /// Syncs a file that has its name already, and the innermost folders around it.
    async fn sync(&self, location: &Path, folders: usize) -> Result<()> {
        let path = self.inner.path_to_filesystem(location)?;
        blocking(move || {
            Disk.sync_file(&path)?;
            sync_folders(&Disk, &path, folders)
        })
        .await?
        .map_err(failed)
    }
}

impl fmt::Display for SyncedFolders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for SyncedFolders {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return self.inner.put_opts(location, payload, options).await,
        };
        if !options.attributes.is_empty() {
            // It says that it has none.
            return self.inner.put_opts(location, payload, options).await;
        }
        let path = self.inner.path_to_filesystem(location)?;
        let written = blocking(move || write(&Disk, &path, &payload, create)).await?;
        written.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists if create => object_store::Error::AlreadyExists {
                path: location.to_string(),
                source: Box::new(error),
            },
            _ => failed(error),
        })?;
        let meta = self.inner.head(location).await?;
        Ok(PutResult {
            e_tag: meta.e_tag,
            version: None,
        })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(SyncedUpload {
            new_folders: self.new_folders(location)?,
            upload: self.inner.put_multipart_opts(location, options).await?,
            folders: self.clone(),
            location: location.clone(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // A deleted object that comes back is one that nothing names any more.
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let folders = self.new_folders(to)?;
        self.inner.copy_opts(from, to, options).await?;
        self.sync(to, folders).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let folders = self.new_folders(to)?;
        self.inner.rename_opts(from, to, options).await?;
        self.sync(to, folders).await
    }
}

/// An object that comes in parts: it is acknowledged when all of it is synced.
#[derive(Debug)]
struct SyncedUpload {
    upload: Box<dyn MultipartUpload>,
    folders: SyncedFolders,
    new_folders: usize,
    location: Path,
}

#[async_trait]
impl MultipartUpload for SyncedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.upload.complete().await?;
        self.folders.sync(&self.location, self.new_folders).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|source| object_store::Error::JoinError { source })
}

fn failed(error: io::Error) -> object_store::Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => object_store::Error::PermissionDenied {
            path: String::new(),
            source: Box::new(error),
        },
        _ => object_store::Error::Generic {
            store: NAME,
            source: Box::new(error),
        },
    }
}

/// What writing an object asks of a file system, step by step.
trait Files {
    fn exists(&self, path: &FsPath) -> bool;
    fn create_folder(&self, path: &FsPath) -> io::Result<()>;
    fn write_new(&self, path: &FsPath, payload: &PutPayload) -> io::Result<()>;
    fn sync_file(&self, path: &FsPath) -> io::Result<()>;
    fn sync_folder(&self, path: &FsPath) -> io::Result<()>;
    /// Fails if the second name is taken.
    fn link(&self, from: &FsPath, to: &FsPath) -> io::Result<()>;
    fn rename(&self, from: &FsPath, to: &FsPath) -> io::Result<()>;
    fn remove(&self, path: &FsPath) -> io::Result<()>;
}

/// Writes an object. When it returns, the object is on the disk, whole and under its name.
fn write(files: &dyn Files, path: &FsPath, payload: &PutPayload, create: bool) -> io::Result<()> {
    let missing = missing_folders(files, path);
    for folder in path
        .ancestors()
        .skip(1)
        .take(missing)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        files.create_folder(folder)?;
    }
    let draft = draft_of(path);
    let result = draft_and_name(files, (path, &draft), payload, create);
    // What is left of it under the temporary name is not listed, and not to stay either.
    if result.is_err() || create {
        let removed = files.remove(&draft);
        result?;
        removed?;
    }
    sync_folders(files, path, missing + 1)
}

fn missing_folders(files: &dyn Files, path: &FsPath) -> usize {
    path.ancestors()
        .skip(1)
        .take_while(|folder| !files.exists(folder))
        .count()
}

fn draft_and_name(
    files: &dyn Files,
    (path, draft): (&FsPath, &FsPath),
    payload: &PutPayload,
    create: bool,
) -> io::Result<()> {
    files.write_new(draft, payload)?;
    files.sync_file(draft)?;
    match create {
        true => files.link(draft, path),
        false => files.rename(draft, path),
    }
}

/// Syncs the innermost folders around an object.
fn sync_folders(files: &dyn Files, path: &FsPath, count: usize) -> io::Result<()> {
    path.ancestors()
        .skip(1)
        .take(count)
        .filter(|folder| !folder.as_os_str().is_empty())
        .try_for_each(|folder| files.sync_folder(folder))
}

/// A name that `LocalFileSystem` takes for no object: digits after `#`. Unique in this process and unlikely in others.
fn draft_of(path: &FsPath) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!("#{}{number:06}", std::process::id()));
    PathBuf::from(name)
}

/// The machine's own files.
struct Disk;

impl Files for Disk {
    fn exists(&self, path: &FsPath) -> bool {
        path.exists()
    }

    fn create_folder(&self, path: &FsPath) -> io::Result<()> {
        match fs::create_dir(path) {
            // Another writer was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn write_new(&self, path: &FsPath, payload: &PutPayload) -> io::Result<()> {
        // One of an earlier process of this number may be left.
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        payload.iter().try_for_each(|part| file.write_all(part))
    }

    fn sync_file(&self, path: &FsPath) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_folder(&self, path: &FsPath) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn link(&self, from: &FsPath, to: &FsPath) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn rename(&self, from: &FsPath, to: &FsPath) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &FsPath) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests;
