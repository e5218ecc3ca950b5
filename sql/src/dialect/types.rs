//! Types as SQL writes them, to columns' types.

use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, Ident, ObjectNamePart, StructBracketKind,
    StructField,
};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;
use watershed_core::error::{Error, Result, SqlState, nearest};
use watershed_storage::layout::{ColumnType, Limit};

use super::parser::Parser;

/// The name an identifier means: folded unless it is quoted.
pub(crate) fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

impl Parser {
    /// A type. `STRUCT(a INT)` is read besides what sqlparser reads, and `INT ARRAY`.
    pub(super) fn data_type(&mut self) -> Result<DataType> {
        let open = self.inner.peek_nth_token_ref(1).token == Token::LParen;
        let mut declared = if open && (self.word("STRUCT") || self.word("ROW")) {
            let fields = self.list(|parser| {
                Ok(StructField {
                    field_name: Some(parser.inner(|inner| inner.parse_identifier())?),
                    field_type: parser.data_type()?,
                    options: None,
                })
            })?;
            DataType::Struct(fields, StructBracketKind::Parentheses)
        } else if self.inner.peek_nth_token_ref(1).token == Token::Lt && self.word("MAP") {
            self.expect_token(&Token::Lt)?;
            let key = self.inner(|parser| parser.parse_data_type())?;
            self.expect_token(&Token::Comma)?;
            let value = self.inner(|parser| parser.parse_data_type())?;
            self.expect_token(&Token::Gt)?;
            DataType::Map(Box::new(key), Box::new(value))
        } else {
            self.inner(|parser| parser.parse_data_type())?
        };
        loop {
            let brackets = self.token(&Token::LBracket);
            if brackets {
                self.expect_token(&Token::RBracket)?;
            } else if !self.keyword(Keyword::ARRAY) {
                return Ok(declared);
            }
            declared = DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(declared), None));
        }
    }
}

/// The type of a column that is declared so, and the bound on its values.
pub(super) fn declared_type(declared: &DataType) -> Result<(ColumnType, Option<Limit>)> {
    let unsigned = |kind, bits| Ok((kind, Some(Limit::Unsigned(bits))));
    match declared {
        DataType::Varchar(Some(length))
        | DataType::CharacterVarying(Some(length))
        | DataType::CharVarying(Some(length))
        | DataType::Nvarchar(Some(length)) => text(declared, length, Limit::Varchar),
        DataType::Char(Some(length)) | DataType::Character(Some(length)) => {
            text(declared, length, Limit::Char)
        }
        DataType::TinyIntUnsigned(_) | DataType::UTinyInt | DataType::UInt8 => {
            unsigned(ColumnType::SmallInt, 8)
        }
        DataType::SmallIntUnsigned(_) | DataType::USmallInt | DataType::UInt16 => {
            unsigned(ColumnType::Int, 16)
        }
        DataType::IntUnsigned(_) | DataType::IntegerUnsigned(_) | DataType::UInt32 => {
            unsigned(ColumnType::BigInt, 32)
        }
        DataType::BigIntUnsigned(_) | DataType::UBigInt | DataType::UInt64 => unsigned(
            ColumnType::Decimal {
                precision: 20,
                scale: 0,
            },
            64,
        ),
        DataType::Custom(name, arguments) => match named(&name.0).as_str() {
            "nchar" | "bpchar" if arguments.len() == 1 => {
                let length = arguments
                    .first()
                    .and_then(|length| length.parse().ok())
                    .unwrap_or(0);
                let length = CharacterLength::IntegerLength { length, unit: None };
                text(declared, &length, Limit::Char)
            }
            "utinyint" => unsigned(ColumnType::SmallInt, 8),
            "usmallint" => unsigned(ColumnType::Int, 16),
            "uinteger" | "uint" => unsigned(ColumnType::BigInt, 32),
            _ => Ok((column_type(declared)?, None)),
        },
        _ => Ok((column_type(declared)?, None)),
    }
}

/// A text of so many characters at most.
fn text(
    declared: &DataType,
    length: &CharacterLength,
    limit: fn(u32) -> Limit,
) -> Result<(ColumnType, Option<Limit>)> {
    let length = match length {
        CharacterLength::Max => return Ok((ColumnType::String, None)),
        CharacterLength::IntegerLength { length, .. } => *length,
    };
    match u32::try_from(length) {
        Ok(length @ 1..) => Ok((ColumnType::String, Some(limit(length)))),
        _ => Err(Error::new(
            SqlState::InvalidTableDefinition,
            format!("invalid type {declared}"),
        )
        .with_hint("The length is a number of characters from 1 to 4294967295.")),
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
        // As in PostgreSQL, a precision in bits.
        DataType::Float(ExactNumberInfo::Precision(25..)) => ColumnType::Double,
        DataType::Float(_) | DataType::Real | DataType::Float4 | DataType::Float32 => ColumnType::Float,
        DataType::Double(ExactNumberInfo::None)
        | DataType::DoublePrecision
        | DataType::Float8
        | DataType::Float64 => ColumnType::Double,
        DataType::Decimal(info) | DataType::Numeric(info) | DataType::Dec(info) => decimal(declared, info)?,
        DataType::String(_)
        | DataType::Text
        | DataType::TinyText
        | DataType::MediumText
        | DataType::LongText
        | DataType::Nvarchar(None)
        | DataType::CharVarying(None)
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
        DataType::Custom(name, arguments) => custom(declared, &name.0, arguments)?,
        other => return Err(unsupported(other)),
    })
}

/// Names of types that are not sqlparser's.
fn custom(declared: &DataType, name: &[ObjectNamePart], arguments: &[String]) -> Result<ColumnType> {
    Ok(match (named(name).as_str(), arguments) {
        ("byte", []) => ColumnType::TinyInt,
        ("short", []) => ColumnType::SmallInt,
        ("long", []) => ColumnType::BigInt,
        ("number", []) => ColumnType::Decimal {
            precision: 38,
            scale: 0,
        },
        ("struct", [_, ..]) => return Err(unsupported(declared)),
        _ => return Err(unknown(name)),
    })
}

fn named(parts: &[ObjectNamePart]) -> String {
    let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
    parts.join(".").to_ascii_lowercase()
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

/// Within other types, a length that is declared and not kept would be a lie.
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
    let parts_written: Vec<_> = parts.iter().map(ToString::to_string).collect();
    let name = parts_written.join(".");
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
    let error = Error::unsupported(format!("type {declared} is not supported"));
    match declared {
        DataType::Time(..) => error.with_hint("Store a time of day as STRING, or as INT in seconds."),
        DataType::Map(..) => error.with_hint("Write ARRAY<STRUCT<key K, value V>>, or JSON."),
        DataType::Uuid => error.with_hint("Write STRING."),
        _ => error.with_hint(format!("The types are {}.", NAMES[..15].join(", "))),
    }
}
