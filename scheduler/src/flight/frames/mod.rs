//! Rows that clients send, looked at before Arrow decodes them: decoding trusts the types, counts and
//! lengths that a frame tells, and panics or asks for any amount of memory where they are wrong.

mod columns;

use std::panic::AssertUnwindSafe;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::{
    self, DateUnit, Endianness, Field, IntervalUnit, MessageHeader, Precision, TimeUnit, Type, UnionMode,
};
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use tonic::Status;
use watershed_core::net::from_status;
use watershed_core::{Error, Result, SqlState};

use columns::Columns;

const DECIMAL_DIGITS_MAX: i32 = 76;
const UNION_CHILDREN_MAX: usize = 127;

/// The batches of a client's frames.
pub(super) struct Batches(FlightRecordBatchStream);

impl Batches {
    pub(super) fn of(frames: impl Stream<Item = Result<FlightData, Status>> + Send + 'static) -> Self {
        let mut seen = Seen::default();
        let checked = frames.map(move |frame| {
            let frame = frame?;
            seen.check(&frame).map_err(FlightError::DecodeError)?;
            Ok(frame)
        });
        Self(FlightRecordBatchStream::new_from_flight_data(checked))
    }

    /// The columns, once a frame has told them.
    pub(super) fn schema(&self) -> Option<&SchemaRef> {
        self.0.schema()
    }

    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        match AssertUnwindSafe(self.0.try_next()).catch_unwind().await {
            Ok(next) => next.map_err(|error| unreadable(&error)),
            // A mistake that is not looked for yet. The stream is of no more use.
            Err(_) => Err(unreadable(&FlightError::DecodeError(PANICKED.to_owned()))),
        }
    }

    pub(super) fn into_stream(self) -> BoxStream<'static, Result<RecordBatch>> {
        let batches = stream::unfold(Some(self), |batches| async {
            let mut batches = batches?;
            let next = batches.next().await.transpose()?;
            let goes_on = next.is_ok().then_some(batches);
            Some((next, goes_on))
        });
        batches.boxed()
    }
}

const PANICKED: &str = "Arrow's decoder gave up";

/// How many columns the schema of a frame has.
pub(super) fn columns(frame: &FlightData) -> Result<usize> {
    Seen::default()
        .check(frame)
        .map_err(|reason| unreadable(&FlightError::DecodeError(reason)))?;
    let schema = arrow::datatypes::Schema::try_from(frame).map_err(|error| unreadable(&error.into()))?;
    Ok(schema.fields().len())
}

fn unreadable(error: &FlightError) -> Error {
    match error {
        FlightError::Tonic(status) => from_status(status),
        other => {
            Error::new(SqlState::DataException, "the sent rows cannot be read").with_detail(other.to_string())
        }
    }
}

type Checked<T = ()> = std::result::Result<T, String>;

fn ensure(condition: bool, reason: &str) -> Checked {
    if condition { Ok(()) } else { Err(reason.to_owned()) }
}

/// What a stream has told so far.
#[derive(Default)]
struct Seen {
    /// The message with the schema.
    schema: Bytes,
}

impl Seen {
    fn check(&mut self, frame: &FlightData) -> Checked {
        // What is no message is told so when it is decoded.
        let Ok(message) = ipc::root_as_message(&frame.data_header) else {
            return Ok(());
        };
        match message.header_type() {
            MessageHeader::Schema => {
                let schema = message.header_as_schema().ok_or("a schema without content")?;
                ensure(
                    schema.endianness() == Endianness::Little,
                    "numbers are big-endian",
                )?;
                let fields = schema.fields().ok_or("a schema without fields")?;
                fields.iter().try_for_each(check_field)?;
                self.schema = frame.data_header.clone();
                Ok(())
            }
            MessageHeader::RecordBatch => {
                let batch = message
                    .header_as_record_batch()
                    .ok_or("a batch without content")?;
                let mut columns = Columns::of(batch, &frame.data_body, message.version())?;
                for field in fields(&self.schema) {
                    columns.array(field, false)?;
                }
                columns.end()
            }
            MessageHeader::DictionaryBatch => {
                let dictionary = message
                    .header_as_dictionary_batch()
                    .ok_or("a dictionary without content")?;
                let batch = dictionary.data().ok_or("a dictionary without values")?;
                let mut columns = Columns::of(batch, &frame.data_body, message.version())?;
                match fields(&self.schema).find_map(|field| with_dictionary(field, dictionary.id())) {
                    Some(field) => columns.array(field, true)?,
                    None => return Err("a dictionary of no column".to_owned()),
                }
                columns.end()
            }
            _ => Ok(()),
        }
    }
}

/// The fields of a schema's message; none if there is no schema yet.
fn fields(schema: &Bytes) -> impl Iterator<Item = Field<'_>> {
    let message = ipc::root_as_message(schema).ok();
    let schema = message.and_then(|message| message.header_as_schema());
    schema.and_then(|schema| schema.fields()).into_iter().flatten()
}

