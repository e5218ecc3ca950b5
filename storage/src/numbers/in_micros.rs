//! A file's instants in the unit of tables: nanoseconds are rounded to the nearest microsecond, a half up, as rows that
//! are inserted are. DataFusion's cast cuts towards zero, and fails at times that it cannot put on a calendar.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeListArray, ListArray, RecordBatch, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use watershed_core::error::{Error, SqlState};

use super::units::per_second;
use crate::error::into_datafusion;

/// The values of an expression over a file's columns, with instants in microseconds of UTC at any depth.
#[derive(Debug)]
pub(super) struct InMicros(Arc<dyn PhysicalExpr>);

impl PartialEq for InMicros {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl Eq for InMicros {}

impl Hash for InMicros {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl InMicros {
    pub(super) fn new(of: Arc<dyn PhysicalExpr>) -> Self {
        Self(of)
    }

    pub(super) fn of(&self) -> &Arc<dyn PhysicalExpr> {
        &self.0
    }

    /// What a type becomes.
    pub(super) fn kind(kind: &DataType) -> DataType {
        let inner = |field: &FieldRef| renewed(field, Self::kind(field.data_type()));
        match kind {
            DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            DataType::List(item) => DataType::List(inner(item)),
            DataType::LargeList(item) => DataType::LargeList(inner(item)),
            DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
            other => other.clone(),
        }
    }

    fn convert(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let kind = Self::kind(values.data_type());
        if kind == *values.data_type() && !matches!(kind, DataType::Timestamp(..)) {
            return Ok(Arc::clone(values));
        }
        let nulls = values.nulls().cloned();
        Ok(match values.data_type() {
            DataType::Timestamp(unit, _) => self.instants(values, *unit)?,
            DataType::List(item) => {
                let list = values.as_list::<i32>();
                let items = self.convert(list.values())?;
                let item = renewed(item, items.data_type().clone());
                Arc::new(ListArray::try_new(item, list.offsets().clone(), items, nulls)?)
            }
            DataType::LargeList(item) => {
                let list = values.as_list::<i64>();
                let items = self.convert(list.values())?;
                let item = renewed(item, items.data_type().clone());
                Arc::new(LargeListArray::try_new(
                    item,
                    list.offsets().clone(),
                    items,
                    nulls,
                )?)
            }
            DataType::Struct(fields) => {
                let columns = values.as_struct().columns().iter();
                let columns = columns
                    .map(|column| self.convert(column))
                    .collect::<Result<Vec<_>>>()?;
                let fields: Fields = fields
                    .iter()
                    .zip(&columns)
                    .map(|(field, column)| renewed(field, column.data_type().clone()))
                    .collect();
                Arc::new(StructArray::try_new_with_length(
                    fields,
                    columns,
                    nulls,
                    values.len(),
                )?)
            }
            other => return internal_err!("{other} has no instants"),
        })
    }

    fn instants(&self, values: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef> {
        let micros = per_second(TimeUnit::Microsecond);
        let of = per_second(unit);
        let values = cast(values, &DataType::Int64)?;
        let values = values.as_primitive::<Int64Type>();
        let converted = values.try_unary::<_, TimestampMicrosecondType, _>(|value| {
            let value = match of > micros {
                true => {
                    let ratio = of / micros;
                    let up = value.rem_euclid(ratio) >= ratio / 2;
                    value.div_euclid(ratio).checked_add(i64::from(up))
                }
                false => value.checked_mul(micros / of),
            };
            value.ok_or_else(|| into_datafusion(self.out_of_range()))
        })?;
        Ok(Arc::new(converted.with_timezone("UTC")))
    }

    fn out_of_range(&self) -> Error {
        let column = self.0.to_string();
        let name = column.rsplit_once('@').map_or(column.as_str(), |(name, _)| name);
        Error::new(
            SqlState::DatetimeFieldOverflow,
            format!("a timestamp in column \"{name}\" of a file is out of range"),
        )
        .with_detail("microseconds of 64 bits end 292,000 years from now")
        .with_hint(format!("Leave out such rows with a condition on \"{name}\"."))
    }
}

fn renewed(field: &Field, kind: DataType) -> FieldRef {
    Arc::new(field.clone().with_data_type(kind))
}

impl fmt::Display for InMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in_micros({})", self.0)
    }
}

impl PhysicalExpr for InMicros {
    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        let field = self.0.return_field(schema)?;
        let kind = Self::kind(field.data_type());
        Ok(renewed(&field, kind))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        Ok(match self.0.evaluate(batch)? {
            ColumnarValue::Array(values) => ColumnarValue::Array(self.convert(&values)?),
            ColumnarValue::Scalar(value) => {
                let values = self.convert(&value.to_array()?)?;
                ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?)
            }
        })
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match children.pop() {
            Some(child) if children.is_empty() => Ok(Arc::new(Self(child))),
            _ => internal_err!("in_micros has one child"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampNanosecondArray;
    use datafusion::physical_expr::expressions::col;

    use super::*;

    fn converted(values: Vec<i64>, unit: TimeUnit) -> Result<Vec<i64>> {
        let values: ArrayRef = Arc::new(TimestampNanosecondArray::from(values));
        let values = cast(
            &cast(&values, &DataType::Int64)?,
            &DataType::Timestamp(unit, None),
        )?;
        let field = Field::new("v", values.data_type().clone(), true);
        let instants = InMicros::new(col("v", &Schema::new(vec![field]))?);
        let found = instants.convert(&values)?;
        let found = found.as_primitive::<TimestampMicrosecondType>();
        Ok(found.values().to_vec())
    }

    #[test]
    fn nanoseconds_are_rounded() {
        let nanos = vec![-5, -500, -501, -1_500, -1_501, 499, 500, 1_500, 39_999_999_995];
        let expected = [0, 0, -1, -1, -2, 0, 1, 2, 40_000_000];
        assert_eq!(converted(nanos, TimeUnit::Nanosecond).unwrap(), expected);
        assert_eq!(converted(vec![-2], TimeUnit::Second).unwrap(), [-2_000_000]);
    }

    #[test]
    fn infinite_times_stay() {
        let infinite = vec![i64::MAX, -i64::MAX];
        assert_eq!(
            converted(infinite.clone(), TimeUnit::Microsecond).unwrap(),
            infinite
        );
        let error = converted(infinite, TimeUnit::Second).unwrap_err();
        let error = crate::error::from_datafusion(error);
        assert_eq!(error.code(), SqlState::DatetimeFieldOverflow);
        assert!(error.message().contains("\"v\""), "{error:?}");
    }
}
