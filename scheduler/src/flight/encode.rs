//! Rows on their way to a client: in the declared schema, in frames that every client takes, and
//! stopped at once when the statement is cancelled or the client has gone.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use watershed_core::net::{Closing, Notices, to_status};
use watershed_core::partial::Partial;
use watershed_core::{Error, Result, SqlState};

use super::engine::RowStream;
use super::wire;

/// Clients of gRPC refuse messages of 4 MiB unless told otherwise. Half of it leaves room for what
/// encoding adds.
pub(super) const FRAME_BYTES: usize = 2 << 20;
/// A row cannot be split. The strictest driver that raises the limit takes 16 MiB.
pub(super) const ROW_BYTES_MAX: usize = 15 << 20;

pub(super) type FlightStream = BoxStream<'static, Result<FlightData, Status>>;
type Batches = BoxStream<'static, Result<RecordBatch>>;

/// Stops whatever streams a statement has, also those whose client does not read.
#[derive(Default)]
pub(super) struct Switch {
    cancelled: CancellationToken,
    streams: Mutex<Vec<Weak<Mutex<Option<Batches>>>>>,
}

impl Switch {
    pub(super) fn cancel(&self) {
        self.cancelled.cancel();
        for stream in self.streams.lock().drain(..) {
            // The rows are dropped here and now: a client that does not read would never let them go.
            drop(stream.upgrade().and_then(|stream| stream.lock().take()));
        }
    }

    /// The same rows, as long as nobody cancels.
    fn guard(&self, batches: Batches) -> Batches {
        let shared = Arc::new(Mutex::new(Some(batches)));
        {
            let mut streams = self.streams.lock();
            streams.retain(|stream| stream.strong_count() > 0);
            streams.push(Arc::downgrade(&shared));
        }
        let cancelled = self.cancelled.clone();
        stream::unfold(Some(shared), move |shared| {
            let cancelled = cancelled.clone();
            async move {
                let shared = shared?;
                let next = std::future::poll_fn(|context| match shared.lock().as_mut() {
                    Some(batches) => batches.poll_next_unpin(context),
                    None => std::task::Poll::Ready(Some(Err(cancelled_error()))),
                });
                tokio::select! {
                    biased;
                    () = cancelled.cancelled() => Some((Err(cancelled_error()), None)),
                    batch = next => batch.map(|batch| (batch, Some(shared))),
                }
            }
        })
        .boxed()
    }

    /// Runs what leads to rows, unless somebody cancels meanwhile.
    pub(super) async fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => Err(cancelled_error()),
            done = work => done,
        }
    }
}

fn cancelled_error() -> Error {
    Error::new(SqlState::QueryCanceled, "the statement was cancelled")
}

/// The stream that `DoGet` answers with. The schema comes first, with `notes` beside it, even if there
/// are no rows. If rows are missing, the last frame says so: it has metadata and no row.
pub(super) fn encode(
    rows: RowStream,
    declared: SchemaRef,
    notes: Bytes,
    switch: &Switch,
    options: IpcWriteOptions,
) -> FlightStream {
    let schema = Arc::clone(&declared);
    let last = {
        let (schema, options) = (Arc::clone(&declared), options.clone());
        let last = async move {
            rows.partial
                .get()
                .map(|partial| closing(&partial, schema, &options))
        };
        stream::once(last).filter_map(std::future::ready)
    };
    let frames = switch
        .guard(rows.batches)
        .and_then(move |batch| std::future::ready(wire::conform(&batch, &schema)))
        .map_ok(|batch| stream::iter(Frames::new(batch)))
        .try_flatten();
    encode_frames(frames.boxed(), declared, notes, options)
        .chain(last)
        .boxed()
}

