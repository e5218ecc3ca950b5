//! What drivers are shown of a plan before it runs.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use watershed_core::Result;
use watershed_sql::plan::Plan;

/// One nullable field per parameter, in order.
pub(super) fn parameter_schema(plan: &Plan) -> Result<SchemaRef> {
    let fields: Vec<_> = plan
        .parameter_types()?
        .into_iter()
        .enumerate()
        .map(|(index, data_type)| {
            Field::new(
                format!("${}", index + 1),
                data_type.unwrap_or(DataType::Null),
                true,
            )
        })
        .collect();
    Ok(Arc::new(Schema::new(fields)))
}
