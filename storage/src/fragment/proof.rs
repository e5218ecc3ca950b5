//! Which conditions are true of all rows of a file, seen from its statistics: over such a file a query
//! with the condition is the query without it. A window that moves over time shares all files that lie
//! wholly within.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, Result, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::NotExpr;
use datafusion::physical_expr::simplifier::PhysicalExprSimplifier;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;

/// For each file, whether `conjunct` is true of every row of it.
pub(super) fn true_of_all(
    conjunct: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    files: &[PartitionedFile],
) -> Result<Vec<bool>> {
    let places: Option<Vec<usize>> = collect_columns(conjunct)
        .iter()
        .map(|column| {
            let (place, field) = schema.column_with_name(column.name())?;
            is_bounded(field.data_type()).then_some(place)
        })
        .collect();
    let Some(places) = places.filter(|places| !places.is_empty()) else {
        return Ok(vec![false; files.len()]);
    };
    // What no row makes false is true of all, if none makes it unknown.
    let conjunct = reassign_expr_columns(Arc::clone(conjunct), schema)?;
    // Pruning knows comparisons, and not their negation as such.
    let opposite = PhysicalExprSimplifier::new(schema).simplify(Arc::new(NotExpr::new(conjunct)))?;
    let predicate = PruningPredicateBuilder::new()
        .with_file_schema(Arc::clone(schema))
        .try_build(opposite)?;
    let may_be_false = predicate.prune(&FileStatistics { schema, files })?;
    Ok(files
        .iter()
        .zip(may_be_false)
        .map(|(file, may_be_false)| !may_be_false && places.iter().all(|place| has_no_null(file, *place)))
        .collect())
}

/// Types whose bounds hold all values of a file. Those of texts may be cut, and NaN is in none.
fn is_bounded(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Boolean | DataType::Date32 | DataType::Timestamp(_, _)
        )
}

fn has_no_null(file: &PartitionedFile, place: usize) -> bool {
    column(file, place).is_some_and(|column| column.null_count == Precision::Exact(0))
}

fn column(file: &PartitionedFile, place: usize) -> Option<&ColumnStatistics> {
    file.statistics.as_ref()?.column_statistics.get(place)
}

struct FileStatistics<'a> {
    schema: &'a SchemaRef,
    files: &'a [PartitionedFile],
}

impl FileStatistics<'_> {
    fn bounds(
        &self,
        name: &Column,
        bound: impl Fn(&ColumnStatistics) -> &Precision<ScalarValue>,
    ) -> Option<ArrayRef> {
        let (place, field) = self.schema.column_with_name(&name.name)?;
        let unknown = ScalarValue::try_from(field.data_type()).ok()?;
        let values = self.files.iter().map(|file| {
            column(file, place)
                .and_then(|statistics| bound(statistics).get_value())
                .map_or_else(|| unknown.clone(), Clone::clone)
        });
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for FileStatistics<'_> {
    fn min_values(&self, name: &Column) -> Option<ArrayRef> {
        self.bounds(name, |statistics| &statistics.min_value)
    }

    fn max_values(&self, name: &Column) -> Option<ArrayRef> {
        self.bounds(name, |statistics| &statistics.max_value)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, name: &Column) -> Option<ArrayRef> {
        let (place, _) = self.schema.column_with_name(&name.name)?;
        let counts: UInt64Array = self
            .files
            .iter()
            .map(|file| match column(file, place)?.null_count {
                Precision::Exact(nulls) => u64::try_from(nulls).ok(),
                Precision::Inexact(_) | Precision::Absent => None,
            })
            .collect();
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};
    use datafusion::common::Statistics;
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::expressions::{binary, col, lit};

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("at", DataType::Int64, true),
            Field::new("ratio", DataType::Float64, true),
        ]))
    }

    fn file(min: i64, max: i64, nulls: usize) -> PartitionedFile {
        let bounds = |min, max| ColumnStatistics {
            null_count: Precision::Exact(nulls),
            min_value: Precision::Inexact(min),
            max_value: Precision::Inexact(max),
            ..ColumnStatistics::new_unknown()
        };
        let mut file = PartitionedFile::new("a.parquet", 100);
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let ratio = bounds(ScalarValue::from(min as f64), ScalarValue::from(max as f64));
        file.statistics = Some(Arc::new(Statistics {
            num_rows: Precision::Exact(10),
            total_byte_size: Precision::Absent,
            column_statistics: vec![bounds(ScalarValue::from(min), ScalarValue::from(max)), ratio],
        }));
        file
    }

    fn proven(column: &str, operator: Operator, value: ScalarValue) -> Vec<bool> {
        let schema = schema();
        let condition = binary(col(column, &schema).unwrap(), operator, lit(value), &schema).unwrap();
        let unknown = PartitionedFile::new("b.parquet", 100);
        let files = [file(10, 20, 0), file(5, 20, 0), file(10, 20, 1), unknown];
        true_of_all(&condition, &schema, &files).unwrap()
    }

    #[test]
    fn a_condition_is_proven_by_bounds_of_files_without_nulls() {
        let value = |value: i64| ScalarValue::from(value);
        assert_eq!(
            proven("at", Operator::GtEq, value(10)),
            [true, false, false, false]
        );
        assert_eq!(
            proven("at", Operator::Gt, value(10)),
            [false, false, false, false]
        );
        assert_eq!(proven("at", Operator::Lt, value(21)), [true, true, false, false]);
        assert_eq!(
            proven("at", Operator::NotEq, value(7)),
            [true, false, false, false]
        );
    }

    #[test]
    fn bounds_without_nan_prove_nothing() {
        assert_eq!(proven("ratio", Operator::Lt, ScalarValue::from(30.0)), [false; 4]);
    }
}
