//! One partition of a fragment as it runs: states that are known, states of files that are read, and all
//! of them as one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource,
};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc::Sender;

use super::describe::{FragmentDigest, conjuncts, expression, file_scan};
use super::entry::State;
use super::plan::{Cacheable, over};
use super::proof::true_of_all;
use super::store::FragmentCache;

/// A state larger than this part of its file is not worth keeping.
const MIN_REDUCTION: usize = 8;
/// A state this small is always worth it.
const SMALL_STATE: usize = 16 << 10;
/// No state is larger than this.
const MAX_STATE: usize = 4 << 20;
/// From so many files on their merged state is kept, too.
const MERGED_FILES: usize = 4;
/// Files of a partition that are read at a time.
const READ_AHEAD: usize = 2;
/// What a partition did. What its scans read is counted by the plan's own scan, whose metrics they share.
#[derive(Clone)]
pub(super) struct Counts {
    cached: Count,
    run: Count,
    bytes_cached: Count,
}

impl Counts {
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition);
        Self {
            cached: counter("fragments_cached"),
            run: counter("fragments_run"),
            bytes_cached: counter("bytes_cached"),
        }
    }

    fn hit<'a>(&self, files: impl Iterator<Item = &'a Part>) {
        for part in files {
            self.cached.add(1);
            self.bytes_cached.add(part.size());
        }
    }
}

/// All of them hold.
type Conditions = Vec<Arc<dyn PhysicalExpr>>;

/// A file, and what the fragment is over it.
#[derive(Clone)]
struct Part {
    file: PartitionedFile,
    key: FragmentDigest,
    /// The conditions that are not true of all of its rows.
    conditions: Conditions,
}

impl Part {
    fn size(&self) -> usize {
        usize::try_from(self.file.object_meta.size).unwrap_or(usize::MAX)
    }
}

/// One partition of a fragment, as it runs.
pub(super) struct Fragment {
    plan: Arc<dyn ExecutionPlan>,
    leaf: Arc<dyn ExecutionPlan>,
    pub(super) digest: FragmentDigest,
    /// Of the merged state of these files and those that come after them.
    family: FragmentDigest,
    parts: Vec<Part>,
    cache: Arc<FragmentCache>,
    context: Arc<TaskContext>,
}

impl Fragment {
    pub(super) fn new(
        plan: &Arc<dyn ExecutionPlan>,
        cacheable: &Cacheable,
        partition: usize,
        cache: &Arc<FragmentCache>,
        context: &Arc<TaskContext>,
    ) -> Result<Self> {
        let leaf = &cacheable.leaf;
        let (Some(scan), Some(conjuncts)) = (file_scan(leaf), conjuncts(leaf)) else {
            return internal_err!("a fragment's leaf is no scan of files");
        };
        let Some(group) = scan.file_groups.get(partition) else {
            return internal_err!("a fragment has no partition {partition}");
        };
        let files = group.files();
        let zone = &context.session_config().options().execution.time_zone;
        // All files are of one table.
        let epoch = files
            .first()
            .map(|file| cache.epoch(file.object_meta.location.as_ref()));
        let text = format!("{} {zone:?} {epoch:?}", cacheable.text);
        let schema = scan.file_source().table_schema().table_schema();
        let mut texts = Vec::with_capacity(conjuncts.len());
        let mut proofs = Vec::with_capacity(conjuncts.len());
        for conjunct in &conjuncts {
            let Some(text) = expression(conjunct) else {
                return internal_err!("a condition has no text");
            };
            texts.push(text);
            proofs.push(true_of_all(conjunct, schema, files)?);
        }
        let digest = FragmentDigest::of(&text);
        let parts = files.iter().enumerate().map(|(place, file)| {
            let left = (0..conjuncts.len()).filter(|number| !proofs[*number][place]);
            let mut key = format!(
                "\n{:?} {} {} {:?} {:?}",
                file.object_meta.location.as_ref(),
                file.object_meta.size,
                file.object_meta.last_modified.timestamp_micros(),
                file.object_meta.e_tag,
                file.partition_values
            );
            let mut conditions = Vec::new();
            for number in left {
                key.push_str(" where ");
                key.push_str(&texts[number]);
                conditions.push(Arc::clone(&conjuncts[number]));
            }
            Part {
                file: file.clone(),
                key: digest.with(&key),
                conditions,
            }
        });
        let parts: Vec<Part> = parts.collect();
        // A condition that is true of whole files is one that moves, as windows over time do.
        let fixed = texts
            .iter()
            .zip(&proofs)
            .filter(|(_, proof)| !proof.contains(&true))
            .map(|(text, _)| text);
        let fixed: Vec<&String> = fixed.collect();
        let family = format!("\nmerged {fixed:?} {}", partition_name(scan, partition));
        Ok(Self {
            plan: Arc::clone(plan),
            leaf: Arc::clone(leaf),
            digest,
            family: digest.with(&family),
            parts,
            cache: Arc::clone(cache),
            context: Arc::clone(context),
        })
    }

    fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    pub(super) async fn run(&self, sender: &Sender<Result<RecordBatch>>, counts: &Counts) -> Result<()> {
        let wanted: HashSet<FragmentDigest> = self.parts.iter().map(|part| part.key).collect();
        let mut states: Vec<State> = Vec::new();
        let mut known: Arc<HashSet<FragmentDigest>> = Arc::default();
        if let Some((state, parts)) = self.cache.merged(&self.family, &wanted).await {
            states.push(state);
            known = parts;
            counts.hit(self.parts.iter().filter(|part| known.contains(&part.key)));
        }
        let mut missing = Vec::new();
        let others: Vec<_> = self
            .parts
            .iter()
            .filter(|part| !known.contains(&part.key))
            .collect();
        let keys: Vec<_> = others.iter().map(|part| part.key).collect();
        for (part, state) in others.into_iter().zip(self.cache.get_all(&keys).await) {
            match state {
                Some(state) => {
                    counts.hit(std::iter::once(part));
                    states.push(state);
                }
                None => missing.push(part),
            }
        }
        let changed = states.len() + missing.len() > 1 || known.is_empty();
        // The first file decides whether the others are worth it.
        let mut missing = missing.into_iter();
        if let Some(first) = missing.next() {
            match self.read(first, counts).await? {
                Ok(state) => states.push(state),
                Err(rows) => {
                    self.cache.bypass(self.digest);
                    send(sender, &states, &self.schema()).await?;
                    return self.pass(rows, missing, sender, counts).await;
                }
            }
        }
        let reads: Vec<_> = missing.map(|part| self.read(part, counts).boxed()).collect();
        let mut reading = stream::iter(reads).buffered(READ_AHEAD);
        let mut whole = true;
        while let Some(read) = reading.next().await {
            match read? {
                Ok(state) => states.push(state),
                // Rows of one file that is not worth it; the others may be.
                Err(mut rows) => {
                    whole = false;
                    while let Some(batch) = rows.try_next().await? {
                        give(sender, batch).await?;
                    }
                }
            }
        }
        drop(reading);
        if !whole || !changed || self.parts.len() < MERGED_FILES {
            return send(sender, &states, &self.schema()).await;
        }
        let merged = self.merge(&states).await?;
        self.cache.put_merged(self.family, Arc::clone(&merged), wanted);
        send(sender, &[merged], &self.schema()).await
    }

    /// The state over a file, from the cache if it came there meanwhile. If it is not worth keeping, its
    /// rows as they come.
    async fn read(
        &self,
        part: &Part,
        counts: &Counts,
    ) -> Result<std::result::Result<State, SendableRecordBatchStream>> {
        let _turn = self.cache.turn(part.key).await;
        if let Some(state) = self.cache.get(&part.key).await {
            counts.hit(std::iter::once(part));
            return Ok(Ok(state));
        }
        let plan = self.over(vec![part.file.clone()], &part.conditions)?;
        counts.run.add(1);
        let mut rows = plan.execute(0, Arc::clone(&self.context))?;
        let limit = (part.size() / MIN_REDUCTION).clamp(SMALL_STATE, MAX_STATE);
        let mut taken: Vec<RecordBatch> = Vec::new();
        let mut bytes = 0;
        while let Some(batch) = rows.try_next().await? {
            bytes += batch.get_array_memory_size();
            taken.push(batch);
            if bytes > limit {
                let schema = rows.schema();
                let rows = stream::iter(taken.into_iter().map(Ok)).chain(rows);
                return Ok(Err(Box::pin(RecordBatchStreamAdapter::new(schema, rows))));
            }
        }
        let state: State = Arc::new(vec![compact(&self.schema(), &taken)?]);
        self.cache.put(part.key, Arc::clone(&state));
        Ok(Ok(state))
    }

