//! `typeof(x)`: the type of a value as SQL here writes it. `pg_typeof(x)`: as PostgreSQL does.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::layout::ColumnType;

pub(super) fn type_of() -> Arc<ScalarUDF> {
    named("typeof")
}

pub(super) fn pg_type_of() -> Arc<ScalarUDF> {
    named("pg_typeof")
}

fn named(name: &'static str) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(TypeName {
        name,
        signature: Signature::any(1, Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TypeName {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for TypeName {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(field) = args.arg_fields.first() else {
            return exec_err!("{} takes an argument", self.name);
        };
        let name = match self.name {
            "typeof" => of(field.data_type()),
            _ => postgres(field.data_type()),
        };
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(name))))
    }
}

/// The name of a type as SQL here writes it.
pub(crate) fn of(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "NULL".to_owned(),
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL".to_owned(),
        other => ColumnType::from_arrow(other).map_or_else(|| other.to_string(), |kind| kind.sql()),
    }
}

fn postgres(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => "smallint",
        DataType::UInt16 | DataType::Int32 => "integer",
        DataType::UInt32 | DataType::Int64 => "bigint",
        DataType::UInt64
        | DataType::Decimal32(_, _)
        | DataType::Decimal64(_, _)
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _) => "numeric",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytea"
        }
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time without time zone",
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone",
        DataType::Timestamp(_, None) => "timestamp without time zone",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::ListView(element)
        | DataType::LargeListView(element) => return format!("{}[]", postgres(element.data_type())),
        DataType::Dictionary(_, value) => return postgres(value),
        DataType::Struct(_) => "record",
        DataType::Null => "unknown",
        other => return other.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names() {
        assert_eq!(of(&DataType::Int64), "BIGINT");
        assert_eq!(of(&DataType::Decimal128(5, 2)), "DECIMAL(5, 2)");
        let list = DataType::new_list(DataType::Int32, true);
        assert_eq!(postgres(&list), "integer[]");
        assert_eq!(postgres(&DataType::Utf8View), "text");
    }
}
