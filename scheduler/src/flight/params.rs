//! Values for a statement's parameters, as drivers send them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow_flight::FlightData;
use arrow_flight::sql::server::PeekableFlightDataStream;
use datafusion::scalar::ScalarValue;
use futures::{Stream, TryStreamExt};
use tonic::Status;
use watershed_core::id::SessionId;
use watershed_core::net::from_status;
use watershed_core::{Error, Result, SqlState};

use super::engine::{Engine, Executed, Outcome, Prepared};
use super::frames::{self, Batches};

/// Bound values are kept until the statement runs.
pub(super) const BOUND_BYTES_MAX: usize = 64 << 20;

/// Reads the batches that a client sends, in the types of `declared`.
pub(super) async fn read(
    frames: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    declared: &Schema,
) -> Result<Vec<RecordBatch>> {
    let mut batches = Batches::of(frames);
    let mut read = Vec::new();
    let mut bytes = 0;
    while let Some(batch) = batches.next().await? {
        bytes += batch.get_array_memory_size();
        if bytes > BOUND_BYTES_MAX {
            return Err(Error::new(
                SqlState::InsufficientResources,
                format!("the bound values are larger than the limit of {BOUND_BYTES_MAX} bytes"),
            )
            .with_hint("Bind fewer rows at a time."));
        }
        read.push(normalize(&batch, declared)?);
    }
    // Columns without rows are values for no execution, which is other than no values.
    if read.is_empty()
        && let Some(schema) = batches.schema().filter(|schema| !schema.fields().is_empty())
    {
        read.push(normalize(&RecordBatch::new_empty(Arc::clone(schema)), declared)?);
    }
    Ok(read)
}

/// Reads the values that come with an update. `None` if there are none but a schema without columns,
/// which some clients send with a command whose values they bound before.
pub(super) async fn read_update(
    mut sent: PeekableFlightDataStream,
    declared: &Schema,
) -> Result<Option<Vec<RecordBatch>>> {
    let columns = match sent.peek().await {
        Some(Ok(first)) => frames::columns(first)?,
        Some(Err(status)) => return Err(from_status(status)),
        None => 0,
    };
    match columns {
        0 => Ok(None),
        _ => read(sent, declared).await.map(Some),
    }
}

/// Values are bound by position: drivers name their columns as they like.
fn normalize(batch: &RecordBatch, declared: &Schema) -> Result<RecordBatch> {
    check_count(declared.fields().len(), batch.num_columns())?;
    let columns = batch
        .columns()
        .iter()
        .zip(declared.fields())
        .enumerate()
        .map(|(index, (column, field))| value_column(index + 1, column, field.data_type()))
        .collect::<Result<Vec<_>>>()?;
    let fields: Fields = columns
        .iter()
        .zip(declared.fields())
        .map(|(column, field)| Field::new(field.name(), column.data_type().clone(), true))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|error| Error::internal("bound values do not fit").with_detail(error.to_string()))
}

/// A statement with parameters needs values for them, though perhaps for no row.
pub(super) fn check_bound(expected: usize, batches: &[RecordBatch]) -> Result<()> {
    match batches {
        [] => check_count(expected, 0),
        _ => Ok(()),
    }
}

fn check_count(expected: usize, given: usize) -> Result<()> {
    if expected == given {
        return Ok(());
    }
    Err(Error::new(
        SqlState::UndefinedParameter,
        format!("the statement has {expected} parameters, and {given} were bound"),
    )
    .with_hint("Bind one value for every $n or ?."))
}

fn value_column(number: usize, column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    let column = without_union(number, column)?;
    if column.data_type() == wanted || *wanted == DataType::Null {
        return Ok(column);
    }
    let mismatch = |detail: String| {
        let code = match column.data_type() {
            given if given.is_numeric() => SqlState::NumericValueOutOfRange,
            _ => SqlState::InvalidTextRepresentation,
        };
        Error::new(
            code,
            format!("the value of parameter ${number} does not fit its type {wanted}"),
        )
        .with_detail(detail)
    };
    let converted = cast(&column, wanted).map_err(|error| mismatch(error.to_string()))?;
    // A float as a decimal is rounded as everywhere; all else that would be cut is an error.
    let given = column.data_type();
    if given.is_floating() && wanted.is_integer()
        || is_decimal(given) && (wanted.is_integer() || is_decimal(wanted))
    {
        let back = cast(&converted, given).map_err(|error| mismatch(error.to_string()))?;
        if back.as_ref() != column.as_ref() {
            return Err(mismatch("it would lose its fraction".to_owned()));
        }
    }
    // A time without a zone is one of the session's, which the statement has when it runs.
    if needs_zone(given, wanted) {
        return match given {
            DataType::Date32 | DataType::Timestamp(_, _) => Ok(column),
            _ => cast(&column, &DataType::Utf8).map_err(|error| mismatch(error.to_string())),
        };
    }
    Ok(converted)
}

