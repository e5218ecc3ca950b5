//! Values for a statement's parameters, as drivers send them.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Fields, Schema};
use arrow_flight::FlightData;
use arrow_flight::sql::server::PeekableFlightDataStream;
use datafusion::scalar::ScalarValue;
use futures::{Stream, TryStreamExt};
use tonic::Status;
use watershed_core::id::SessionId;
use watershed_core::net::from_status;
use watershed_core::{Error, Result, SqlState};

use super::convert;
use super::engine::{Engine, Executed, Keeps, Outcome, Prepared};
use super::frames::{self, Batches};

/// Bound values are kept until the statement runs.
pub(super) const BOUND_BYTES_MAX: usize = 64 << 20;

/// The parameters that values are read for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declared<'a> {
    pub(super) schema: &'a Schema,
    pub(super) keeps: &'a [Keeps],
}

impl<'a> Declared<'a> {
    pub(super) fn by(statement: &'a Prepared) -> Self {
        Self {
            schema: &statement.parameters,
            keeps: &statement.keeps,
        }
    }
}

/// The bytes of a batch's own rows. Columns that came in one message share a buffer, which counts once.
pub(super) fn size(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    let bytes = columns.map(|column| {
        let data = column.to_data();
        data.get_slice_memory_size()
            .unwrap_or_else(|_| column.get_array_memory_size())
    });
    bytes.sum()
}

/// Reads the batches that a client sends, in the types of `declared`.
pub(super) async fn read(
    frames: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    declared: Declared<'_>,
) -> Result<Vec<RecordBatch>> {
    let mut batches = Batches::of(frames);
    let mut read = Vec::new();
    let mut bytes = 0;
    while let Some(batch) = batches.next().await? {
        bytes += size(&batch);
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
    declared: Declared<'_>,
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
fn normalize(batch: &RecordBatch, declared: Declared<'_>) -> Result<RecordBatch> {
    let expected = declared.schema.fields();
    check_count(expected.len(), batch.num_columns())?;
    let columns = batch
        .columns()
        .iter()
        .zip(expected)
        .enumerate()
        .map(|(index, (column, field))| {
            let keeps = declared.keeps.get(index).copied().unwrap_or_default();
            convert::own_or_converted(index + 1, column, field.data_type(), keeps)
        })
        .collect::<Result<Vec<_>>>()?;
    let fields: Fields = columns
        .iter()
        .zip(expected)
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

/// The statement as it is with these values, which may decide about the types of its rows.
pub(super) async fn typed<E: Engine + ?Sized>(
    engine: &E,
    session: SessionId,
    statement: Arc<Prepared>,
    parameters: &[RecordBatch],
) -> Result<Arc<Prepared>> {
    let first = parameters.iter().find(|batch| batch.num_rows() > 0);
    match first.filter(|first| statement.is_query && decide_types(&statement, first)) {
        Some(first) => {
            let values = row(first, 0)?;
            let typed = engine.prepare_bound(session, &statement, &values).await?;
            Ok(Arc::new(typed))
        }
        None => Ok(statement),
    }
}

/// Whether the values decide about the types of a statement's rows.
fn decide_types(statement: &Prepared, values: &RecordBatch) -> bool {
    let given = values.schema();
    let declared = statement.parameters.fields().iter().zip(given.fields());
    declared.enumerate().any(|(index, (declared, given))| {
        match statement.keeps.get(index).copied().unwrap_or_default() {
            Keeps::None => false,
            Keeps::LargerNumbers => {
                given.data_type().is_numeric() && given.data_type() != declared.data_type()
            }
            Keeps::Own => true,
        }
    })
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
pub(crate) async fn execute_each<E: Engine + ?Sized>(
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
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::datatypes::DataType;

    use super::*;

    #[tokio::test]
    async fn columns_without_rows_are_values_for_no_execution() {
        let declared = Schema::new(vec![Field::new("$1", DataType::Int64, true)]);
        let read_all = async |columns: Vec<Field>| {
            let frames = arrow_flight::encode::FlightDataEncoderBuilder::new()
                .with_schema(Arc::new(Schema::new(columns)))
                .build(futures::stream::empty())
                .map_err(Status::from);
            let declared = Declared {
                schema: &declared,
                keeps: &[],
            };
            read(frames, declared).await
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
        let declared = Declared {
            schema: &declared,
            keeps: &[],
        };
        let error = normalize(&batch, declared).unwrap_err();
        assert_eq!(error.code(), SqlState::UndefinedParameter);
        assert_eq!(
            error.message(),
            "the statement has 1 parameters, and 2 were bound"
        );
    }
}
