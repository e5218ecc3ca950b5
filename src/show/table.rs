//! Tables: columns aligned, numbers to the right.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use watershed_core::{Error, Result};

use super::{line, strong};

/// Prints a batch.
pub(crate) fn batch_table(batch: &RecordBatch, indent: &str) -> Result<()> {
    let failed =
        |error: ArrowError| Error::internal("an answer cannot be shown").with_detail(error.to_string());
    let options = FormatOptions::new()
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S"))
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S"));
    let formatters = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let schema = batch.schema();
    let header: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let rows = (0..batch.num_rows())
        .map(|row| {
            batch
                .columns()
                .iter()
                .zip(&formatters)
                .map(|(column, formatter)| match column.is_null(row) {
                    true => "-".to_owned(),
                    false => rounded(column.data_type(), formatter.value(row).to_string()),
                })
                .collect()
        })
        .collect::<Vec<Vec<String>>>();
    let right: Vec<bool> = schema
        .fields()
        .iter()
        .map(|field| field.data_type().is_numeric())
        .collect();
    table(&header, &rows, &right, indent);
    Ok(())
}

/// Prints rows under a header; `right` says which columns stand to the right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], right: &[bool], indent: &str) {
    let widths: Vec<usize> = header
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells
                .map(|cell| width(cell))
                .chain([width(name)])
                .max()
                .unwrap_or_default()
        })
        .collect();
    let align = |at: usize, text: &str, shown: String| {
        let gap = " ".repeat(widths[at].saturating_sub(width(text)));
        if right.get(at).copied().unwrap_or_default() {
            format!("{gap}{shown}")
        } else {
            format!("{shown}{gap}")
        }
    };
    let names = header
        .iter()
        .enumerate()
        .map(|(at, name)| align(at, name, strong(name)));
    line(format_args!(
        "{indent}{}",
        names.collect::<Vec<_>>().join("  ").trim_end()
    ));
    let rules = widths.iter().map(|width| "─".repeat(*width));
    line(format_args!("{indent}{}", rules.collect::<Vec<_>>().join("  ")));
    for row in rows {
        let cells = row
            .iter()
            .take(widths.len())
            .enumerate()
            .map(|(at, cell)| align(at, cell, cell.clone()));
        line(format_args!(
            "{indent}{}",
            cells.collect::<Vec<_>>().join("  ").trim_end()
        ));
    }
}

/// Nobody reads the last digits of an average.
fn rounded(data_type: &DataType, text: String) -> String {
    match text.parse::<f64>() {
        Ok(value) if data_type.is_floating() => format!("{value:.1}"),
        Ok(_) | Err(_) => text,
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}
