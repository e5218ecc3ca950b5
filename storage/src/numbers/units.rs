//! Comparisons of a file's instants with literals of a finer unit.
//!
//! A table's instants are microseconds, while a file's may be milliseconds or seconds. DataFusion takes the cast
//! off the column and puts it on the literal, which cuts the literal's last digits. Here such comparisons are
//! written over the file's own unit, so that they are exact and statistics can still be asked.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::physical_plan::{FileScanConfig, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Literal, lit};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use datafusion::physical_plan::ExecutionPlan;

/// The plan with scans of Parquet that compare instants exactly. How a scan adapts to its files does not travel
/// with plans, so that each process calls this for what it runs.
pub fn with_exact_units(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let scan = node
            .downcast_ref::<DataSourceExec>()
            .and_then(|source| source.data_source().downcast_ref::<FileScanConfig>())
            .filter(|scan| scan.file_source().downcast_ref::<ParquetSource>().is_some());
        let Some(scan) = scan.filter(|scan| scan.expr_adapter_factory.is_none()) else {
            return Ok(Transformed::no(node));
        };
        let mut scan = scan.clone();
        scan.expr_adapter_factory = Some(Arc::new(ExactUnits));
        let scan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(scan);
        Ok(Transformed::yes(scan))
    })
    .data()
}

#[derive(Debug)]
struct ExactUnits;

impl PhysicalExprAdapterFactory for ExactUnits {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let inner = DefaultPhysicalExprAdapterFactory.create(table, Arc::clone(&file))?;
        Ok(Arc::new(Adapter { inner, file }))
    }
}

#[derive(Debug)]
struct Adapter {
    inner: Arc<dyn PhysicalExprAdapter>,
    file: SchemaRef,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let expr = self.inner.rewrite(expr)?;
        expr.transform_up(|expr| {
            Ok(match exact(&expr, &self.file) {
                Some(exact) => Transformed::yes(exact),
                None => Transformed::no(expr),
            })
        })
        .data()
    }
}

/// A comparison of a cast column with a literal that its own unit does not hold, as one that is exact.
fn exact(expr: &Arc<dyn PhysicalExpr>, file: &SchemaRef) -> Option<Arc<dyn PhysicalExpr>> {
    let comparison = expr.downcast_ref::<BinaryExpr>()?;
    let sides = [
        (comparison.left(), *comparison.op(), comparison.right()),
        (comparison.right(), comparison.op().swap()?, comparison.left()),
    ];
    sides.into_iter().find_map(|(cast, op, literal)| {
        let cast = cast.downcast_ref::<CastExpr>()?;
        let literal = literal.downcast_ref::<Literal>()?;
        let column = cast.expr();
        let DataType::Timestamp(unit, zone) = column.data_type(file).ok()? else {
            return None;
        };
        let (value, of) = instant(literal.value())?;
        let ratio = per_second(of) / per_second(unit);
        if ratio <= 1 || value.rem_euclid(ratio) == 0 {
            return None;
        }
        let instant = |value: i64| lit(timestamp(value, unit, zone.clone()));
        let (op, right) = match op {
            Operator::Lt | Operator::LtEq => (Operator::LtEq, instant(value.div_euclid(ratio))),
            Operator::Gt | Operator::GtEq => (Operator::Gt, instant(value.div_euclid(ratio))),
            // False of all but NULL, and true of all but NULL.
            Operator::Eq => (Operator::Lt, instant(i64::MIN)),
            Operator::NotEq => (Operator::GtEq, instant(i64::MIN)),
            Operator::IsDistinctFrom => return Some(lit(true)),
            Operator::IsNotDistinctFrom => return Some(lit(false)),
            _ => return None,
        };
        Some(Arc::new(BinaryExpr::new(Arc::clone(column), op, right)) as Arc<dyn PhysicalExpr>)
    })
}

fn instant(value: &ScalarValue) -> Option<(i64, TimeUnit)> {
    match value {
        ScalarValue::TimestampSecond(Some(value), _) => Some((*value, TimeUnit::Second)),
        ScalarValue::TimestampMillisecond(Some(value), _) => Some((*value, TimeUnit::Millisecond)),
        ScalarValue::TimestampMicrosecond(Some(value), _) => Some((*value, TimeUnit::Microsecond)),
        ScalarValue::TimestampNanosecond(Some(value), _) => Some((*value, TimeUnit::Nanosecond)),
        _ => None,
    }
}

fn timestamp(value: i64, unit: TimeUnit, zone: Option<Arc<str>>) -> ScalarValue {
    match unit {
        TimeUnit::Second => ScalarValue::TimestampSecond(Some(value), zone),
        TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(value), zone),
        TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(Some(value), zone),
        TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(Some(value), zone),
    }
}

/// How many of a unit a second has.
pub(super) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};
    use datafusion::physical_expr::expressions::{binary, col};

    use super::*;

    fn adapted(op: Operator, micros: i64) -> Option<(Operator, i64)> {
        let schema = |unit| {
            let kind = DataType::Timestamp(unit, Some("UTC".into()));
            Arc::new(Schema::new(vec![Field::new("at", kind, true)]))
        };
        let (table, file) = (schema(TimeUnit::Microsecond), schema(TimeUnit::Millisecond));
        let literal = lit(timestamp(micros, TimeUnit::Microsecond, Some("UTC".into())));
        let expr = binary(col("at", &table).unwrap(), op, literal, &table).unwrap();
        let adapter = ExactUnits.create(table, file).unwrap();
        let expr = adapter.rewrite(expr).unwrap();
        let comparison = expr.downcast_ref::<BinaryExpr>().unwrap();
        let literal = comparison.right().downcast_ref::<Literal>().unwrap();
        match literal.value() {
            ScalarValue::TimestampMillisecond(Some(millis), _) => Some((*comparison.op(), *millis)),
            _ => None,
        }
    }

    #[test]
    fn what_a_unit_does_not_hold_is_between_two_that_it_does() {
        assert_eq!(adapted(Operator::Lt, 1_500), Some((Operator::LtEq, 1)));
        assert_eq!(adapted(Operator::LtEq, 1_500), Some((Operator::LtEq, 1)));
        assert_eq!(adapted(Operator::GtEq, 1_500), Some((Operator::Gt, 1)));
        assert_eq!(adapted(Operator::Gt, -1_500), Some((Operator::Gt, -2)));
        assert_eq!(adapted(Operator::Eq, 1_500), Some((Operator::Lt, i64::MIN)));
        assert_eq!(adapted(Operator::Eq, 2_000), None);
    }
}
