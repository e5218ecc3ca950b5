//! A Delta table's folder: opening its log, and making it.

use std::sync::Arc;

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::transaction::{CommitProperties, TransactionError};
use deltalake_core::kernel::{StructField, StructType};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::SaveMode;
use deltalake_core::table::state::DeltaTableState;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;
use watershed_core::error::{Error, Result, SqlState};
use watershed_core::store::StoreRoot;

use arrow::datatypes::{DataType, Field, Schema};

use crate::layout::{SHARD_COLUMN, TableLayout};
use crate::write::batch_prefix;

use super::log_error::from_delta;

/// How long the log remembers a statement's id. A retry after that is a new statement.
const STATEMENTS_REMEMBERED: &str = "interval 7 days";
/// Versions between checkpoints.
pub(super) const CHECKPOINT_INTERVAL: u64 = 32;

/// Where a Delta table lies, and the log within.
#[derive(Clone)]
pub(crate) struct TableFolder {
    pub(crate) url: Url,
    /// Within the bucket.
    pub(crate) path: Path,
    /// Rooted at the folder.
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(super) log: LogStoreRef,
}

impl TableFolder {
    pub(crate) fn managed(root: &StoreRoot, layout: &TableLayout) -> Self {
        let folder = layout.folder();
        let url = root.folder_url(&folder).unwrap_or_else(|_| root.url().clone());
        Self::new(url, Arc::clone(root.bucket()), root.folder_path(&folder))
    }

    /// `path` is `url`'s within `bucket`.
    pub(crate) fn new(url: Url, bucket: Arc<dyn ObjectStore>, path: Path) -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(object_store::prefix::PrefixStore::new(
            Arc::clone(&bucket),
            path.clone(),
        ));
        let log = default_logstore(Arc::clone(&store), bucket, &url, &StorageConfig::default());
        Self {
            url,
            path,
            store,
            log,
        }
    }

    /// Whether that version is in the log: one request.
    pub(super) async fn has_version(&self, version: u64) -> Result<bool> {
        let path = Path::from_iter(["_delta_log", &format!("{version:020}.json")]);
        match self.store.head(&path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(crate::error::from_object_store(&error)),
        }
    }

    /// Reads a version, the newest unless one is named.
    pub(crate) async fn load(&self, version: Option<u64>) -> Result<DeltaTableState> {
        DeltaTableState::try_new(self.log.as_ref(), version)
            .await
            .map_err(|error| self.failed("read", &error))
    }

    /// Goes on from an older version to the newest.
    pub(super) async fn update(&self, mut state: DeltaTableState) -> Result<DeltaTableState> {
        match state.update(self.log.as_ref(), None).await {
            Ok(()) => Ok(state),
            // What went before may have been cleaned away meanwhile.
            Err(error) => {
                tracing::debug!(%error, table = %self.url, "reading the whole log");
                self.load(None).await
            }
        }
    }

    pub(super) fn failed(&self, what: &str, error: &DeltaTableError) -> Error {
        from_delta(&format!("{what} the table in {}", self.url), error)
    }

    /// Removes everything in it.
    pub(super) async fn remove(&self) -> Result<()> {
        let places = self.store.list(None).map_ok(|object| object.location).boxed();
        self.store
            .delete_stream(places)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
            .map_err(|error| crate::error::from_object_store(&error))
    }

    /// Removes the files of one batch.
    pub(super) async fn remove_batch(&self, batch: &str) -> Result<usize> {
        let prefix = batch_prefix(batch);
        if prefix.is_empty() {
            return Ok(0);
        }
        let prefix = format!("part-{prefix}");
        let of_batch = |object: &object_store::ObjectMeta| {
            let name = object.location.filename();
            name.is_some_and(|name| name.starts_with(&prefix))
        };
        let places = self
            .store
            .list(None)
            .try_filter(|object| std::future::ready(of_batch(object)))
            .map_ok(|object| object.location);
        let places: Vec<Path> = places
            .try_collect()
            .await
            .map_err(|error| crate::error::from_object_store(&error))?;
        let count = places.len();
        let places = futures::stream::iter(places.into_iter().map(Ok)).boxed();
        self.store
            .delete_stream(places)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
            .map_err(|error| crate::error::from_object_store(&error))?;
        Ok(count)
    }

    /// Makes the first version. Where there is one, nothing is changed.
    pub(super) async fn create(&self, layout: &TableLayout) -> Result<()> {
        let exists = |error: Error| async {
            // Another may have made it meanwhile, or the store's reply may have been lost.
            match self.has_version(0).await {
                Ok(true) => Ok(()),
                Ok(false) | Err(_) => Err(error),
            }
        };
        if self.has_version(0).await? {
            return Ok(());
        }
        let created = CreateBuilder::new()
            .with_log_store(Arc::clone(&self.log))
            .with_save_mode(SaveMode::Ignore)
            // A retry would put a second definition on top of another's first.
            .with_commit_properties(CommitProperties::default().with_max_retries(0))
            .with_columns(delta_fields(layout)?)
            .with_partition_columns(layout.delta_partitions())
            .with_configuration([
                (
                    "delta.setTransactionRetentionDuration",
                    Some(STATEMENTS_REMEMBERED.to_owned()),
                ),
                ("delta.checkpointInterval", Some(CHECKPOINT_INTERVAL.to_string())),
                ("delta.dataSkippingNumIndexedCols", Some("-1".to_owned())),
            ])
            .await;
        match created {
            Ok(_) => Ok(()),
            Err(DeltaTableError::Transaction {
                source: TransactionError::VersionAlreadyExists(_),
            }) => Ok(()),
            Err(error) => exists(self.failed("create", &error)).await,
        }
    }
}

/// The layout's columns as Delta's, the shard last.
pub(super) fn delta_fields(layout: &TableLayout) -> Result<Vec<StructField>> {
    let mut fields: Vec<Field> = Vec::with_capacity(layout.columns.len() + 1);
    for column in &layout.columns {
        if column.name.eq_ignore_ascii_case(SHARD_COLUMN) {
            return Err(Error::new(
                SqlState::InvalidTableDefinition,
                format!("column \"{}\" cannot be declared", column.name),
            )
            .with_detail(format!("{SHARD_COLUMN} holds the shard of a row"))
            .with_hint("Give the column another name."));
        }
        let mut field = column.field();
        if let Some(comment) = &column.comment {
            let mut metadata = field.metadata().clone();
            metadata.insert("comment".to_owned(), comment.clone());
            field = field.with_metadata(metadata);
        }
        fields.push(field);
    }
    if layout.sharding.is_some() {
        fields.push(Field::new(SHARD_COLUMN, DataType::Int32, true));
    }
    let schema: StructType =
        (&Schema::new(fields))
            .try_into_kernel()
            .map_err(|error: arrow::error::ArrowError| {
                Error::new(SqlState::FeatureNotSupported, "a column's type cannot be stored")
                    .with_detail(error.to_string())
            })?;
    Ok(schema.fields().cloned().collect())
}
