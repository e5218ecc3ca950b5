//! The types that drivers know: what a schema looks like on the wire, and how rows are brought into it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::{IpcMessage, SchemaAsIpc};
use bytes::Bytes;
use watershed_core::{Error, Result, SqlState};

const TYPE_NAME: &str = "ARROW:FLIGHT:SQL:TYPE_NAME";
const PRECISION: &str = "ARROW:FLIGHT:SQL:PRECISION";
const SCALE: &str = "ARROW:FLIGHT:SQL:SCALE";
const REMARKS: &str = "ARROW:FLIGHT:SQL:REMARKS";
const IS_AUTO_INCREMENT: &str = "ARROW:FLIGHT:SQL:IS_AUTO_INCREMENT";
const IS_CASE_SENSITIVE: &str = "ARROW:FLIGHT:SQL:IS_CASE_SENSITIVE";
const IS_SEARCHABLE: &str = "ARROW:FLIGHT:SQL:IS_SEARCHABLE";
const CATALOG_NAME: &str = "ARROW:FLIGHT:SQL:CATALOG_NAME";
/// The specification's name, and the one that the C++ and Java libraries look for.
const SCHEMA_NAMES: [&str; 2] = ["ARROW:FLIGHT:SQL:DB_SCHEMA_NAME", "ARROW:FLIGHT:SQL:SCHEMA_NAME"];
const TABLE_NAME: &str = "ARROW:FLIGHT:SQL:TABLE_NAME";
/// Where the engine says what a column is beyond its Arrow type.
const OUR_TYPE: &str = "watershed.type";
const COMMENT: &str = "comment";

/// The schema that a client is told and gets: plain types, each with the name SQL has for it; on request
/// view types.
pub fn result_schema(schema: &Schema, views: bool) -> SchemaRef {
    annotated(schema, views, |_, _| ())
}

/// The schema of a table, as `GetTables` gives it.
pub fn table_schema(schema: &Schema, catalog: &str, db_schema: &str, table: &str) -> SchemaRef {
    annotated(schema, false, |field, metadata| {
        metadata.insert(CATALOG_NAME.to_owned(), catalog.to_owned());
        for key in SCHEMA_NAMES {
            metadata.insert(key.to_owned(), db_schema.to_owned());
        }
        metadata.insert(TABLE_NAME.to_owned(), table.to_owned());
        metadata.insert(IS_AUTO_INCREMENT.to_owned(), "0".to_owned());
        metadata.insert(IS_SEARCHABLE.to_owned(), "1".to_owned());
        let is_text = plain(field.data_type()) == DataType::Utf8;
        metadata.insert(IS_CASE_SENSITIVE.to_owned(), u8::from(is_text).to_string());
        if let Some(comment) = field.metadata().get(COMMENT) {
            metadata.insert(REMARKS.to_owned(), comment.clone());
        }
    })
}

/// The schema of a statement's parameters: every one may be NULL.
pub fn parameter_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let data_type = plain(field.data_type());
        Field::new(field.name(), data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

/// The schema of rows that a client sends, in the types that the engine takes them in.
pub fn plain_schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(
        schema.fields().iter().map(plain_field).collect::<Fields>(),
    ))
}

fn annotated(schema: &Schema, views: bool, more: impl Fn(&Field, &mut HashMap<String, String>)) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let data_type = match plain(field.data_type()) {
            DataType::Utf8 if views => DataType::Utf8View,
            DataType::Binary if views => DataType::BinaryView,
            plain => plain,
        };
        let mut metadata = HashMap::from([(TYPE_NAME.to_owned(), type_name(field, &data_type))]);
        if let DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) = data_type {
            metadata.insert(PRECISION.to_owned(), precision.to_string());
            metadata.insert(SCALE.to_owned(), scale.to_string());
        }
        if let Some(ours) = field.metadata().get(OUR_TYPE) {
            metadata.insert(OUR_TYPE.to_owned(), ours.clone());
        }
        more(field, &mut metadata);
        Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata)
    });
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

/// The type that drivers know for one that some of them do not.
pub fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, value) => plain(value),
        DataType::RunEndEncoded(_, value) => plain(value.data_type()),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => DataType::List(plain_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(plain_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(plain_field(entries), *sorted),
        other => other.clone(),
    }
}

