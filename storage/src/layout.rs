//! What a table looks like: its columns, keys, partitions and shards.
//!
//! Layouts are part of catalog records: they only grow.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};
use watershed_core::id::TableId;
use watershed_core::shard::HASH_VERSION;

/// The Delta partition column that holds a row's shard. Other readers see it, `SELECT *` does not.
pub const SHARD_COLUMN: &str = "_shard";
/// The key of a field's metadata that marks what Arrow's types cannot say.
pub const TYPE_METADATA: &str = "watershed.type";
/// The value of [`TYPE_METADATA`] on columns whose texts are JSON.
pub const JSON_TYPE: &str = "json";

/// A managed table's shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableLayout {
    pub id: TableId,
    pub columns: Vec<Column>,
    /// Names of columns, all of them NOT NULL. Empty without a key.
    #[serde(default)]
    pub primary_key: Vec<String>,
    /// Names of columns whose values name the folder a row lies in.
    #[serde(default)]
    pub partition_by: Vec<String>,
    #[serde(default)]
    pub sharding: Option<Sharding>,
    /// The order of rows within a file. Empty for the default order.
    #[serde(default)]
    pub sort_by: Vec<String>,
    /// The map of pinned keys that the table obeys, such as `user_shard_map`.
    #[serde(default)]
    pub shard_map: Option<String>,
}

/// A table's split into virtual shards by the hash of one column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharding {
    pub key: String,
    /// At least one.
    pub shards: u32,
}

impl Sharding {
    /// What our writer notes on each file: the hash and the number of shards that laid it out.
    pub fn spec(&self) -> String {
        format!("{HASH_VERSION}/{}", self.shards)
    }
}

/// A column as people declare it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub data_type: ColumnType,
    pub nullable: bool,
    /// An SQL expression over the other columns that gives the value where an INSERT does not.
    #[serde(default)]
    pub generated: Option<String>,
    #[serde(default)]
    pub comment: Option<String>,
    /// What values have to keep to beside their type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

impl Column {
    /// A column that may be NULL.
    pub fn new(name: impl Into<String>, data_type: ColumnType) -> Self {
        Self {
            name: name.into(),
            data_type,
            nullable: true,
            generated: None,
            comment: None,
            limit: None,
        }
    }

    /// The type as the column was declared.
    pub fn sql_type(&self) -> String {
        self.limit
            .map_or_else(|| self.data_type.sql(), |limit| limit.sql())
    }

    #[must_use]
    pub fn not_null(mut self) -> Self {
        self.nullable = false;
        self
    }

    /// The column as an Arrow field. JSON is marked, as Arrow sees a text only.
    pub fn field(&self) -> Field {
        let field = Field::new(&self.name, self.data_type.arrow(), self.nullable);
        match self.data_type {
            ColumnType::Json => {
                field.with_metadata(HashMap::from([(TYPE_METADATA.to_owned(), JSON_TYPE.to_owned())]))
            }
            _ => field,
        }
    }
}

/// A bound on a column's values. They are stored as its type is, which holds more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// At most so many characters.
    Varchar(u32),
    /// The same: texts are not padded.
    Char(u32),
    /// A whole number from 0 to what so many bits hold.
    Unsigned(u8),
}

impl Limit {
    /// The type that has this bound, as SQL writes it.
    pub fn sql(self) -> String {
        match self {
            Self::Varchar(length) => format!("VARCHAR({length})"),
            Self::Char(length) => format!("CHAR({length})"),
            Self::Unsigned(8) => "UTINYINT".to_owned(),
            Self::Unsigned(16) => "USMALLINT".to_owned(),
            Self::Unsigned(32) => "UINTEGER".to_owned(),
            Self::Unsigned(_) => "UBIGINT".to_owned(),
        }
    }

    /// The characters that a text may have.
    pub fn characters(self) -> Option<u32> {
        match self {
            Self::Varchar(length) | Self::Char(length) => Some(length),
            Self::Unsigned(_) => None,
        }
    }

    /// The largest whole number.
    pub fn largest(self) -> Option<i128> {
        match self {
            Self::Varchar(_) | Self::Char(_) => None,
            Self::Unsigned(bits) => Some((1_i128 << u32::from(bits.min(64))) - 1),
        }
    }
}

