//! Rows that are written to live tables, read value by value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type};
use watershed_core::{Error, Result, SqlState};

/// One row. Of an UPDATE it is the row as it will be, or as it is.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    batch: &'a RecordBatch,
    row: usize,
    prefix: &'static str,
}

/// Every row, in order.
pub(super) fn rows(batches: &[RecordBatch]) -> impl Iterator<Item = Written<'_>> {
    batches.iter().flat_map(|batch| {
        (0..batch.num_rows()).map(move |row| Written {
            batch,
            row,
            prefix: "",
        })
    })
}

impl<'a> Written<'a> {
    /// Of an UPDATE, the row as it is.
    pub(super) fn before(self) -> Self {
        Self {
            prefix: "old ",
            ..self
        }
    }

    fn column(&self, name: &str) -> Option<&'a ArrayRef> {
        let column = self.batch.column_by_name(&format!("{}{name}", self.prefix))?;
        column.is_valid(self.row).then_some(column)
    }

    pub(super) fn is_null(&self, name: &str) -> bool {
        self.column(name).is_none()
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        let column = Arc::clone(self.column(name)?);
        column
            .as_string_opt::<i32>()
            .map(|texts| texts.value(self.row).to_owned())
    }

    pub(super) fn int(&self, name: &str) -> Option<i32> {
        let numbers = self.column(name)?.as_primitive_opt::<Int32Type>()?;
        Some(numbers.value(self.row))
    }

    pub(super) fn double(&self, name: &str) -> Option<f64> {
        let numbers = self.column(name)?.as_primitive_opt::<Float64Type>()?;
        Some(numbers.value(self.row))
    }
}

/// The error of a row, which says which one: the first is 1.
pub(super) fn in_row(index: usize, error: Error) -> Error {
    let told = Error::new(error.code(), format!("row {}: {}", index + 1, error.message()));
    let told = match error.detail() {
        Some(detail) => told.with_detail(detail),
        None => told,
    };
    match error.hint() {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

/// A value that a row has to give.
pub(super) fn given(value: Option<String>, column: &str) -> Result<String> {
    value.ok_or_else(|| Error::new(SqlState::NotNullViolation, format!("{column} is NULL")))
}