fn plain_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(
        field.name(),
        plain(field.data_type()),
        field.is_nullable(),
    ))
}

/// What SQL calls a column's type, in the words that most tools know.
fn type_name(field: &Field, data_type: &DataType) -> String {
    if field.metadata().get(OUR_TYPE).is_some_and(|ours| ours == "json") {
        return "JSON".to_owned();
    }
    sql_name(data_type)
}

fn sql_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Null => "NULL",
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INTEGER",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INTEGER UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        DataType::Float32 => "FLOAT",
        DataType::Float64 => "DOUBLE",
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => "DECIMAL",
        DataType::Utf8 | DataType::Utf8View => "VARCHAR",
        DataType::Binary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "BINARY",
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Timestamp(_, _) => "TIMESTAMP",
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL",
        DataType::List(item) | DataType::FixedSizeList(item, _) => {
            return format!("ARRAY<{}>", sql_name(item.data_type()));
        }
        DataType::Struct(_) => "STRUCT",
        DataType::Map(_, _) => "MAP",
        other => return other.to_string().to_uppercase(),
    };
    name.to_owned()
}

/// A schema as the encapsulated message that Flight SQL puts into fields of bytes.
pub fn message(schema: &Schema) -> Result<Bytes> {
    let options = IpcWriteOptions::default();
    IpcMessage::try_from(SchemaAsIpc::new(schema, &options))
        .map(|IpcMessage(bytes)| bytes)
        .map_err(|error| Error::internal("a schema cannot be encoded").with_detail(error.to_string()))
}

/// Checks that rows are of the columns that a client was told of when the statement was planned: files and views may
/// have changed since. Casting them would cut values, or show them under others' names. The values of parameters may
/// decide names and types, so that less is checked `with_values`.
pub fn check_unchanged(planned: &Schema, rows: &Schema, with_values: bool) -> Result<()> {
    if planned.fields().len() != rows.fields().len() {
        return Err(changed(format!(
            "there were {} columns, now there are {}",
            planned.fields().len(),
            rows.fields().len()
        )));
    }
    if with_values {
        return Ok(());
    }
    for (planned, found) in planned.fields().iter().zip(rows.fields()) {
        if planned.name() != found.name() {
            return Err(changed(format!(
                "column \"{}\" is called \"{}\" now",
                planned.name(),
                found.name()
            )));
        }
        let (before, now) = (plain(planned.data_type()), plain(found.data_type()));
        if !same_kind(&before, &now) {
            return Err(changed(format!(
                "column \"{}\" was {before}, and is {now} now",
                planned.name()
            )));
        }
    }
    Ok(())
}

/// Whether types are the same but for what their parts are called, and whether these may be NULL.
fn same_kind(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::Struct(a), DataType::Struct(b)) => {
            let mut pairs = a.iter().zip(b);
            a.len() == b.len()
                && pairs.all(|(a, b)| a.name() == b.name() && same_kind(a.data_type(), b.data_type()))
        }
        (DataType::List(a), DataType::List(b)) | (DataType::Map(a, _), DataType::Map(b, _)) => {
            same_kind(a.data_type(), b.data_type())
        }
        (a, b) => a.equals_datatype(b),
    }
}

/// Brings a batch into the schema that the client was told.
pub fn conform(batch: &RecordBatch, declared: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != declared.fields().len() {
        return Err(changed(format!(
            "there were {} columns, now there are {}",
            declared.fields().len(),
            batch.num_columns()
        )));
    }
    let columns = batch
        .columns()
        .iter()
        .zip(declared.fields())
        .map(|(column, field)| conform_column(column, field))
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(declared), columns, &options)
        .map_err(|error| changed(error.to_string()))
}

fn conform_column(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, field.data_type(), &options)
        .map_err(|error| changed(format!("column \"{}\": {error}", field.name())))
}

