//! The parameters of a statement as drivers are shown them, and values for many runs of one INSERT.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use futures::StreamExt;
use watershed_core::{Error, Result};
use watershed_sql::catalog::Object;
use watershed_sql::dialect::{self, InsertedRow};
use watershed_sql::plan::{Firmness, Ingest, IngestMode, Parameter};

use super::Engine;
use super::sessions::Session;
use crate::flight::{Keeps, Prepared, RowStream};

/// One nullable field per parameter, in order.
pub(super) fn schema(parameters: &[Parameter]) -> SchemaRef {
    let fields = parameters.iter().enumerate().map(|(index, parameter)| {
        let name = format!("${}", index + 1);
        Field::new(name, parameter.data_type.clone(), true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

pub(super) fn keeps(parameters: &[Parameter]) -> Vec<Keeps> {
    let keeps = parameters.iter().map(|parameter| match parameter.firmness {
        Firmness::Fixed => Keeps::None,
        Firmness::Compared => Keeps::LargerNumbers,
        Firmness::Free => Keeps::Own,
    });
    keeps.collect()
}

/// Rows for a table.
pub(super) struct Rows {
    pub(super) into: Ingest,
    pub(super) rows: RowStream,
}

impl Engine {
    /// The bound values as rows of a table, where the statement inserts one row of nothing but parameters: all
    /// of them then go into one commit.
    pub(super) fn inserted_rows(
        &self,
        session: &Arc<Session>,
        statement: &Prepared,
        values: &[RecordBatch],
    ) -> Result<Option<Rows>> {
        let Some(InsertedRow {
            table,
            columns,
            parameters,
        }) = dialect::inserted_row(&statement.sql)?
        else {
            return Ok(None);
        };
        let catalog = session.catalog(self.parts().catalog.current());
        let columns = match catalog.find(&table, &session.schema()) {
            _ if !columns.is_empty() => columns,
            Some(Object::Table(def)) => def
                .layout
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect(),
            _ => return Ok(None),
        };
        let Some(first) = values.first().filter(|_| columns.len() == parameters.len()) else {
            return Ok(None);
        };
        let places: Vec<usize> = parameters
            .iter()
            .filter_map(|number| number.checked_sub(1))
            .collect();
        let unfit = |error: arrow::error::ArrowError| {
            Error::internal("bound values are no rows of the table").with_detail(error.to_string())
        };
        let given = first.schema().project(&places).map_err(unfit)?;
        let fields = given.fields().iter().zip(&columns);
        let fields = fields.map(|(field, name)| field.as_ref().clone().with_name(name));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let mut batches = Vec::with_capacity(values.len());
        for batch in values {
            if batch.schema() != first.schema() {
                return Ok(None);
            }
            let columns = places
                .iter()
                .filter_map(|place| batch.columns().get(*place).cloned());
            batches.push(RecordBatch::try_new(Arc::clone(&schema), columns.collect()).map_err(unfit));
        }
        Ok(Some(Rows {
            into: Ingest {
                table,
                mode: IngestMode::Append,
            },
            rows: RowStream::new(schema, futures::stream::iter(batches).boxed()),
        }))
    }
}