fn children(field: Field<'_>) -> impl Iterator<Item = Field<'_>> {
    field.children().into_iter().flatten()
}

/// The field itself or one within it that has this dictionary.
fn with_dictionary(field: Field<'_>, id: i64) -> Option<Field<'_>> {
    if field.dictionary().is_some_and(|dictionary| dictionary.id() == id) {
        return Some(field);
    }
    children(field).find_map(|child| with_dictionary(child, id))
}

/// Whether a field's type is one that there is. The verifier of the message has bounded the depth.
fn check_field(field: Field<'_>) -> Checked {
    let is_integer = |int: ipc::Int<'_>| matches!(int.bitWidth(), 8 | 16 | 32 | 64);
    if let Some(dictionary) = field.dictionary() {
        ensure(
            dictionary.indexType().is_some_and(is_integer),
            "a dictionary without indices",
        )?;
    }
    let count = children(field).count();
    let fits = match field.type_type() {
        Type::Null
        | Type::Bool
        | Type::Binary
        | Type::BinaryView
        | Type::LargeBinary
        | Type::Utf8
        | Type::Utf8View
        | Type::LargeUtf8 => true,
        Type::Int => field.type_as_int().is_some_and(is_integer),
        Type::FixedSizeBinary => field
            .type_as_fixed_size_binary()
            .is_some_and(|bytes| bytes.byteWidth() > 0),
        Type::FloatingPoint => field.type_as_floating_point().is_some_and(|float| {
            matches!(
                float.precision(),
                Precision::HALF | Precision::SINGLE | Precision::DOUBLE
            )
        }),
        Type::Date => field
            .type_as_date()
            .is_some_and(|date| matches!(date.unit(), DateUnit::DAY | DateUnit::MILLISECOND)),
        Type::Time => field.type_as_time().is_some_and(|time| {
            matches!(
                (time.bitWidth(), time.unit()),
                (32, TimeUnit::SECOND | TimeUnit::MILLISECOND)
                    | (64, TimeUnit::MICROSECOND | TimeUnit::NANOSECOND)
            )
        }),
        Type::Timestamp => field
            .type_as_timestamp()
            .is_some_and(|timestamp| is_unit(timestamp.unit())),
        Type::Duration => field
            .type_as_duration()
            .is_some_and(|duration| is_unit(duration.unit())),
        Type::Interval => field.type_as_interval().is_some_and(|interval| {
            matches!(
                interval.unit(),
                IntervalUnit::YEAR_MONTH | IntervalUnit::DAY_TIME | IntervalUnit::MONTH_DAY_NANO
            )
        }),
        Type::Decimal => field.type_as_decimal().is_some_and(|decimal| {
            matches!(decimal.bitWidth(), 32 | 64 | 128 | 256)
                && (1..=DECIMAL_DIGITS_MAX).contains(&decimal.precision())
                && (-DECIMAL_DIGITS_MAX..=DECIMAL_DIGITS_MAX).contains(&decimal.scale())
        }),
        Type::List | Type::LargeList | Type::ListView | Type::LargeListView => count == 1,
        Type::FixedSizeList => {
            count == 1
                && field
                    .type_as_fixed_size_list()
                    .is_some_and(|list| list.listSize() > 0)
        }
        Type::Struct_ => true,
        Type::Map => {
            let is_entry = |child: Field<'_>| {
                child.type_type() == Type::Struct_ && children(child).count() == 2 && !child.nullable()
            };
            field.type_as_map().is_some() && count == 1 && children(field).all(is_entry)
        }
        Type::RunEndEncoded => {
            let ends = children(field).next().and_then(|child| child.type_as_int());
            count == 2 && ends.is_some_and(|ends| ends.is_signed() && matches!(ends.bitWidth(), 16 | 32 | 64))
        }
        Type::Union => field.type_as_union().is_some_and(|union| {
            let ids: Option<Vec<i32>> = union.typeIds().map(|ids| ids.iter().collect());
            matches!(union.mode(), UnionMode::Dense | UnionMode::Sparse)
                && count <= UNION_CHILDREN_MAX
                && ids.is_none_or(|ids| are_distinct(&ids, count))
        }),
        _ => false,
    };
    if !fits {
        let name = field.name().unwrap_or_default();
        return Err(format!("the type of column {name:?} is not known"));
    }
    children(field).try_for_each(check_field)
}

fn is_unit(unit: TimeUnit) -> bool {
    matches!(
        unit,
        TimeUnit::SECOND | TimeUnit::MILLISECOND | TimeUnit::MICROSECOND | TimeUnit::NANOSECOND
    )
}

fn are_distinct(ids: &[i32], count: usize) -> bool {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len() == count && ids.len() == count && sorted.iter().all(|id| (0..=127).contains(id))
}

#[cfg(test)]
mod tests;
