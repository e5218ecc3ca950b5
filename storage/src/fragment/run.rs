//! One partition of a fragment as it runs: states that are known, states of files that are read, and all
//! of them as one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{Result, exec_datafusion_err, internal_datafusion_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc::Sender;

use super::columns::{self, FileColumns, MAX_FILE};
use super::counts::Counts;
use super::describe::file_text;
use super::digest::FragmentDigest;
use super::entry::{Computed, State};
use super::parts::{Part, Parts};
use super::plan::{Cacheable, over};
use super::proofs::Proofs;
use super::readers::{BytesRead, counting};
use super::scan::{Conditions, file_scan, scan_of};
use super::store::FragmentCache;
use super::worth::is_worth_it;

/// From so many files on their merged state is kept, too.
const MERGED_FILES: usize = 4;
/// Files of a partition that are read at a time; of the only partition as many as there are threads.
const MIN_READ_AHEAD: usize = 2;
const MAX_READ_AHEAD: usize = 16;

/// The state over a file, or its rows if they are too many.
type Read = std::result::Result<State, SendableRecordBatchStream>;

/// What is known of a partition so far.
#[derive(Default)]
struct States {
    steady: Vec<State>,
    /// Those that are others the next time, and are merged with nothing that is not.
    edges: Vec<State>,
}

impl States {
    fn push(&mut self, is_edge: bool, state: State) {
        if is_edge {
            self.edges.push(state);
        } else {
            self.steady.push(state);
        }
    }

    fn all(mut self) -> Vec<State> {
        self.steady.append(&mut self.edges);
        self.steady
    }
}

/// One partition of a fragment, as it runs.
pub(super) struct Fragment {
    plan: Arc<dyn ExecutionPlan>,
    leaf: Arc<dyn ExecutionPlan>,
    /// What joins ask of the scan beside the conditions of a part.
    of_joins: Conditions,
    pub(super) digest: FragmentDigest,
    /// Of the merged state of these files and those that come after them.
    family: FragmentDigest,
    /// Of the scan's table, to name columns of its files.
    source: FragmentDigest,
    parts: Vec<Part>,
    cache: Arc<FragmentCache>,
    context: Arc<TaskContext>,
    /// Files that are read at a time.
    read_ahead: usize,
}

impl Fragment {
    pub(super) fn new(
        cacheable: &Cacheable,
        proofs: Option<&Proofs>,
        partition: usize,
        cache: &Arc<FragmentCache>,
        context: &Arc<TaskContext>,
    ) -> Result<Self> {
        let zone = &context.session_config().options().execution.time_zone;
        let epoch = cache.epoch(&cacheable.tables);
        let digest = FragmentDigest::of(&format!("{} {zone:?} {epoch}", cacheable.text));
        let source = source_text(&cacheable.leaf);
        let threads = context.session_config().target_partitions();
        let partitions = file_scan(&cacheable.leaf).map_or(1, |scan| scan.file_groups.len());
        let Parts { parts, family } = Parts::of(&cacheable.leaf, proofs, partition, digest)?;
        Ok(Self {
            plan: Arc::clone(&cacheable.plan),
            leaf: Arc::clone(&cacheable.leaf),
            of_joins: cacheable.of_joins.clone(),
            digest,
            family,
            source: FragmentDigest::of(&format!("{source} {epoch}")),
            parts,
            cache: Arc::clone(cache),
            context: Arc::clone(context),
            read_ahead: (threads / partitions.max(1)).clamp(MIN_READ_AHEAD, MAX_READ_AHEAD),
        })
    }

    fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    pub(super) async fn run(
        self: Arc<Self>,
        sender: &Sender<Result<RecordBatch>>,
        counts: &Counts,
    ) -> Result<()> {
        let steady = self.parts.iter().filter(|part| !part.is_edge);
        let wanted: HashSet<FragmentDigest> = steady.map(|part| part.key).collect();
        let mut states = States::default();
        let mut known: Arc<HashSet<FragmentDigest>> = Arc::default();
        if let Some((state, parts)) = self.cache.merged(&self.family, &wanted).await {
            counts.hit(parts.len(), &state);
            states.steady.push(state);
            known = parts;
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
                    counts.hit(1, &state);
                    states.push(part.is_edge, state);
                }
                None => missing.push(part),
            }
        }
        let missing_steady = missing.iter().filter(|part| !part.is_edge).count();
        let changed = states.steady.len() + missing_steady > 1 || known.is_empty();
        // The first file decides whether the others are worth it.
        let mut missing = missing.into_iter();
        if let Some(first) = missing.next() {
            match self.read(first.clone(), counts.clone()).await? {
                Ok(state) => states.push(first.is_edge, state),
                Err(rows) => {
                    self.cache.bypass(self.digest);
                    send(sender, &states.all(), &self.schema()).await?;
                    return self.pass(rows, missing, sender, counts).await;
                }
            }
        }
        let reads: Vec<_> = missing
            .map(|part| {
                let read = Arc::clone(&self).read_aside(part.clone(), counts.clone());
                async { (part.is_edge, read.await) }
            })
            .collect();
        let mut reading = stream::iter(reads).buffered(self.read_ahead);
        let mut whole = true;
        while let Some((is_edge, read)) = reading.next().await {
            match read? {
                Ok(state) => states.push(is_edge, state),
                // Rows of one file that is not worth it; the others may be.
                Err(mut rows) => {
                    whole &= is_edge;
                    while let Some(batch) = rows.try_next().await? {
                        give(sender, batch).await?;
                    }
                }
            }
        }
        drop(reading);
        if whole && changed && wanted.len() >= MERGED_FILES {
            let merged = self.merge(&states.steady).await?;
            self.cache.put_merged(self.family, Arc::clone(&merged), wanted);
            states.steady = vec![merged];
        }
        send(sender, &states.all(), &self.schema()).await
    }

    /// [`Fragment::read`] in a task of its own, beside others.
    async fn read_aside(self: Arc<Self>, part: Part, counts: Counts) -> Result<Read> {
        let task = SpawnedTask::spawn(async move { self.read(part, counts).await });
        task.join_unwind()
            .await
            .map_err(|error| exec_datafusion_err!("a file is not read on: {error}"))?
    }

    /// The state over a file, from the cache if it came there meanwhile. If it is not worth keeping, its
    /// rows as they come.
    async fn read(&self, part: Part, counts: Counts) -> Result<Read> {
        let _turn = self.cache.turn(part.key).await;
        if let Some(state) = self.cache.get(&part.key).await {
            counts.hit(1, &state);
            return Ok(Ok(state));
        }
        counts.missed(1);
        let (scan, decoded, read) = match self.in_memory(&part, &counts).await? {
            Some((scan, decoded)) => (scan, decoded, BytesRead::default()),
            None => {
                let scan = self.scan(vec![part.file.clone()], &part.conditions)?;
                let (scan, read) = counting(&scan, &self.context)?;
                (scan, 0, read)
            }
        };
        let plan = over(&self.plan, &scan)?;
        let mut rows = plan.execute(0, Arc::clone(&self.context))?;
        let mut taken: Vec<RecordBatch> = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        while let Some(batch) = rows.try_next().await? {
            count += batch.num_rows();
            bytes += batch.get_array_memory_size();
            taken.push(batch);
            if !is_worth_it(count, bytes, part.size()) {
                let schema = rows.schema();
                let rows = stream::iter(taken.into_iter().map(Ok)).chain(rows);
                return Ok(Err(Box::pin(RecordBatchStreamAdapter::new(schema, rows))));
            }
        }
        let state = Arc::new(Computed {
            rows: vec![compact(&self.schema(), &taken)?],
            bytes_read: decoded + read.so_far(),
        });
        match part.is_edge {
            true => self.cache.put_for_now(part.key, Arc::clone(&state)),
            false => self.cache.put(part.key, Arc::clone(&state)),
        }
        Ok(Ok(state))
    }

    /// The scan of a file that is asked for again, from its columns in memory. Those that are not there yet are
    /// decoded, all of their rows. With it come the bytes that were read for them, now or before.
    async fn in_memory(
        &self,
        part: &Part,
        counts: &Counts,
    ) -> Result<Option<(Arc<dyn ExecutionPlan>, usize)>> {
        if part.file.range.is_some() || part.size() > MAX_FILE {
            return Ok(None);
        }
        let Some(needed) = columns::needed(&self.leaf, &part.conditions) else {
            return Ok(None);
        };
        let key = self.source.with(&file_text(&part.file));
        let kept = self.cache.columns();
        if !kept.is_asked_again(key) {
            return Ok(None);
        }
        let _turn = self.cache.turn(key).await;
        let mut file = kept.get(&key);
        let missing = file.lacks(&needed);
        if !missing.is_empty() {
            let scan = columns::decode(&self.leaf, part.file.clone(), &missing)?;
            let rows = scan.execute(0, Arc::clone(&self.context))?;
            let batches: Vec<RecordBatch> = rows.try_collect().await?;
            let bytes_read = counts.read(scan.as_ref());
            let decoded = FileColumns::of(&scan.schema(), &missing, &batches, bytes_read)?;
            let Some(whole) = FileColumns::clone(&file).with(decoded) else {
                return Ok(None);
            };
            file = Arc::new(whole);
            kept.put(key, &file);
        }
        let batch_size = self.context.session_config().batch_size();
        let scan = columns::replayed(&self.leaf, &part.conditions, &needed, &file, batch_size)?;
        Ok(Some((scan, file.bytes_read(&needed))))
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
            counts.missed(files.len());
            let plan = over(&self.plan, &self.scan(files, &conditions)?)?;
            let mut rows = plan.execute(0, Arc::clone(&self.context))?;
            while let Some(batch) = rows.try_next().await? {
                give(sender, batch).await?;
            }
        }
        Ok(())
    }

    /// The scan of some files, with these conditions.
    fn scan(&self, files: Vec<PartitionedFile>, conditions: &Conditions) -> Result<Arc<dyn ExecutionPlan>> {
        let conditions = conditions.iter().chain(&self.of_joins).cloned();
        scan_of(&self.leaf, files, conditions)
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
            .flat_map(|state| &state.rows)
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
        Ok(Arc::new(Computed {
            rows: vec![compact(&schema, &merged)?],
            bytes_read: states.iter().map(|state| state.bytes_read).sum(),
        }))
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
    for batch in states.iter().flat_map(|state| &state.rows) {
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
        .map_err(|_| exec_datafusion_err!("nobody wants the rows any more"))
}

/// What a scan reads of its files, whatever a query needs of that.
fn source_text(leaf: &Arc<dyn ExecutionPlan>) -> String {
    let Some(scan) = file_scan(leaf) else {
        return String::new();
    };
    let schema = scan.file_source().table_schema().table_schema();
    format!("columns {:?} {schema:?}", scan.object_store_url)
}
