//! What metadata commands say of tables and their columns.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow_flight::IpcMessage;
use arrow_flight::sql::{
    Command, CommandGetCatalogs, CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTableTypes,
    CommandGetTables,
};

use super::{cluster, fetched_command, run, spec};
use crate::harness::Wire;

fn tables(wire: &Wire, command: CommandGetTables) -> RecordBatch {
    fetched_command(wire, Command::CommandGetTables(command))
}

fn named(pattern: &str) -> CommandGetTables {
    CommandGetTables {
        db_schema_filter_pattern: Some("public".to_owned()),
        table_name_filter_pattern: Some(pattern.to_owned()),
        ..CommandGetTables::default()
    }
}

/// The texts of a column.
fn texts(batch: &RecordBatch, name: &str) -> Vec<String> {
    let column = batch
        .column_by_name(name)
        .unwrap_or_else(|| panic!("no column {name}"));
    let texts = column.as_string::<i32>();
    texts
        .iter()
        .map(|text| text.unwrap_or("NULL").to_owned())
        .collect()
}

fn columns(wire: &Wire, table: &str) -> Schema {
    let command = CommandGetTables {
        include_schema: true,
        ..named(table)
    };
    let batch = tables(wire, command);
    assert_eq!(texts(&batch, "table_name"), [table]);
    let message = batch
        .column_by_name("table_schema")
        .unwrap()
        .as_binary::<i32>()
        .value(0);
    Schema::try_from(IpcMessage(message.to_vec().into())).expect("an encapsulated message")
}

/// The rows' texts, joined, come in order.
#[track_caller]
fn assert_ordered(batch: &RecordBatch, by: &[&str]) {
    let columns: Vec<_> = by.iter().map(|name| texts(batch, name)).collect();
    let rows: Vec<Vec<_>> = (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column[row].clone()).collect())
        .collect();
    assert!(rows.len() > 1, "there is no order in {} rows", rows.len());
    assert!(rows.is_sorted(), "{rows:?}");
}

#[test]
fn rows_come_in_the_order_of_the_specification() {
    let (_cluster, wire) = cluster();
    let catalogs = fetched_command(&wire, Command::CommandGetCatalogs(CommandGetCatalogs {}));
    assert_eq!(texts(&catalogs, "catalog_name"), ["watershed"]);
    let schemas = fetched_command(
        &wire,
        Command::CommandGetDbSchemas(CommandGetDbSchemas::default()),
    );
    assert_ordered(&schemas, &["catalog_name", "db_schema_name"]);
    let types = fetched_command(&wire, Command::CommandGetTableTypes(CommandGetTableTypes {}));
    assert_ordered(&types, &["table_type"]);
    for include_schema in [false, true] {
        let all = CommandGetTables {
            include_schema,
            ..CommandGetTables::default()
        };
        let all = tables(&wire, all);
        let expected = if include_schema {
            spec::TABLES_WITH_SCHEMA
        } else {
            spec::TABLES
        };
        assert_eq!(*all.schema(), spec::schema(expected));
        assert_ordered(
            &all,
            &["catalog_name", "db_schema_name", "table_name", "table_type"],
        );
        let known = texts(&types, "table_type");
        let told = texts(&all, "table_type");
        assert!(told.iter().all(|kind| known.contains(kind)), "{told:?}");
    }
}

#[test]
fn filters() {
    let (_cluster, wire) = cluster();
    let check = |command: CommandGetTables, expected: &[&str]| {
        let found = tables(&wire, command.clone());
        assert_eq!(texts(&found, "table_name"), expected, "{command:?}");
    };
    let of = |types: &[&str], pattern: &str| CommandGetTables {
        table_types: types.iter().map(|&name| name.to_owned()).collect(),
        ..named(pattern)
    };
    check(named("_"), &["t", "v"]);
    check(named("t"), &["t"]);
    check(named("T"), &[]);
    check(named(r"\_"), &[]);
    check(named(r"cdn\_logs"), &["cdn_logs"]);
    check(named("cdn%"), &["cdn_logs"]);
    check(named("select * from t where a = 'x'"), &[]);
    check(of(&["TABLE"], "_"), &["t"]);
    check(of(&["base table"], "_"), &["t"]);
    check(of(&["view"], "_"), &["v"]);
    check(of(&["SYSTEM TABLE"], "_"), &[]);
    check(of(&["NOTHING"], "_"), &[]);
    let catalog = |name: &str| CommandGetTables {
        catalog: Some(name.to_owned()),
        ..named("_")
    };
    check(catalog("watershed"), &["t", "v"]);
    check(catalog(""), &[]);
    check(catalog("%"), &[]);
}