/// The types columns have.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: i8,
    },
    String,
    /// A text that is valid JSON.
    Json,
    Binary,
    Date,
    /// An instant, in microseconds of UTC.
    Timestamp,
    Array(Box<ColumnType>),
    Struct(Vec<(String, ColumnType)>),
}

impl ColumnType {
    /// The type of the column's arrays.
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::TinyInt => DataType::Int8,
            Self::SmallInt => DataType::Int16,
            Self::Int => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Self::String | Self::Json => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            // Named as Delta names it, so that what is read has the type that was declared.
            Self::Array(element) => DataType::List(Arc::new(Field::new("element", element.arrow(), true))),
            Self::Struct(fields) => DataType::Struct(
                fields
                    .iter()
                    .map(|(name, kind)| Field::new(name, kind.arrow(), true))
                    .collect::<Fields>(),
            ),
        }
    }

    /// The type as SQL writes it.
    pub fn sql(&self) -> String {
        match self {
            Self::Boolean => "BOOLEAN".to_owned(),
            Self::TinyInt => "TINYINT".to_owned(),
            Self::SmallInt => "SMALLINT".to_owned(),
            Self::Int => "INT".to_owned(),
            Self::BigInt => "BIGINT".to_owned(),
            Self::Float => "FLOAT".to_owned(),
            Self::Double => "DOUBLE".to_owned(),
            Self::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
            Self::String => "STRING".to_owned(),
            Self::Json => "JSON".to_owned(),
            Self::Binary => "BINARY".to_owned(),
            Self::Date => "DATE".to_owned(),
            Self::Timestamp => "TIMESTAMP".to_owned(),
            Self::Array(element) => format!("ARRAY<{}>", element.sql()),
            Self::Struct(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, kind)| format!("{} {}", quoted(name), kind.sql()))
                    .collect();
                format!("STRUCT<{}>", fields.join(", "))
            }
        }
    }

    /// The type whose values hold all values of an Arrow type, if there is one.
    pub fn from_arrow(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int8 => Self::TinyInt,
            DataType::Int16 | DataType::UInt8 => Self::SmallInt,
            DataType::Int32 | DataType::UInt16 => Self::Int,
            DataType::Int64 | DataType::UInt32 => Self::BigInt,
            DataType::UInt64 => Self::Decimal {
                precision: 20,
                scale: 0,
            },
            DataType::Float16 | DataType::Float32 => Self::Float,
            DataType::Float64 => Self::Double,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale) => Self::Decimal {
                precision: *precision,
                scale: *scale,
            },
            // No value at all, or texts.
            DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::String,
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::Binary,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Timestamp(_, _) => Self::Timestamp,
            DataType::Dictionary(_, value) => Self::from_arrow(value)?,
            DataType::List(field)
            | DataType::LargeList(field)
            | DataType::ListView(field)
            | DataType::LargeListView(field)
            | DataType::FixedSizeList(field, _) => {
                Self::Array(Box::new(Self::from_arrow(field.data_type())?))
            }
            DataType::Struct(fields) => Self::Struct(
                fields
                    .iter()
                    .map(|field| Some((field.name().clone(), Self::from_arrow(field.data_type())?)))
                    .collect::<Option<_>>()?,
            ),
            DataType::RunEndEncoded(_, value) => Self::from_arrow(value.data_type())?,
            DataType::Decimal256(_, _)
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Duration(_)
            | DataType::Interval(_)
            | DataType::Union(_, _)
            | DataType::Map(_, _) => return None,
        })
    }
}

impl TableLayout {
    /// A new table without keys, partitions or shards.
    pub fn new(columns: Vec<Column>) -> Self {
        Self {
            id: TableId::generate(),
            columns,
            primary_key: Vec::new(),
            partition_by: Vec::new(),
            sharding: None,
            sort_by: Vec::new(),
            shard_map: None,
        }
    }

