//! Rows in the columns that a client was told of when it prepared the statement. A table or view may have
//! changed since: columns are found by name, and a statement that gives others is refused.

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use futures::StreamExt;
use watershed_core::{Error, Result, SqlState};

use super::engine::RowStream;
use super::wire::plain;

/// The rows with the announced columns, in their order.
pub(super) fn rows(rows: RowStream, announced: &SchemaRef) -> Result<RowStream> {
    if is_same(&rows.schema, announced) {
        return Ok(rows);
    }
    let places = places(&rows.schema, announced).ok_or_else(changed)?;
    let schema = rows.schema.project(&places).map_err(|_| changed())?;
    let batches = rows.batches.map(move |batch| project(&batch?, &places)).boxed();
    Ok(RowStream {
        schema: SchemaRef::new(schema),
        batches,
        progress: rows.progress,
        partial: rows.partial,
    })
}

fn project(batch: &RecordBatch, places: &[usize]) -> Result<RecordBatch> {
    batch
        .project(places)
        .map_err(|error| Error::internal("a batch lacks columns").with_detail(error.to_string()))
}

fn is_same(given: &Schema, announced: &Schema) -> bool {
    given.fields().len() == announced.fields().len()
        && given
            .fields()
            .iter()
            .zip(announced.fields())
            .all(|(given, announced)| is_same_column(given, announced))
}

fn is_same_column(given: &Field, announced: &Field) -> bool {
    given.name() == announced.name()
        && plain(given.data_type()).equals_datatype(&plain(announced.data_type()))
}

/// The place of each announced column. None if one is missing, is of another type, or is there twice.
fn places(given: &Schema, announced: &Schema) -> Option<Vec<usize>> {
    let mut places = Vec::with_capacity(announced.fields().len());
    for column in announced.fields() {
        let mut named = given
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| field.name() == column.name());
        let (place, field) = named.next()?;
        if named.next().is_some() || places.contains(&place) || !is_same_column(field, column) {
            return None;
        }
        places.push(place);
    }
    Some(places)
}

fn changed() -> Error {
    Error::new(
        SqlState::FeatureNotSupported,
        "the columns of the prepared statement have changed since it was prepared",
    )
    .with_hint("Prepare it again.")
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    fn schema(columns: &[(&str, DataType)]) -> Schema {
        let fields = columns
            .iter()
            .map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
        Schema::new(fields.collect::<Vec<_>>())
    }

    #[test]
    fn columns_are_found_by_name() {
        use DataType::{Int64, Utf8, Utf8View};
        fn check(given: &[(&str, DataType)], announced: &[(&str, DataType)], expected: Option<&[usize]>) {
            let found = places(&schema(given), &schema(announced));
            assert_eq!(found.as_deref(), expected, "{given:?} as {announced:?}");
        }
        let announced = [("a", Int64), ("b", Utf8)];
        check(&[("b", Utf8View), ("a", Int64)], &announced, Some(&[1, 0]));
        check(
            &[("b", Utf8), ("c", Utf8), ("a", Int64)],
            &announced,
            Some(&[2, 0]),
        );
        check(&[("a", Utf8), ("b", Int64)], &announced, None);
        let decimal = |precision| DataType::Decimal128(precision, 2);
        check(&[("a", decimal(9))], &[("a", decimal(9))], Some(&[0]));
        check(&[("a", decimal(9))], &[("a", decimal(10))], None);
        check(&[("a", Int64)], &announced, None);
        check(&[("a", Int64), ("a", Int64), ("b", Utf8)], &announced, None);
        assert!(is_same(
            &schema(&[("a", Int64), ("b", Utf8View)]),
            &schema(&announced)
        ));
        assert!(!is_same(
            &schema(&[("b", Utf8), ("a", Int64)]),
            &schema(&announced)
        ));
    }
}