/// A batch of no rows, with what an answer lacks beside it. A frame without a batch is not read by every
/// driver.
fn closing(partial: &Partial, schema: SchemaRef, options: &IpcWriteOptions) -> Result<FlightData, Status> {
    let told = Closing {
        partial: Some(partial.clone()),
        notices: Notices {
            warnings: vec![partial.warning()],
            ..Notices::default()
        },
    };
    let (_, frame) = IpcDataGenerator::default()
        .encode(
            &RecordBatch::new_empty(schema),
            &mut DictionaryTracker::new(false),
            options,
            &mut IpcWriteContext::default(),
        )
        .map_err(|error| {
            to_status(
                &Error::internal("the end of an answer cannot be encoded").with_detail(error.to_string()),
            )
        })?;
    Ok(FlightData::from(frame).with_app_metadata(told.to_json()))
}

/// The stream of a batch that is there already: metadata.
pub(super) fn encode_batch(batch: RecordBatch) -> FlightStream {
    let schema = batch.schema();
    let frames = stream::iter(Frames::new(batch)).boxed();
    encode_frames(frames, schema, Bytes::new(), IpcWriteOptions::default())
}

fn encode_frames(frames: Batches, schema: SchemaRef, notes: Bytes, options: IpcWriteOptions) -> FlightStream {
    FlightDataEncoderBuilder::new()
        .with_options(options)
        .with_schema(schema)
        .with_metadata(notes)
        // Frames are cut already: the encoder's own way counts shared buffers whole.
        .with_max_flight_data_size(usize::MAX)
        .build(frames.map_err(|error| FlightError::from(to_status(&error))))
        .map_err(Status::from)
        .boxed()
}

/// Cuts a batch into pieces of at most [`FRAME_BYTES`], in order, one at a time.
struct Frames {
    pending: VecDeque<RecordBatch>,
}

impl Frames {
    fn new(batch: RecordBatch) -> Self {
        Self {
            pending: VecDeque::from([batch]),
        }
    }
}

impl Iterator for Frames {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let batch = self.pending.pop_front()?;
            let rows = batch.num_rows();
            if rows == 0 {
                continue;
            }
            let bytes = match batch_bytes(&batch) {
                Ok(bytes) => bytes,
                Err(error) => return Some(Err(error)),
            };
            if bytes <= FRAME_BYTES {
                return Some(Ok(batch));
            }
            if rows == 1 {
                return Some(if bytes <= ROW_BYTES_MAX {
                    Ok(batch)
                } else {
                    Err(too_wide(bytes))
                });
            }
            // As many rows as fit if all are alike; at least halves, so that it ends.
            let even = rows * FRAME_BYTES / bytes;
            let cut = even.clamp(1, rows / 2);
            self.pending.push_front(batch.slice(cut, rows - cut));
            self.pending.push_front(batch.slice(0, cut));
        }
    }
}

fn too_wide(bytes: usize) -> Error {
    Error::new(
        SqlState::InsufficientResources,
        format!("a row of {bytes} bytes is larger than the limit of {ROW_BYTES_MAX} bytes"),
    )
    .with_hint("Select fewer columns, or parts of the large values with substr().")
}

fn batch_bytes(batch: &RecordBatch) -> Result<usize> {
    batch
        .columns()
        .iter()
        .map(|column| array_bytes(column.as_ref()))
        .sum()
}

