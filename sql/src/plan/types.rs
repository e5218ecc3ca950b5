//! Types in queries: `TIMESTAMP`, `STRING` and `JSON` mean there what they mean in tables.

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::planner::TypePlanner;
use sqlparser::ast::{self, ArrayElemTypeDef};
use std::sync::Arc;
use watershed_storage::error::into_datafusion;

use crate::dialect::column_type;

/// TIMESTAMP: an instant in µs of UTC.
pub(super) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

#[derive(Debug)]
pub(super) struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, declared: &ast::DataType) -> Result<Option<FieldRef>> {
        match declared {
            // A length in a cast is no promise that is kept later: DataFusion passes over it.
            ast::DataType::Varchar(_)
            | ast::DataType::CharacterVarying(_)
            | ast::DataType::Char(_)
            | ast::DataType::Character(_)
            | ast::DataType::String(_)
            | ast::DataType::Text
            | ast::DataType::JSON
            | ast::DataType::JSONB => Ok(Some(field(DataType::Utf8))),
            ast::DataType::Timestamp(_, _) | ast::DataType::Datetime(_) => Ok(Some(field(timestamp()))),
            ast::DataType::Array(
                ArrayElemTypeDef::AngleBracket(_) | ArrayElemTypeDef::SquareBracket(_, None),
            )
            | ast::DataType::Struct(_, _)
            | ast::DataType::Binary(_)
            | ast::DataType::Varbinary(_)
            | ast::DataType::Blob(_)
            | ast::DataType::Custom(_, _)
            | ast::DataType::Int64
            | ast::DataType::Int32
            | ast::DataType::Int16
            | ast::DataType::Float64
            | ast::DataType::Float32 => column_type(declared)
                .map(|kind| Some(field(kind.arrow())))
                .map_err(into_datafusion),
            _ => Ok(None),
        }
    }
}

fn field(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("", data_type, true))
}
