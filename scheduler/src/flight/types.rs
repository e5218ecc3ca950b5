//! The SQL types, as ODBC and JDBC tools list them.

use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};
use watershed_core::Result;

use super::metadata::built;

pub(super) fn type_info() -> Result<XdbcTypeInfoData> {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    for (name, kind, size, base) in NUMBERS {
        builder.append(XdbcTypeInfo {
            num_prec_radix: Some(*base),
            unsigned_attribute: Some(false),
            auto_increment: Some(false),
            ..plain(name, *kind, Some(*size))
        });
    }
    builder.append(XdbcTypeInfo {
        create_params: Some(vec!["precision".to_owned(), "scale".to_owned()]),
        fixed_prec_scale: false,
        minimum_scale: Some(0),
        maximum_scale: Some(38),
        num_prec_radix: Some(10),
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        ..plain("DECIMAL", XdbcDataType::XdbcDecimal, Some(38))
    });
    builder.append(plain("BOOLEAN", XdbcDataType::XdbcBit, Some(1)));
    for name in ["VARCHAR", "STRING"] {
        builder.append(XdbcTypeInfo {
            case_sensitive: true,
            ..quoted(name, XdbcDataType::XdbcVarchar, None)
        });
    }
    builder.append(XdbcTypeInfo {
        case_sensitive: true,
        ..quoted("JSON", XdbcDataType::XdbcLongvarchar, None)
    });
    builder.append(XdbcTypeInfo {
        literal_prefix: Some("X'".to_owned()),
        ..quoted("BINARY", XdbcDataType::XdbcVarbinary, None)
    });
    builder.append(XdbcTypeInfo {
        literal_prefix: Some("DATE '".to_owned()),
        datetime_subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeYear),
        sql_data_type: XdbcDataType::XdbcDatetime,
        ..quoted("DATE", XdbcDataType::XdbcDate, Some(10))
    });
    builder.append(XdbcTypeInfo {
        literal_prefix: Some("TIMESTAMP '".to_owned()),
        datetime_subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
        sql_data_type: XdbcDataType::XdbcDatetime,
        maximum_scale: Some(6),
        minimum_scale: Some(6),
        ..quoted("TIMESTAMP", XdbcDataType::XdbcTimestamp, Some(26))
    });
    built(builder.build())
}

/// Name, code, digits and the base in which they are counted.
const NUMBERS: &[(&str, XdbcDataType, i32, i32)] = &[
    ("TINYINT", XdbcDataType::XdbcTinyint, 3, 10),
    ("SMALLINT", XdbcDataType::XdbcSmallint, 5, 10),
    ("INTEGER", XdbcDataType::XdbcInteger, 10, 10),
    ("BIGINT", XdbcDataType::XdbcBigint, 19, 10),
    ("FLOAT", XdbcDataType::XdbcReal, 24, 2),
    ("DOUBLE", XdbcDataType::XdbcDouble, 53, 2),
];

fn quoted(name: &str, kind: XdbcDataType, size: Option<i32>) -> XdbcTypeInfo {
    XdbcTypeInfo {
        literal_prefix: Some("'".to_owned()),
        literal_suffix: Some("'".to_owned()),
        ..plain(name, kind, size)
    }
}

fn plain(name: &str, kind: XdbcDataType, size: Option<i32>) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type: kind,
        column_size: size,
        literal_prefix: None,
        literal_suffix: None,
        create_params: None,
        nullable: Nullable::NullabilityNullable,
        case_sensitive: false,
        searchable: Searchable::Full,
        unsigned_attribute: None,
        fixed_prec_scale: false,
        auto_increment: None,
        local_type_name: Some(name.to_owned()),
        minimum_scale: None,
        maximum_scale: None,
        sql_data_type: kind,
        datetime_subcode: None,
        num_prec_radix: None,
        interval_precision: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_by_their_code() {
        let types = type_info().unwrap();
        assert_eq!(types.record_batch(None).unwrap().num_rows(), 14);
        let varchar = XdbcDataType::XdbcVarchar as i32;
        assert_eq!(types.record_batch(varchar).unwrap().num_rows(), 2);
    }
}
