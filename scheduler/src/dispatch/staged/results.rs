//! The rows of a finished job, read from the executors that hold them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use ballista_core::serde::protobuf::PartitionLocation;
use ballista_core::serde::scheduler;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::SendableRecordBatchStream;
use futures::{StreamExt, TryStreamExt, stream};
use watershed_cluster::Channels;
use watershed_cluster::staged::fetch;
use watershed_core::{Error, SqlState};
use watershed_storage::error::into_datafusion;

use crate::dispatch::release::HeldRows;

/// Partitions whose reading has begun at a time. Their rows come one partition after another.
const READ_AHEAD: usize = 4;

/// A partition of the result: where it is, and how many rows it has.
pub(super) struct Part {
    location: scheduler::PartitionLocation,
    rows: u64,
}

/// The partitions in their order, each of them once. A job that lost an executor near its end may tell
/// of a partition twice, or not at all.
pub(super) fn checked(locations: Vec<PartitionLocation>, partitions: usize) -> Result<Vec<Part>> {
    let mut parts = BTreeMap::new();
    for location in locations {
        let Some(rows) = location
            .partition_stats
            .as_ref()
            .and_then(|stats| u64::try_from(stats.num_rows).ok())
        else {
            return internal_err!("a partition of a staged result has no number of rows");
        };
        let location: scheduler::PartitionLocation = location
            .try_into()
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        let number = location.partition_id.partition_id;
        if parts.insert(number, Part { location, rows }).is_some() {
            return Err(garbled(format!("partition {number} is there twice")));
        }
    }
    if !parts.keys().copied().eq(0..partitions) {
        return Err(garbled(format!(
            "{} of {partitions} partitions are there",
            parts.len()
        )));
    }
    Ok(parts.into_values().collect())
}

/// Reads all rows, counting them.
pub(super) async fn read(
    channels: &Channels,
    parts: Vec<Part>,
    schema: &SchemaRef,
    mut held: HeldRows,
) -> Result<HeldRows> {
    let mut opened = stream::iter(parts)
        .map(|part| {
            let schema = Arc::clone(schema);
            async move {
                let url = &part.location.executor_meta.host;
                let channel = channels.get(url).await.map_err(into_datafusion)?;
                let rows: SendableRecordBatchStream = fetch(channel, &part.location, schema).await?;
                Ok::<_, DataFusionError>((rows, part))
            }
        })
        .buffered(READ_AHEAD);
    while let Some((mut rows, part)) = opened.try_next().await? {
        let before = held.rows();
        while let Some(batch) = rows.try_next().await? {
            if batch.num_rows() > 0 {
                held.push(batch)?;
            }
        }
        let read = held.rows() - before;
        if read != part.rows {
            let number = part.location.partition_id.partition_id;
            return Err(garbled(format!(
                "partition {number} gave {read} of {} rows",
                part.rows
            )));
        }
    }
    Ok(held)
}

/// Worth another try: a new job has new files.
fn garbled(why: String) -> DataFusionError {
    tracing::warn!(why, "the result of a staged job is not whole");
    into_datafusion(
        Error::new(
            SqlState::CannotConnectNow,
            "the result of a staged job is not whole",
        )
        .with_detail(why),
    )
}

#[cfg(test)]
mod tests {
    use ballista_core::serde::protobuf::{
        ExecutorMetadata, ExecutorOperatingSystemSpecification, ExecutorSpecification, PartitionId,
        PartitionStats,
    };

    use super::*;

    fn check(partitions: &[u32], expected: usize, whole: bool) {
        let locations = partitions.iter().map(|partition| PartitionLocation {
            partition_id: Some(PartitionId {
                job_id: "job".to_owned(),
                stage_id: 1,
                partition_id: *partition,
            }),
            executor_meta: Some(ExecutorMetadata {
                specification: Some(ExecutorSpecification::default()),
                os_info: Some(ExecutorOperatingSystemSpecification::default()),
                ..ExecutorMetadata::default()
            }),
            partition_stats: Some(PartitionStats {
                num_rows: 1,
                ..PartitionStats::default()
            }),
            ..PartitionLocation::default()
        });
        assert_eq!(
            checked(locations.collect(), expected).is_ok(),
            whole,
            "{partitions:?}"
        );
    }

    #[test]
    fn every_partition_is_there_once() {
        check(&[], 0, true);
        check(&[2, 0, 1], 3, true);
        check(&[0, 1, 1], 2, false);
        check(&[0, 2], 3, false);
        check(&[0, 1], 3, false);
        check(&[0, 1, 2], 2, false);
    }
}
