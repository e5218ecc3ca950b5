//! Delta tables that others keep.

use std::sync::Arc;

use arrow::datatypes::Schema;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow;
use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;
use watershed_core::error::{Error, Result, SqlState};
use watershed_core::id::TableId;

use crate::external::columns_of;
use crate::layout::TableLayout;

use super::folder::TableFolder;
use super::snapshot::{self, TableSnapshot};

/// A version of the table in that folder, the newest unless one is named, and the layout that its log tells.
pub(crate) async fn read_foreign(
    url: &Url,
    bucket: Arc<dyn ObjectStore>,
    path: Path,
    version: Option<u64>,
) -> Result<(TableLayout, TableSnapshot)> {
    let folder = TableFolder::new(url.clone(), bucket, path);
    let state = match folder.load(version).await {
        Ok(state) => state,
        Err(error) => return Err(no_such_version(&folder, url, version, error).await),
    };
    let schema: Schema =
        state
            .schema()
            .as_ref()
            .try_into_arrow()
            .map_err(|error: arrow::error::ArrowError| {
                Error::new(
                    SqlState::FeatureNotSupported,
                    format!("the table in {url} has a type that is not supported"),
                )
                .with_detail(error.to_string())
            })?;
    let layout = TableLayout {
        id: TableId::generate(),
        columns: columns_of(&schema)?,
        primary_key: Vec::new(),
        partition_by: state.metadata().partition_columns().to_vec(),
        sharding: None,
        sort_by: Vec::new(),
        shard_map: None,
    };
    let snapshot = snapshot::read(&folder, &state, layout.clone(), None).await?;
    Ok((layout, snapshot))
}

/// The error of a version that the table does not have yet; else the one that came.
async fn no_such_version(folder: &TableFolder, url: &Url, version: Option<u64>, error: Error) -> Error {
    let Some(wanted) = version else {
        return error;
    };
    match folder.load(None).await {
        Ok(newest) if newest.version() < wanted => Error::new(
            SqlState::InvalidParameterValue,
            format!("the table in {url} has no version {wanted}"),
        )
        .with_hint(format!("Its newest version is {}.", newest.version())),
        Ok(_) | Err(_) => error,
    }
}