    /// What users see: the columns in their order, without the shard.
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(
            self.columns.iter().map(Column::field).collect::<Vec<_>>(),
        ))
    }

    /// Where the table lies below the root.
    pub fn folder(&self) -> String {
        format!("tables/{}", self.id)
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that Delta partitions by: the declared ones, then the shard.
    pub fn delta_partitions(&self) -> Vec<String> {
        let mut names = self.partition_by.clone();
        if self.sharding.is_some() {
            names.push(SHARD_COLUMN.to_owned());
        }
        names
    }

    /// What lies in files: the columns that are no partitions.
    pub fn file_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(
            self.columns
                .iter()
                .filter(|column| !self.partition_by.contains(&column.name))
                .map(Column::field)
                .collect::<Vec<_>>(),
        ))
    }

    /// The order of rows within a file: as declared, else by the primary key, else by the shard key
    /// and the first timestamp. Partition columns are left out, as they are constant in a file.
    pub fn file_order(&self) -> Vec<String> {
        let mut order = if !self.sort_by.is_empty() {
            self.sort_by.clone()
        } else if !self.primary_key.is_empty() {
            self.primary_key.clone()
        } else {
            let time = self
                .columns
                .iter()
                .find(|column| column.data_type == ColumnType::Timestamp)
                .map(|column| column.name.clone());
            self.sharding
                .iter()
                .map(|sharding| sharding.key.clone())
                .chain(time)
                .collect()
        };
        let mut seen = Vec::new();
        order.retain(|name| {
            let fresh = !self.partition_by.contains(name) && !seen.contains(name);
            seen.push(name.clone());
            fresh
        });
        order
    }
}

/// A name as SQL writes it: quoted unless it is a plain lower case word.
fn quoted(name: &str) -> String {
    let plain = name
        .chars()
        .enumerate()
        .all(|(i, c)| c == '_' || c.is_ascii_lowercase() || (i > 0 && c.is_ascii_digit()));
    if plain && !name.is_empty() {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> TableLayout {
        TableLayout {
            id: TableId::generate(),
            columns: vec![
                Column::new("user_id", ColumnType::BigInt).not_null(),
                Column::new("at", ColumnType::Timestamp),
                Column::new("payload", ColumnType::Json),
                Column::new("dt", ColumnType::Date),
            ],
            primary_key: vec![],
            partition_by: vec!["dt".to_owned()],
            sharding: Some(Sharding {
                key: "user_id".to_owned(),
                shards: 16,
            }),
            sort_by: vec![],
            shard_map: None,
        }
    }

    #[test]
    fn order_within_files() {
        let mut layout = layout();
        assert_eq!(layout.file_order(), ["user_id", "at"]);
        layout.primary_key = vec!["at".to_owned(), "dt".to_owned()];
        assert_eq!(layout.file_order(), ["at"]);
        layout.sort_by = vec!["payload".to_owned(), "payload".to_owned()];
        assert_eq!(layout.file_order(), ["payload"]);
    }

    #[test]
    fn schemas() {
        let layout = layout();
        assert_eq!(layout.delta_partitions(), ["dt", SHARD_COLUMN]);
        assert_eq!(layout.file_schema().fields().len(), 3);
        let schema = layout.arrow_schema();
        assert_eq!(schema.field(2).metadata()[TYPE_METADATA], JSON_TYPE);
        assert_eq!(
            schema.field(1).data_type(),
            &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        );
        let json = serde_json::to_string(&layout).unwrap();
        assert_eq!(serde_json::from_str::<TableLayout>(&json).unwrap(), layout);
    }

    #[test]
    fn types_as_sql_and_arrow() {
        fn check(kind: ColumnType, sql: &str) {
            assert_eq!(kind.sql(), sql);
            assert_eq!(ColumnType::from_arrow(&kind.arrow()), Some(kind));
        }
        check(ColumnType::Boolean, "BOOLEAN");
        check(
            ColumnType::Decimal {
                precision: 12,
                scale: 2,
            },
            "DECIMAL(12, 2)",
        );
        check(ColumnType::Array(Box::new(ColumnType::String)), "ARRAY<STRING>");
        check(
            ColumnType::Struct(vec![
                ("a".to_owned(), ColumnType::Int),
                ("B c".to_owned(), ColumnType::Date),
            ]),
            "STRUCT<a INT, \"B c\" DATE>",
        );
        assert_eq!(ColumnType::Json.arrow(), DataType::Utf8);
    }
}
