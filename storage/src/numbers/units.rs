//! Instants of files: in their own unit where they are compared with literals, in microseconds elsewhere.
//!
//! A table's instants are microseconds, while a file's may be of any unit. DataFusion takes the cast off the column and
//! puts it on the literal, which cuts the literal's last digits. Here such comparisons are written over the file's own
//! unit, so that they are exact and statistics can still be asked. Elsewhere [`InMicros`] converts the values.

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

use super::in_micros::InMicros;

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
            if let Some(instants) = in_micros(&expr, &self.file)? {
                return Ok(Transformed::yes(instants));
            }
            Ok(match exact(&expr, &self.file) {
                Some(exact) => Transformed::yes(exact),
                None => Transformed::no(expr),
            })
        })
        .data()
    }
}

/// A cast of a file's instants to those of a table, as a conversion that rounds.
fn in_micros(expr: &Arc<dyn PhysicalExpr>, file: &SchemaRef) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let Some(cast) = expr.downcast_ref::<CastExpr>() else {
        return Ok(None);
    };
    let column = cast.expr();
    let (from, to) = (column.data_type(file)?, expr.data_type(file)?);
    let converted = InMicros::kind(&from);
    if column.is::<InMicros>() || converted == from || InMicros::kind(&to) != to {
        return Ok(None);
    }
    let instants = Arc::new(InMicros::new(Arc::clone(column)));
    if converted == to {
        return Ok(Some(instants));
    }
    // In another zone an instant has another date and time of day, which only the session's cast to that zone gives.
    if matches!(&from, DataType::Timestamp(_, Some(zone)) if !matches!(zone.as_ref(), "UTC" | "+00:00")) {
        return Ok(None);
    }
    Ok(Some(Arc::clone(expr).with_new_children(vec![instants])?))
}

/// A comparison of a file's instants with a literal, over the file's unit.
fn exact(expr: &Arc<dyn PhysicalExpr>, file: &SchemaRef) -> Option<Arc<dyn PhysicalExpr>> {
    let comparison = expr.downcast_ref::<BinaryExpr>()?;
    let sides = [
        (comparison.left(), *comparison.op(), comparison.right()),
        (comparison.right(), comparison.op().swap()?, comparison.left()),
    ];
    sides.into_iter().find_map(|(instants, op, literal)| {
        let column = instants.downcast_ref::<InMicros>()?.of();
        let literal = literal.downcast_ref::<Literal>()?;
        let DataType::Timestamp(unit, zone) = column.data_type(file).ok()? else {
            return None;
        };
        let (value, of) = instant(literal.value())?;
        let compare = |op, value: i64| -> Arc<dyn PhysicalExpr> {
            let instant = lit(timestamp(value, unit, zone.clone()));
            Arc::new(BinaryExpr::new(Arc::clone(column), op, instant))
        };
        let (ours, literals) = (per_second(unit), per_second(of));
        match ours > literals {
            true => compared_with_rounded(op, value, ours / literals, compare),
            false => compared_with_finer(op, value, literals / ours, compare),
        }
    })
}

/// Of values that are rounded by `ratio`, a half up.
fn compared_with_rounded(
    op: Operator,
    value: i64,
    ratio: i64,
    compare: impl Fn(Operator, i64) -> Arc<dyn PhysicalExpr>,
) -> Option<Arc<dyn PhysicalExpr>> {
    let middle = value.checked_mul(ratio)?;
    // What is rounded to the value is at least the first, and less than the second.
    let (low, high) = (middle.checked_sub(ratio / 2)?, middle.checked_add(ratio / 2)?);
    let both = |left, op, right| -> Arc<dyn PhysicalExpr> { Arc::new(BinaryExpr::new(left, op, right)) };
    Some(match op {
        Operator::Lt => compare(Operator::Lt, low),
        Operator::LtEq => compare(Operator::Lt, high),
        Operator::Gt => compare(Operator::GtEq, high),
        Operator::GtEq => compare(Operator::GtEq, low),
        Operator::Eq => both(
            compare(Operator::GtEq, low),
            Operator::And,
            compare(Operator::Lt, high),
        ),
        Operator::NotEq => both(
            compare(Operator::Lt, low),
            Operator::Or,
            compare(Operator::GtEq, high),
        ),
        _ => return None,
    })
}

/// Of a literal whose unit is as fine as the column's, or `ratio` times finer.
fn compared_with_finer(
    op: Operator,
    value: i64,
    ratio: i64,
    compare: impl Fn(Operator, i64) -> Arc<dyn PhysicalExpr>,
) -> Option<Arc<dyn PhysicalExpr>> {
    let whole = value.div_euclid(ratio);
    if value.rem_euclid(ratio) == 0 {
        return op.supports_propagation().then(|| compare(op, whole));
    }
    Some(match op {
        Operator::Lt | Operator::LtEq => compare(Operator::LtEq, whole),
        Operator::Gt | Operator::GtEq => compare(Operator::Gt, whole),
        // False of all but NULL, and true of all but NULL.
        Operator::Eq => compare(Operator::Lt, i64::MIN),
        Operator::NotEq => compare(Operator::GtEq, i64::MIN),
        Operator::IsDistinctFrom => lit(true),
        Operator::IsNotDistinctFrom => lit(false),
        _ => return None,
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

    fn adapted(op: Operator, unit: TimeUnit, micros: i64) -> String {
        let schema = |unit| {
            let kind = DataType::Timestamp(unit, Some("UTC".into()));
            Arc::new(Schema::new(vec![Field::new("at", kind, true)]))
        };
        let (table, file) = (schema(TimeUnit::Microsecond), schema(unit));
        let literal = lit(timestamp(micros, TimeUnit::Microsecond, Some("UTC".into())));
        let expr = binary(col("at", &table).unwrap(), op, literal, &table).unwrap();
        let adapter = ExactUnits.create(table, file).unwrap();
        let text = adapter.rewrite(expr).unwrap().to_string();
        text.replace("at@0 ", "")
    }

    #[test]
    fn comparisons_over_the_unit_of_the_file() {
        let check = |op, unit, micros, expected: &str| {
            let found = adapted(op, unit, micros);
            assert_eq!(found, expected);
        };
        let millis = TimeUnit::Millisecond;
        // What a unit does not hold is between two values that it does.
        check(Operator::Lt, millis, 1_500, "<= 1");
        check(Operator::LtEq, millis, 1_500, "<= 1");
        check(Operator::GtEq, millis, 1_500, "> 1");
        check(Operator::Gt, millis, -1_500, "> -2");
        check(Operator::Eq, millis, 1_500, "< -9223372036854775808");
        check(Operator::Eq, millis, 2_000, "= 2");
        let nanos = TimeUnit::Nanosecond;
        check(Operator::Lt, nanos, 2, "< 1500");
        check(Operator::LtEq, nanos, 2, "< 2500");
        check(Operator::Gt, nanos, -2, ">= -1500");
        check(Operator::GtEq, nanos, 2, ">= 1500");
    }
}