    /// All other files as one, as if there were no cache.
    async fn pass(
        &self,
        mut first: SendableRecordBatchStream,
        rest: impl Iterator<Item = &Part>,
        sender: &Sender<Result<RecordBatch>>,
        counts: &Counts,
    ) -> Result<()> {
        while let Some(batch) = first.try_next().await? {
            give(sender, batch).await?;
        }
        // Files with the same conditions left can be read as one.
        let mut groups: HashMap<String, (Vec<PartitionedFile>, Conditions)> = HashMap::new();
        for part in rest {
            let group = groups.entry(format!("{:?}", part.conditions)).or_default();
            group.0.push(part.file.clone());
            group.1.clone_from(&part.conditions);
        }
        for (files, conditions) in groups.into_values() {
            counts.run.add(files.len());
            let plan = self.over(files, &conditions)?;
            let mut rows = plan.execute(0, Arc::clone(&self.context))?;
            while let Some(batch) = rows.try_next().await? {
                give(sender, batch).await?;
            }
        }
        Ok(())
    }

    /// The fragment over some files, with these conditions.
    fn over(
        &self,
        files: Vec<PartitionedFile>,
        conditions: &[Arc<dyn PhysicalExpr>],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(scan) = file_scan(&self.leaf) else {
            return internal_err!("a fragment's leaf is no scan of files");
        };
        let mut builder =
            FileScanConfigBuilder::from(scan.clone()).with_file_groups(vec![FileGroup::new(files)]);
        let source = scan
            .file_source()
            .downcast_ref::<ParquetSource>()
            .ok_or_else(|| internal_datafusion_err!("a fragment's scan is not of Parquet"))?;
        if scan.file_source().filter().is_some() {
            builder = builder.with_source(Arc::new(
                source.with_predicate(conjunction(conditions.iter().cloned())),
            ));
        }
        let mut scan = builder.build();
        scan.output_partitioning = None;
        let leaf: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(scan);
        over(&self.plan, &leaf)
    }

    /// Several states as one.
    async fn merge(&self, states: &[State]) -> Result<State> {
        let aggregate = self
            .plan
            .downcast_ref::<AggregateExec>()
            .ok_or_else(|| internal_datafusion_err!("a fragment is no aggregate"))?;
        let schema = self.schema();
        let batches = states
            .iter()
            .flat_map(|state| state.iter())
            .map(|batch| renamed(batch, &schema))
            .collect::<Result<Vec<_>>>()?;
        let input = MemorySourceConfig::try_new_exec(&[batches], Arc::clone(&schema), None)?;
        let calls = aggregate.aggr_expr().to_vec();
        let merge = AggregateExec::try_new(
            AggregateMode::PartialReduce,
            aggregate.group_expr().as_final(),
            calls.clone(),
            vec![None; calls.len()],
            input,
            aggregate.input_schema(),
        )?;
        let rows = merge.execute(0, Arc::clone(&self.context))?;
        let merged: Vec<RecordBatch> = rows.try_collect().await?;
        Ok(Arc::new(vec![compact(&schema, &merged)?]))
    }
}

/// A name for a partition that holds the same files, and those after them, next time. A shard is one;
/// other partitions are whatever they are.
fn partition_name(scan: &FileScanConfig, partition: usize) -> String {
    match crate::table::group_shards(scan).get(partition) {
        Some(Some(shard)) => format!("shard {shard}"),
        _ => format!("partition {partition} of {}", scan.file_groups.len()),
    }
}

/// One batch that holds its rows and nothing else.
fn compact(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    let batches = batches
        .iter()
        .map(|batch| renamed(batch, schema))
        .collect::<Result<Vec<_>>>()?;
    Ok(concat_batches(schema, &batches)?)
}

/// A state is kept under one query's names and used under another's.
fn renamed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        batch.columns().to_vec(),
        &options,
    )?)
}

async fn send(sender: &Sender<Result<RecordBatch>>, states: &[State], schema: &SchemaRef) -> Result<()> {
    for batch in states.iter().flat_map(|state| state.iter()) {
        if batch.num_rows() > 0 {
            give(sender, renamed(batch, schema)?).await?;
        }
    }
    Ok(())
}

/// Whoever wanted the rows may have gone; then nobody minds that they end.
async fn give(sender: &Sender<Result<RecordBatch>>, batch: RecordBatch) -> Result<()> {
    sender
        .send(Ok(batch))
        .await
        .map_err(|_| datafusion::common::exec_datafusion_err!("nobody wants the rows any more"))
}