fn changed(detail: String) -> Error {
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        "the rows are not of the types that the statement was planned with",
    )
    .with_detail(detail)
    .with_hint("Run the statement again, or prepare it again: a table may have changed since.")
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int32Array, LargeListArray, StringArray, StringViewArray};
    use arrow::datatypes::{Int8Type, Int32Type};

    use super::*;

    #[test]
    fn exotic_types_become_plain_ones_and_keep_their_values() {
        let list = LargeListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)]), None]);
        let dictionary: DictionaryArray<Int8Type> = ["a", "b"].into_iter().collect();
        let batch = RecordBatch::try_from_iter([
            ("v", Arc::new(StringViewArray::from(vec!["x", "y"])) as ArrayRef),
            ("d", Arc::new(dictionary)),
            ("l", Arc::new(list)),
        ])
        .unwrap();
        let schema = result_schema(batch.schema_ref(), false);
        let types: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| sql_name(field.data_type()))
            .collect();
        assert_eq!(types, ["VARCHAR", "VARCHAR", "ARRAY<INTEGER>"]);
        assert_eq!(result_schema(&schema, false), schema);
        let views = result_schema(&schema, true);
        assert_eq!(views.field(1).data_type(), &DataType::Utf8View);
        assert_eq!(views.field(1).metadata(), schema.field(1).metadata());
        let batch_of_views = conform(&batch, &views).unwrap();
        assert_eq!(
            conform(&batch_of_views, &schema).unwrap(),
            conform(&batch, &schema).unwrap()
        );

        let plain = conform(&batch, &schema).unwrap();
        let expected: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        assert_eq!(plain.column(1), &expected);
        assert_eq!(plain.schema(), schema);
    }

    #[test]
    fn columns_that_have_changed_are_refused() {
        let schema = |columns: &[(&str, DataType)]| {
            let fields = columns
                .iter()
                .map(|(name, kind)| Field::new(*name, kind.clone(), true));
            Schema::new(fields.collect::<Fields>())
        };
        let told = schema(&[("a", DataType::Int64), ("b", DataType::Utf8View)]);
        let same = schema(&[("a", DataType::Int64), ("b", DataType::Utf8)]);
        check_unchanged(&told, &same, false).unwrap();
        for changed in [
            schema(&[("a", DataType::Float64), ("b", DataType::Utf8)]),
            schema(&[("b", DataType::Int64), ("a", DataType::Utf8)]),
            schema(&[("a", DataType::Int64)]),
        ] {
            let error = check_unchanged(&told, &changed, false).unwrap_err();
            assert_eq!(error.code(), SqlState::ObjectNotInPrerequisiteState);
        }
        check_unchanged(
            &told,
            &schema(&[("$1", DataType::Int32), ("b", DataType::Utf8)]),
            true,
        )
        .unwrap();
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        let declared = |fields: Vec<Field>| Arc::new(Schema::new(fields));
        let batch =
            RecordBatch::try_from_iter([("a", Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef)])
                .unwrap();
        let check = |fields, expected: &str| {
            let error = conform(&batch, &declared(fields)).unwrap_err();
            assert_eq!(error.code(), SqlState::ObjectNotInPrerequisiteState);
            assert!(error.detail().unwrap_or_default().contains(expected), "{error:?}");
        };
        check(vec![], "there were 0 columns, now there are 1");
        check(vec![Field::new("a", DataType::Int32, false)], "null");
        check(
            vec![
                Field::new("a", DataType::Date64, true),
                Field::new("b", DataType::Int8, true),
            ],
            "columns",
        );
        assert!(conform(&batch, &declared(vec![Field::new("a", DataType::Int64, true)])).is_ok());
    }

    #[test]
    fn tables_say_where_they_are() {
        let decimal = Field::new("n", DataType::Decimal128(10, 2), false);
        let json = Field::new("j", DataType::Utf8, true)
            .with_metadata(HashMap::from([(OUR_TYPE.to_owned(), "json".to_owned())]));
        let schema = table_schema(&Schema::new(vec![decimal, json]), "c", "s", "t");
        let metadata = |field: usize, key: &str| schema.field(field).metadata().get(key).map(String::as_str);
        assert_eq!(metadata(0, TYPE_NAME), Some("DECIMAL"));
        assert_eq!(
            (metadata(0, PRECISION), metadata(0, SCALE)),
            (Some("10"), Some("2"))
        );
        assert_eq!(metadata(1, TYPE_NAME), Some("JSON"));
        assert_eq!(SCHEMA_NAMES.map(|key| metadata(1, key)), [Some("s"); 2]);
        assert_eq!(
            [0, 1].map(|field| metadata(field, IS_CASE_SENSITIVE)),
            [Some("0"), Some("1")]
        );
        assert!(!schema.field(0).is_nullable());
    }
}