/// Whether the session's zone decides about a value's conversion.
fn needs_zone(given: &DataType, wanted: &DataType) -> bool {
    match (given, wanted) {
        (DataType::Timestamp(_, Some(_)), DataType::Date32) => true,
        (DataType::Timestamp(_, None) | DataType::Date32, DataType::Timestamp(_, Some(_))) => true,
        (given, DataType::Timestamp(_, Some(_))) => super::wire::plain(given) == DataType::Utf8,
        _ => false,
    }
}

fn is_decimal(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Decimal32(_, _)
            | DataType::Decimal64(_, _)
            | DataType::Decimal128(_, _)
            | DataType::Decimal256(_, _)
    )
}

fn cast(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, to, &options)
}

/// Some drivers send every value as a union of all types they know.
fn without_union(number: usize, column: &ArrayRef) -> Result<ArrayRef> {
    if !matches!(column.data_type(), DataType::Union(_, _)) {
        return Ok(Arc::clone(column));
    }
    let unreadable = |error: &dyn std::fmt::Display| {
        Error::new(
            SqlState::DatatypeMismatch,
            format!("the values of parameter ${number} are not of one type"),
        )
        .with_detail(error.to_string())
    };
    let mut values = (0..column.len())
        .map(|row| ScalarValue::try_from_array(column, row).map(inner))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(&error))?;
    let data_type = values
        .iter()
        .map(ScalarValue::data_type)
        .find(|data_type| *data_type != DataType::Null)
        .unwrap_or(DataType::Null);
    for value in &mut values {
        if value.data_type() != data_type {
            *value = value.cast_to(&data_type).map_err(|error| unreadable(&error))?;
        }
    }
    if values.is_empty() {
        return Ok(arrow::array::new_empty_array(&data_type));
    }
    ScalarValue::iter_to_array(values).map_err(|error| unreadable(&error))
}

fn inner(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Union(Some((_, value)), _, _) => inner(*value),
        ScalarValue::Union(None, _, _) => ScalarValue::Null,
        // A union has no NULLs of its own: those who need one write a NULL of whatever type.
        value if value.is_null() => ScalarValue::Null,
        value => value,
    }
}

/// One row's values.
pub(super) fn row(batch: &RecordBatch, row: usize) -> Result<Vec<ScalarValue>> {
    batch
        .columns()
        .iter()
        .map(|column| ScalarValue::try_from_array(column, row))
        .collect::<Result<_, _>>()
        .map_err(|error| {
            Error::new(
                SqlState::DatatypeMismatch,
                "a bound value has a type that is not supported",
            )
            .with_detail(error.to_string())
        })
}

/// Every row of some batches, by batch and number.
pub(super) fn rows(batches: &[RecordBatch]) -> impl Iterator<Item = (usize, usize)> + Send + 'static {
    let counts: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
    counts
        .into_iter()
        .enumerate()
        .flat_map(|(batch, rows)| (0..rows).map(move |row| (batch, row)))
}

