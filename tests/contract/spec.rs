//! What the specification of Flight SQL says, as data: the schemas of metadata, and the kind of every
//! value of `SqlInfo`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, UnionFields, UnionMode};

pub const CATALOGS: &str = "catalog_name: utf8 not null";

pub const DB_SCHEMAS: &str = "
    catalog_name: utf8
    db_schema_name: utf8 not null";

pub const TABLES: &str = "
    catalog_name: utf8
    db_schema_name: utf8
    table_name: utf8 not null
    table_type: utf8 not null";

pub const TABLES_WITH_SCHEMA: &str = "
    catalog_name: utf8
    db_schema_name: utf8
    table_name: utf8 not null
    table_type: utf8 not null
    table_schema: bytes not null";

pub const TABLE_TYPES: &str = "table_type: utf8 not null";

pub const PRIMARY_KEYS: &str = "
    catalog_name: utf8
    db_schema_name: utf8
    table_name: utf8 not null
    column_name: utf8 not null
    key_name: utf8
    key_sequence: int32 not null";

/// Of exported and imported keys and of cross references.
pub const FOREIGN_KEYS: &str = "
    pk_catalog_name: utf8
    pk_db_schema_name: utf8
    pk_table_name: utf8 not null
    pk_column_name: utf8 not null
    fk_catalog_name: utf8
    fk_db_schema_name: utf8
    fk_table_name: utf8 not null
    fk_column_name: utf8 not null
    key_sequence: int32 not null
    fk_key_name: utf8
    pk_key_name: utf8
    update_rule: uint8 not null
    delete_rule: uint8 not null";

pub const TYPE_INFO: &str = "
    type_name: utf8 not null
    data_type: int32 not null
    column_size: int32
    literal_prefix: utf8
    literal_suffix: utf8
    create_params: list<utf8 not null>
    nullable: int32 not null
    case_sensitive: bool not null
    searchable: int32 not null
    unsigned_attribute: bool
    fixed_prec_scale: bool not null
    auto_increment: bool
    local_type_name: utf8
    minimum_scale: int32
    maximum_scale: int32
    sql_data_type: int32 not null
    datetime_subcode: int32
    num_prec_radix: int32
    interval_precision: int32";

/// The union as the reference implementations make it: its children are never NULL but for the lists,
/// and drivers compare them by position and type.
pub const SQL_INFO: &str = "
    info_name: uint32 not null
    value: sql_info_value not null";

/// A schema, written as above.
pub fn schema(text: &str) -> Schema {
    let fields = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, rest) = line.split_once(": ").expect("NAME: TYPE");
            match rest.strip_suffix(" not null") {
                Some(kind) => Field::new(name, data_type(kind), false),
                None => Field::new(name, data_type(rest), true),
            }
        });
    Schema::new(fields.collect::<Vec<_>>())
}

fn data_type(text: &str) -> DataType {
    match text {
        "utf8" => DataType::Utf8,
        "bytes" => DataType::Binary,
        "bool" => DataType::Boolean,
        "uint8" => DataType::UInt8,
        "uint32" => DataType::UInt32,
        "int32" => DataType::Int32,
        "list<utf8 not null>" => list(DataType::Utf8, false),
        "sql_info_value" => sql_info_value(),
        other => panic!("no such type in these texts: {other}"),
    }
}

fn list(item: DataType, nullable: bool) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, nullable)))
}

fn sql_info_value() -> DataType {
    let entries = DataType::Struct(
        vec![
            Field::new("keys", DataType::Int32, false),
            Field::new("values", list(DataType::Int32, true), true),
        ]
        .into(),
    );
    let map = DataType::Map(Arc::new(Field::new("entries", entries, false)), false);
    let children = UnionFields::from_fields([
        Field::new("string_value", DataType::Utf8, false),
        Field::new("bool_value", DataType::Boolean, false),
        Field::new("bigint_value", DataType::Int64, false),
        Field::new("int32_bitmask", DataType::Int32, false),
        Field::new("string_list", list(DataType::Utf8, true), true),
        Field::new("int32_to_int32_list_map", map, true),
    ]);
    DataType::Union(children, UnionMode::Dense)
}

/// A child of the union of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text = 0,
    Flag = 1,
    Long = 2,
    Int = 3,
    Texts = 4,
    Map = 5,
}

/// The kind of a code's value. Where the specification and what drivers cast to differ, the drivers are
/// right: 562, the default isolation, is a 64-bit number for the Java driver.
pub fn sql_info_kind(code: u32) -> Kind {
    match code {
        0..=2 | 6 | 7 | 504 | 513 | 514 | 529..=531 => Kind::Text,
        3..=5 | 9..=11 | 500..=502 | 506 | 515 | 516 | 518..=521 | 523 | 524 | 527 | 532 => Kind::Flag,
        536 | 537 | 539 | 556 | 563 | 565 | 566 | 572..=576 => Kind::Flag,
        8 | 100 | 101 | 503 | 505 | 507 | 522 | 525 | 526 | 528 => Kind::Int,
        533..=535 | 538 | 540 | 564 | 567..=571 => Kind::Int,
        541..=555 | 557..=562 => Kind::Long,
        508..=512 => Kind::Texts,
        517 => Kind::Map,
        other => panic!("the specification has no code {other}"),
    }
}

/// Every code of the specification.
pub fn sql_info_codes() -> impl Iterator<Item = u32> {
    (0..=11).chain(100..=101).chain(500..=576)
}