/// What a slice of an array takes on the wire, without what its buffers hold besides.
fn array_bytes(array: &dyn Array) -> Result<usize> {
    let validity = array.len().div_ceil(8);
    let offsets = (array.len() + 1) * size_of::<i32>();
    let within = |values: &dyn Array, offsets: &[i32]| {
        let bound = |offset: Option<&i32>| offset.and_then(|at| usize::try_from(*at).ok()).unwrap_or(0);
        let (first, last) = (bound(offsets.first()), bound(offsets.last()));
        array_bytes(values.slice(first, last.saturating_sub(first)).as_ref())
    };
    let own = match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            offsets + within(list.values().as_ref(), list.value_offsets())?
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            offsets + within(map.entries(), map.value_offsets())?
        }
        DataType::Struct(_) => array
            .as_struct()
            .columns()
            .iter()
            .map(|column| array_bytes(column.as_ref()))
            .sum::<Result<usize>>()?,
        _ => array.to_data().get_slice_memory_size().map_err(|error| {
            Error::internal("the size of a column is not known").with_detail(error.to_string())
        })?,
    };
    Ok(validity + own)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int32Array, ListArray, StringArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn frames(batch: RecordBatch) -> Vec<RecordBatch> {
        let all: Vec<_> = Frames::new(batch.clone()).collect::<Result<_>>().unwrap();
        let joined = arrow::compute::concat_batches(&batch.schema(), &all).unwrap();
        assert_eq!(joined, batch);
        all
    }

    fn one(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([("c", column)]).unwrap()
    }

    #[test]
    fn frames_are_small_also_when_rows_differ() {
        let texts = (0..1_000).map(|i| {
            if i % 400 == 7 {
                "x".repeat(1_900_000)
            } else {
                "y".to_owned()
            }
        });
        let all = frames(one(Arc::new(StringArray::from_iter_values(texts))));
        assert!(all.len() >= 3);
        for frame in &all {
            assert!(batch_bytes(frame).unwrap() <= FRAME_BYTES);
        }
    }

    #[test]
    fn a_small_slice_of_a_large_batch_is_one_frame() {
        let long = one(Arc::new(Int32Array::from_iter_values(0..10_000_000)));
        assert_eq!(frames(long.slice(5_000, 100)).len(), 1);
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
            (0..10_000).map(|i| Some((0..300).map(move |j| Some(i + j)))),
        );
        let all = frames(one(Arc::new(lists.slice(100, 50))));
        assert_eq!(all.len(), 1);
        let all = frames(one(Arc::new(lists)));
        assert!((6..=13).contains(&all.len()), "{}", all.len());
    }

    #[test]
    fn a_row_that_no_client_takes_is_an_error() {
        let text = |bytes: usize| {
            one(Arc::new(StringArray::from(vec![
                "x".repeat(bytes),
                "y".to_owned(),
            ])))
        };
        assert_eq!(frames(text(5 << 20)).len(), 2);
        let error = Frames::new(text(ROW_BYTES_MAX)).find_map(Result::err).unwrap();
        assert_eq!(error.code(), SqlState::InsufficientResources);
        assert!(error.message().contains("15728640"), "{error}");
    }

    #[tokio::test]
    async fn cancelling_drops_rows_that_nobody_reads() {
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<RecordBatch>>(1);
        let switch = Switch::default();
        let batches = tokio_stream::wrappers::ReceiverStream::new(receiver).boxed();
        let mut guarded = switch.guard(batches);
        switch.cancel();
        assert!(sender.is_closed());
        assert_eq!(
            guarded.next().await.unwrap().unwrap_err().code(),
            SqlState::QueryCanceled
        );
        assert!(guarded.next().await.is_none());
    }

    #[tokio::test]
    async fn what_is_missing_is_told_after_the_rows() {
        let partial = Partial {
            completed_shards: 1,
            total_shards: 2,
            missing_shards: Vec::new(),
        };
        for told in [None, Some(partial)] {
            let batch = one(Arc::new(Int32Array::from_iter_values(0..3)));
            let schema = batch.schema();
            let rows = RowStream::new(Arc::clone(&schema), stream::iter([Ok(batch)]).boxed());
            let note = rows.partial.clone();
            let mut frames = encode(
                rows,
                schema,
                Bytes::new(),
                &Switch::default(),
                IpcWriteOptions::default(),
            );
            for _ in ["schema", "rows"] {
                assert!(frames.next().await.unwrap().unwrap().app_metadata.is_empty());
            }
            // As late as this.
            if let Some(told) = &told {
                note.set(told.clone());
            }
            let last = frames.try_next().await.unwrap();
            let closing = last.as_ref().map(|frame| Closing::from_json(&frame.app_metadata));
            assert_eq!(closing.clone().and_then(|closing| closing.partial), told);
            assert_eq!(
                closing.is_some_and(|closing| !closing.notices.is_empty()),
                told.is_some()
            );
            assert!(frames.next().await.is_none());
        }
    }
}