/// Runs a statement once per row, and adds up.
pub(super) async fn execute_each<E: Engine + ?Sized>(
    engine: &E,
    session: SessionId,
    statement: &Prepared,
    parameters: &[RecordBatch],
) -> Result<Executed> {
    let mut total = Executed::from(Outcome::Done);
    let mut count: Option<u64> = None;
    for (batch, number) in rows(parameters) {
        let values = parameters
            .get(batch)
            .map_or_else(|| Ok(Vec::new()), |batch| row(batch, number))?;
        let executed = engine.execute(session, statement, &values).await?;
        total.notices.extend(executed.notices);
        total.warnings.extend(executed.warnings);
        total.notices.truncate(super::NOTICES_MAX);
        total.warnings.truncate(super::NOTICES_MAX);
        match executed.outcome {
            Outcome::Count(rows) => count = Some(count.unwrap_or(0) + rows),
            Outcome::Rows(mut rows) => while rows.batches.try_next().await?.is_some() {},
            Outcome::Done => (),
        }
    }
    if let Some(count) = count {
        total.outcome = Outcome::Count(count);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, NullArray, StringArray,
        TimestampSecondArray, UnionArray,
    };
    use arrow::buffer::ScalarBuffer;
    use arrow::datatypes::{TimeUnit, UnionFields};

    use super::*;

    fn check(given: ArrayRef, wanted: &DataType, expected: Result<ArrayRef, SqlState>) {
        let result = value_column(1, &given, wanted).map_err(|error| error.code());
        assert_eq!(result, expected, "{given:?} as {wanted}");
    }

    #[test]
    fn values_take_the_parameters_type() {
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        check(
            Arc::clone(&ints),
            &DataType::Int32,
            Ok(Arc::new(Int32Array::from(vec![Some(1), None]))),
        );
        check(
            Arc::new(Int64Array::from(vec![1 << 40])),
            &DataType::Int32,
            Err(SqlState::NumericValueOutOfRange),
        );
        check(
            Arc::new(NullArray::new(1)),
            &DataType::Utf8,
            Ok(Arc::new(StringArray::from(vec![None::<&str>]))),
        );
        check(
            Arc::new(StringArray::from(vec!["x"])),
            &DataType::Int32,
            Err(SqlState::InvalidTextRepresentation),
        );
        check(Arc::clone(&ints), &DataType::Null, Ok(ints));
    }

    #[test]
    fn a_fraction_is_not_lost_silently() {
        let float = |value| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
        check(
            float(2.0),
            &DataType::Int32,
            Ok(Arc::new(Int32Array::from(vec![2]))),
        );
        check(
            float(1.5),
            &DataType::Int32,
            Err(SqlState::NumericValueOutOfRange),
        );
        let decimal = |value, scale| {
            let array = Decimal128Array::from(vec![value]).with_precision_and_scale(10, scale);
            Arc::new(array.unwrap()) as ArrayRef
        };
        check(float(0.1), &DataType::Decimal128(10, 2), Ok(decimal(10, 2)));
        check(decimal(150, 2), &DataType::Decimal128(10, 1), Ok(decimal(15, 1)));
        check(
            decimal(155, 2),
            &DataType::Decimal128(10, 1),
            Err(SqlState::NumericValueOutOfRange),
        );
    }

    #[test]
    fn times_without_a_zone_wait_for_the_sessions() {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let text: ArrayRef = Arc::new(StringArray::from(vec!["2026-07-01 00:30:00"]));
        let day: ArrayRef = Arc::new(Date32Array::from(vec![7]));
        let local: ArrayRef = Arc::new(TimestampSecondArray::from(vec![7]));
        for value in [&text, &day, &local] {
            check(Arc::clone(value), &instant, Ok(Arc::clone(value)));
        }
        let view = cast(&text, &DataType::Utf8View).unwrap();
        check(view, &instant, Ok(text));
        let zoned: ArrayRef = Arc::new(TimestampSecondArray::from(vec![7]).with_timezone("+02:00"));
        check(Arc::clone(&zoned), &DataType::Date32, Ok(Arc::clone(&zoned)));
        check(Arc::clone(&zoned), &instant, Ok(cast(&zoned, &instant).unwrap()));
        let unreadable = Arc::new(StringArray::from(vec!["soon"]));
        check(unreadable, &instant, Err(SqlState::InvalidTextRepresentation));
    }

    #[test]
    fn unions_are_opened() {
        let fields = UnionFields::from_fields([
            Field::new("i", DataType::Int64, true),
            Field::new("s", DataType::Utf8, true),
        ]);
        let union = |types: Vec<i8>, offsets: Vec<i32>| {
            let children: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from(vec![Some(7), None])),
                Arc::new(StringArray::from(vec!["8"])),
            ];
            let offsets = Some(ScalarBuffer::from(offsets));
            Arc::new(UnionArray::try_new(fields.clone(), types.into(), offsets, children).unwrap())
                as ArrayRef
        };
        check(
            union(vec![0, 0], vec![0, 1]),
            &DataType::Int32,
            Ok(Arc::new(Int32Array::from(vec![Some(7), None]))),
        );
        check(
            union(vec![0, 1], vec![0, 0]),
            &DataType::Null,
            Ok(Arc::new(Int64Array::from(vec![7, 8]))),
        );
    }

    #[tokio::test]
    async fn columns_without_rows_are_values_for_no_execution() {
        let declared = Schema::new(vec![Field::new("$1", DataType::Int64, true)]);
        let read_all = async |columns: Vec<Field>| {
            let frames = arrow_flight::encode::FlightDataEncoderBuilder::new()
                .with_schema(Arc::new(Schema::new(columns)))
                .build(futures::stream::empty())
                .map_err(Status::from);
            read(frames, &declared).await
        };
        let values = read_all(vec![Field::new("0", DataType::Int32, true)])
            .await
            .unwrap();
        assert_eq!(values.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [0]);
        assert!(check_bound(1, &values).is_ok());
        let none = read_all(vec![]).await.unwrap();
        assert!(none.is_empty() && check_bound(1, &none).is_err());
    }

    #[test]
    fn the_number_of_values_is_checked() {
        let declared = Schema::new(vec![Field::new("$1", DataType::Int64, true)]);
        let batch = RecordBatch::try_from_iter([
            ("0", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
            ("1", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
        ])
        .unwrap();
        let error = normalize(&batch, &declared).unwrap_err();
        assert_eq!(error.code(), SqlState::UndefinedParameter);
        assert_eq!(
            error.message(),
            "the statement has 1 parameters, and 2 were bound"
        );
    }
}
