//! Types as SQL writes them, to columns' types.

use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, Ident, ObjectNamePart, StructField,
};
use watershed_core::error::{Error, Result, SqlState, nearest};
use watershed_storage::layout::ColumnType;

/// The name an identifier means: folded unless it is quoted.
pub(crate) fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// The type a column of that declared type has.
pub(crate) fn column_type(declared: &DataType) -> Result<ColumnType> {
    Ok(match declared {
        DataType::Boolean | DataType::Bool => ColumnType::Boolean,
        DataType::TinyInt(_) => ColumnType::TinyInt,
        DataType::SmallInt(_) | DataType::Int2(_) | DataType::Int16 => ColumnType::SmallInt,
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) | DataType::Int32 => ColumnType::Int,
        DataType::BigInt(_) | DataType::Int8(_) | DataType::Int64 => ColumnType::BigInt,
        DataType::Float(_) | DataType::Real | DataType::Float4 | DataType::Float32 => ColumnType::Float,
        DataType::Double(ExactNumberInfo::None)
        | DataType::DoublePrecision
        | DataType::Float8
        | DataType::Float64 => ColumnType::Double,
        DataType::Decimal(info) | DataType::Numeric(info) | DataType::Dec(info) => decimal(declared, info)?,
        DataType::String(_)
        | DataType::Text
        | DataType::Varchar(None)
        | DataType::CharacterVarying(None)
        | DataType::Char(None)
        | DataType::Character(None) => ColumnType::String,
        DataType::Varchar(Some(_))
        | DataType::CharacterVarying(Some(_))
        | DataType::Char(Some(_))
        | DataType::Character(Some(_)) => limited(declared)?,
        DataType::JSON | DataType::JSONB => ColumnType::Json,
        DataType::Binary(_) | DataType::Varbinary(_) | DataType::Bytea | DataType::Blob(_) => {
            ColumnType::Binary
        }
        DataType::Date => ColumnType::Date,
        DataType::Timestamp(None | Some(0..=6), _) | DataType::Datetime(_) => ColumnType::Timestamp,
        DataType::Array(
            ArrayElemTypeDef::AngleBracket(element) | ArrayElemTypeDef::SquareBracket(element, None),
        ) => ColumnType::Array(Box::new(column_type(element)?)),
        DataType::Struct(fields, _) => structure(fields)?,
        DataType::Custom(name, _) => return Err(unknown(&name.0)),
        other => return Err(unsupported(other)),
    })
}

fn decimal(declared: &DataType, info: &ExactNumberInfo) -> Result<ColumnType> {
    let (precision, scale) = match info {
        // What DataFusion makes of it.
        ExactNumberInfo::None => (38, 10),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    let narrow = u8::try_from(precision).ok().zip(i8::try_from(scale).ok());
    match narrow {
        Some((precision @ 1..=38, scale @ 0..)) if scale.unsigned_abs() <= precision => {
            Ok(ColumnType::Decimal { precision, scale })
        }
        _ => Err(Error::new(
            SqlState::InvalidTableDefinition,
            format!("invalid type {declared}"),
        )
        .with_hint("DECIMAL takes a precision from 1 to 38 and a scale from 0 to the precision.")),
    }
}

/// A length that is declared and not kept would be a lie.
fn limited(declared: &DataType) -> Result<ColumnType> {
    let length = match declared {
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::Char(length)
        | DataType::Character(length) => length,
        _ => &None,
    };
    if matches!(length, Some(CharacterLength::Max)) {
        return Ok(ColumnType::String);
    }
    Err(unsupported(declared).with_hint("Write STRING: texts have no limit of length."))
}

fn structure(fields: &[StructField]) -> Result<ColumnType> {
    let mut named: Vec<(String, ColumnType)> = Vec::with_capacity(fields.len());
    for field in fields {
        let Some(name) = &field.field_name else {
            return Err(Error::new(
                SqlState::InvalidTableDefinition,
                "a field of a STRUCT has no name",
            )
            .with_hint("Write STRUCT<name TYPE, …>."));
        };
        let name = folded(name);
        if named.iter().any(|(other, _)| *other == name) {
            return Err(Error::new(
                SqlState::DuplicateColumn,
                format!("field \"{name}\" of a STRUCT stands twice"),
            ));
        }
        named.push((name, column_type(&field.field_type)?));
    }
    if named.is_empty() {
        return Err(Error::new(
            SqlState::InvalidTableDefinition,
            "a STRUCT has no fields",
        ));
    }
    Ok(ColumnType::Struct(named))
}

const NAMES: [&str; 16] = [
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
    "STRING",
    "JSON",
    "BINARY",
    "DATE",
    "TIMESTAMP",
    "ARRAY",
    "STRUCT",
    "TEXT",
];

fn unknown(parts: &[ObjectNamePart]) -> Error {
    let name = parts
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(".");
    let error = Error::new(
        SqlState::UndefinedObject,
        format!("type \"{name}\" does not exist"),
    );
    let error = match nearest(&name, NAMES) {
        Some(near) => error.with_hint(format!("Did you mean {near}?")),
        None => error.with_hint(format!("The types are {}.", NAMES[..15].join(", "))),
    };
    match parts.first().and_then(ObjectNamePart::as_ident) {
        Some(ident) => super::error::at(error, ident.span.start),
        None => error,
    }
}

fn unsupported(declared: &DataType) -> Error {
    Error::unsupported(format!("type {declared} is not supported"))
        .with_hint(format!("The types are {}.", NAMES[..15].join(", ")))
}
