//! `information_schema.columns`.

use arrow::datatypes::{DataType, TimeUnit};
use watershed_core::error::Result;
use watershed_storage::layout::Limit;

use crate::catalog::{CATALOG_NAME, Object};
use crate::plan::names::Expanding;
use crate::plan::rows::Cell;
use crate::plan::show::{type_of, yes_no};
use crate::plan::{PlanContext, Scans, query};

pub(super) const NAMES: [&str; 21] = [
    "table_catalog",
    "table_schema",
    "table_name",
    "column_name",
    "ordinal_position",
    "column_default",
    "is_nullable",
    "data_type",
    "is_generated",
    "generation_expression",
    "comment",
    "character_maximum_length",
    "character_octet_length",
    "numeric_precision",
    "numeric_precision_radix",
    "numeric_scale",
    "datetime_precision",
    "interval_type",
    "collation_name",
    "is_identity",
    "is_updatable",
];

pub(super) async fn rows(context: &PlanContext<'_>, expanding: Expanding<'_>) -> Result<Vec<Vec<Cell>>> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let seen = |object: &&Object| context.access.sees(object);
    for object in context.catalog.all_objects().filter(seen) {
        let row = |index: usize, name: &str| -> Vec<Cell> {
            vec![
                CATALOG_NAME.into(),
                object.schema().into(),
                object.name().into(),
                name.into(),
                Cell::Number(i64::try_from(index + 1).unwrap_or(i64::MAX)),
                None.into(),
            ]
        };
        let declared = object.columns();
        for (index, column) in declared.iter().enumerate() {
            let mut row = row(index, &column.name);
            let generated = column.generated.is_some();
            row.extend([
                yes_no(column.nullable).into(),
                column.sql_type().into(),
                if generated { "ALWAYS" } else { "NEVER" }.into(),
                column.generated.clone().into(),
                column.comment.clone().into(),
            ]);
            row.extend(measures(&column.data_type.arrow(), column.limit));
            rows.push(row);
        }
        if !declared.is_empty() {
            continue;
        }
        // A view whose tables are gone, or files that cannot be read, have no columns to show; that
        // is no reason to refuse those of all others.
        // Each view has the limits of a statement of its own.
        let scans = Scans::of_schema();
        let context = &PlanContext {
            scans: &scans,
            ..context.clone()
        };
        let Ok(schema) = query::schema_of(object, context, expanding).await else {
            continue;
        };
        for (index, field) in schema.fields().iter().enumerate() {
            let mut row = row(index, field.name());
            row.extend([
                yes_no(field.is_nullable()).into(),
                type_of(field).into(),
                "NEVER".into(),
                None.into(),
                None.into(),
            ]);
            row.extend(measures(field.data_type(), None));
            rows.push(row);
        }
    }
    Ok(rows)
}

/// What the standard says of a type beside its name: lengths, precisions, scale.
fn measures(data_type: &DataType, limit: Option<Limit>) -> [Cell; 10] {
    let number = |number: Option<i64>| number.map_or(Cell::Text(None), Cell::Number);
    let length = limit.and_then(Limit::characters).map(i64::from);
    let (precision, radix, scale) = numeric(data_type)
        .map_or((None, None, None), |(precision, radix, scale)| {
            (Some(precision), Some(radix), scale)
        });
    [
        number(length),
        // A character of UTF-8 has four bytes at most.
        number(length.map(|length| length.saturating_mul(4))),
        number(precision),
        number(radix),
        number(scale),
        number(fraction_digits(data_type)),
        None.into(),
        None.into(),
        "NO".into(),
        "NO".into(),
    ]
}

/// Precision, its radix, and scale where values have one.
fn numeric(data_type: &DataType) -> Option<(i64, i64, Option<i64>)> {
    Some(match data_type {
        DataType::Int8 | DataType::UInt8 => (8, 2, Some(0)),
        DataType::Int16 | DataType::UInt16 => (16, 2, Some(0)),
        DataType::Int32 | DataType::UInt32 => (32, 2, Some(0)),
        DataType::Int64 | DataType::UInt64 => (64, 2, Some(0)),
        DataType::Float16 => (11, 2, None),
        DataType::Float32 => (24, 2, None),
        DataType::Float64 => (53, 2, None),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (i64::from(*precision), 10, Some(i64::from(*scale))),
        _ => return None,
    })
}

/// Digits of a second's fraction.
fn fraction_digits(data_type: &DataType) -> Option<i64> {
    Some(match data_type {
        DataType::Date32 | DataType::Date64 => 0,
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => match unit {
            TimeUnit::Second => 0,
            TimeUnit::Millisecond => 3,
            TimeUnit::Microsecond => 6,
            TimeUnit::Nanosecond => 9,
        },
        _ => return None,
    })
}
