//! The object store root: where all durable state lies.

mod synced;

use std::path::Path as FsPath;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreScheme};
use url::Url;

use crate::error::{Error, Result, SqlState};
use synced::SyncedFolders;

/// A root under which Watershed keeps its catalog and tables.
#[derive(Debug, Clone)]
pub struct StoreRoot {
    /// With a trailing slash.
    url: Url,
    /// The whole bucket or file system, as paths in plans are relative to it.
    bucket: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl StoreRoot {
    /// Opens a root named by a folder, a `file://` URL or an `s3://` URL. A folder is made where
    /// there is none. Credentials and endpoints of S3 come from the usual `AWS_…` variables.
    pub fn open(location: &str) -> Result<Self> {
        let url = parse_location(location)?;
        if url.scheme() == "file" {
            let folder = url
                .to_file_path()
                .map_err(|()| invalid(location, "it is no path"))?;
            private_folder(&folder)?;
        }
        let (bucket, prefix) = open_bucket(&url)?;
        Ok(Self { url, bucket, prefix })
    }

    /// The root's URL, with a trailing slash.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The bucket or file system that paths in plans are relative to.
    pub fn bucket(&self) -> &Arc<dyn ObjectStore> {
        &self.bucket
    }

    /// The URL of a folder below the root, with a trailing slash.
    pub fn folder_url(&self, folder: &str) -> Result<Url> {
        self.url
            .join(&format!("{}/", folder.trim_matches('/')))
            .map_err(|error| Error::internal(format!("no URL for {folder:?}: {error}")))
    }

    /// The path of a folder below the root, relative to [`StoreRoot::bucket`].
    pub fn folder_path(&self, folder: &str) -> Path {
        folder
            .split('/')
            .filter(|part| !part.is_empty())
            .fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// A store whose root is a folder below this root.
    pub fn folder(&self, folder: &str) -> Arc<dyn ObjectStore> {
        Arc::new(PrefixStore::new(
            Arc::clone(&self.bucket),
            self.folder_path(folder),
        ))
    }
}

/// Makes a folder for a store, which its owner alone may enter: it holds the hashes of passwords. One that is there stays
/// as it is.
fn private_folder(folder: &FsPath) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.map_err(|error| {
        Error::new(
            SqlState::IoError,
            format!("cannot create the store's folder {}", folder.display()),
        )
        .with_detail(error.to_string())
    })?;
    if let Ok(found) = std::fs::metadata(folder)
        && found.permissions().mode() & 0o007 != 0
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            tracing::warn!(
                folder = %folder.display(),
                "every user of this machine may read the store, hashes of passwords included: chmod o-rwx"
            );
        });
    }
    Ok(())
}

/// Opens the bucket or file system that `url` lies in, and gives the path of `url` within it.
pub fn open_bucket(url: &Url) -> Result<(Arc<dyn ObjectStore>, Path)> {
    let (scheme, path) = ObjectStoreScheme::parse(url).map_err(|error| invalid(url.as_str(), error))?;
    let bucket: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::Local => Arc::new(SyncedFolders::new()),
        ObjectStoreScheme::AmazonS3 => {
            let builder = AmazonS3Builder::from_env().with_url(url.as_str());
            let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
            if let Some(endpoint) = &endpoint {
                // object_store takes it apart only at the first request, and then with a panic.
                Url::parse(endpoint).map_err(|error| {
                    invalid(url.as_str(), format!("the S3 endpoint {endpoint:?}: {error}"))
                })?;
            }
            // An endpoint given as http:// is meant: servers on loopback have no certificate.
            let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
            Arc::new(
                builder
                    .with_allow_http(plain)
                    .build()
                    .map_err(|error| invalid(url.as_str(), error))?,
            )
        }
        _ => {
            return Err(invalid(
                url.as_str(),
                "only folders, file:// and s3:// are served",
            ));
        }
    };
    Ok((bucket, path))
}

/// Reads a location as people write it: a path, absolute or relative, or a URL. The URL ends in a
/// slash.
pub fn parse_location(location: &str) -> Result<Url> {
    let mut url = match Url::parse(location) {
        Ok(url) if url.scheme().len() > 1 => url,
        Ok(_) | Err(_) => {
            let path =
                std::path::absolute(FsPath::new(location)).map_err(|error| invalid(location, error))?;
            Url::from_directory_path(path).map_err(|()| invalid(location, "it is no path"))?
        }
    };
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn invalid(location: &str, why: impl std::fmt::Display) -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        format!("cannot open the store {location:?}"),
    )
    .with_detail(why.to_string())
    .with_hint("Name a folder, file:///folder or s3://bucket/prefix.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls() {
        assert_eq!(parse_location("/data/ws").unwrap().as_str(), "file:///data/ws/");
        assert_eq!(
            parse_location("s3://bucket/a").unwrap().as_str(),
            "s3://bucket/a/"
        );
        assert!(
            parse_location("relative")
                .unwrap()
                .as_str()
                .ends_with("/relative/")
        );
        let folder = tempfile::tempdir().unwrap();
        let root = StoreRoot::open(folder.path().to_str().unwrap()).unwrap();
        assert!(
            root.folder_url("tables/x")
                .unwrap()
                .as_str()
                .ends_with("/tables/x/")
        );
        assert!(root.folder_path("tables/x").as_ref().ends_with("/tables/x"));
        assert_eq!(
            StoreRoot::open("gopher://x").unwrap_err().code(),
            SqlState::InvalidParameterValue
        );
    }
}