/// The schema of a table is the schema of its rows, with what the specification lets a column say besides.
#[test]
fn columns_say_what_they_are() {
    let (_cluster, wire) = cluster();
    let schema = columns(&wire, "t");
    let rows = super::fetched(&wire, &crate::harness::query("SELECT * FROM t"));
    let kinds = |schema: &Schema| {
        let fields = schema.fields().iter();
        fields
            .map(|field| {
                (
                    field.name().clone(),
                    field.data_type().clone(),
                    field.is_nullable(),
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(&schema), kinds(&rows.schema()));
    assert!(!schema.field_with_name("id").unwrap().is_nullable());
    assert!(schema.field_with_name("a").unwrap().is_nullable());

    for field in schema.fields() {
        let said = |key: &str| {
            field
                .metadata()
                .get(&format!("ARROW:FLIGHT:SQL:{key}"))
                .map(String::as_str)
        };
        let (name, data_type) = (field.name(), field.data_type());
        assert_eq!(said("CATALOG_NAME"), Some("watershed"), "{name}");
        // The specification's name, and the one that the C++ and Java libraries look for.
        assert_eq!(said("DB_SCHEMA_NAME"), Some("public"), "{name}");
        assert_eq!(said("SCHEMA_NAME"), Some("public"), "{name}");
        assert_eq!(said("TABLE_NAME"), Some("t"), "{name}");
        assert_eq!(said("IS_AUTO_INCREMENT"), Some("0"), "{name}");
        assert_eq!(said("IS_SEARCHABLE"), Some("1"), "{name}");
        let sensitive = if *data_type == DataType::Utf8 { "1" } else { "0" };
        assert_eq!(said("IS_CASE_SENSITIVE"), Some(sensitive), "{name}");
        let (precision, scale) = match data_type {
            DataType::Decimal128(_, _) => (Some("10"), Some("2")),
            _ => (None, None),
        };
        assert_eq!((said("PRECISION"), said("SCALE")), (precision, scale), "{name}");
        let result = rows.schema();
        let in_results = result.field_with_name(name).unwrap().metadata();
        let type_name = said("TYPE_NAME").unwrap_or_else(|| panic!("{name} has no type name"));
        assert_eq!(
            in_results.get("ARROW:FLIGHT:SQL:TYPE_NAME").map(String::as_str),
            Some(type_name)
        );
    }
    assert_eq!(columns(&wire, "v").fields().len(), 2);
}

#[test]
fn primary_keys() {
    let (_cluster, wire) = cluster();
    run(
        &wire,
        "CREATE TABLE two (a INT, b INT, c INT, PRIMARY KEY (c, a))",
    );
    let keys = |table: &str, schema: Option<&str>| {
        let command = CommandGetPrimaryKeys {
            catalog: None,
            db_schema: schema.map(str::to_owned),
            table: table.to_owned(),
        };
        fetched_command(&wire, Command::CommandGetPrimaryKeys(command))
    };
    let two = keys("two", None);
    assert_eq!(*two.schema(), spec::schema(spec::PRIMARY_KEYS));
    assert_eq!(texts(&two, "column_name"), ["c", "a"]);
    let sequence = two.column_by_name("key_sequence").unwrap();
    assert_eq!(
        sequence.as_primitive::<arrow::datatypes::Int32Type>().values(),
        &[1, 2]
    );
    assert_eq!(texts(&two, "db_schema_name"), ["public", "public"]);
    assert_eq!(keys("t", Some("public")).num_rows(), 1);
    for (table, schema) in [
        ("t", Some("system")),
        ("t", Some("")),
        ("v", None),
        ("nothing", None),
    ] {
        assert_eq!(keys(table, schema).num_rows(), 0, "{table} {schema:?}");
    }
}
