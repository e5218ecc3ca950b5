//! What the server says of itself: `SqlInfo` and the types.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, UInt32Type};
use arrow_flight::sql::{Command, CommandGetSqlInfo, CommandGetXdbcTypeInfo};

use super::spec::{Kind, sql_info_codes, sql_info_kind};
use super::{cluster, fetched, fetched_command};
use crate::harness::{Wire, query};

fn sql_info(wire: &Wire, codes: &[u32]) -> RecordBatch {
    let command = CommandGetSqlInfo { info: codes.to_vec() };
    fetched_command(wire, Command::CommandGetSqlInfo(command))
}

fn types(wire: &Wire, data_type: Option<i32>) -> RecordBatch {
    fetched_command(
        wire,
        Command::CommandGetXdbcTypeInfo(CommandGetXdbcTypeInfo { data_type }),
    )
}

#[test]
fn every_code_has_a_value_of_its_kind() {
    let (_cluster, wire) = cluster();
    let all = sql_info(&wire, &[]);
    let codes = all.column(0).as_primitive::<UInt32Type>();
    let values = all.column(1).as_union();
    let mut told = codes.values().to_vec();
    told.sort_unstable();
    assert_eq!(told, sql_info_codes().collect::<Vec<_>>(), "each code once");
    for row in 0..all.num_rows() {
        let code = codes.value(row);
        assert_eq!(values.type_id(row), sql_info_kind(code) as i8, "{code}");
        assert!(values.value(row).is_valid(0), "{code}");
    }
    assert_eq!(sql_info_kind(562), Kind::Long);

    // One by one, as ADBC and others ask.
    for asked in [&[0, 1, 2][..], &[8], &[0, 2, 3, 504], &[517, 508]] {
        let some = sql_info(&wire, asked);
        assert_eq!(some.num_rows(), asked.len(), "{asked:?}");
    }
    assert_eq!(sql_info(&wire, &[20_000]).num_rows(), 0);
}

/// What a client is told it may do agrees with what happens when it does.
#[test]
fn codes_tell_the_truth() {
    let (_cluster, wire) = cluster();
    let flag = |code| {
        sql_info(&wire, &[code])
            .column(1)
            .as_union()
            .value(0)
            .as_boolean()
            .value(0)
    };
    let number = |code| {
        let info = sql_info(&wire, &[code]);
        info.column(1)
            .as_union()
            .value(0)
            .as_primitive::<Int32Type>()
            .value(0)
    };
    let text = |code| {
        let info = sql_info(&wire, &[code]);
        info.column(1)
            .as_union()
            .value(0)
            .as_string::<i32>()
            .value(0)
            .to_owned()
    };
    assert_eq!(
        (text(0).as_str(), text(1).as_str()),
        ("Watershed", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(text(504), "\"");
    assert_eq!(text(513), "\\");
    // Neither transactions nor savepoints nor Substrait: their actions are refused.
    assert_eq!(number(8), 0);
    assert!(!flag(5) && !flag(565) && !flag(11));
    // Cancelling and ingesting: their actions and commands are served.
    assert!(flag(9) && flag(10) && flag(4) && !flag(3));
    // Prepared handles end when they have been idle for so many milliseconds.
    assert_eq!(number(100), 3_600_000);
}

#[test]
fn types_agree_with_the_names_of_columns() {
    let (_cluster, wire) = cluster();
    let all = types(&wire, None);
    let names = all.column_by_name("type_name").unwrap().as_string::<i32>();
    let codes = all
        .column_by_name("data_type")
        .unwrap()
        .as_primitive::<Int32Type>();
    let by_name: BTreeMap<_, _> = names
        .iter()
        .flatten()
        .zip(codes.values().iter().copied())
        .collect();
    assert_eq!(by_name.len(), all.num_rows(), "each type once");
    let ordered: Vec<_> = codes.values().iter().zip(names.iter()).collect();
    assert!(ordered.is_sorted(), "by code, then by name: {ordered:?}");

    let rows = fetched(&wire, &query("SELECT * FROM t"));
    for field in rows.schema().fields() {
        let said = &field.metadata()["ARROW:FLIGHT:SQL:TYPE_NAME"];
        let expected = match field.data_type() {
            // The numbers of ODBC and JDBC.
            DataType::Boolean => -7,
            DataType::Int8 => -6,
            DataType::Int16 => 5,
            DataType::Int32 => 4,
            DataType::Int64 => -5,
            DataType::Float32 => 7,
            DataType::Float64 => 8,
            DataType::Decimal128(_, _) => 3,
            DataType::Utf8 if field.name() == "j" => -1,
            DataType::Utf8 => 12,
            DataType::Binary => -3,
            DataType::Date32 => 91,
            DataType::Timestamp(_, _) => 93,
            // ODBC has no numbers for what is nested.
            DataType::List(_) | DataType::Struct(_) => continue,
            other => panic!("{} has the type {other}, which no column has", field.name()),
        };
        assert_eq!(
            by_name.get(said.as_str()),
            Some(&expected),
            "{} is {said}",
            field.name()
        );
    }
    for code in codes.values() {
        let some = types(&wire, Some(*code));
        let found = some
            .column_by_name("data_type")
            .unwrap()
            .as_primitive::<Int32Type>();
        assert!(
            !found.is_empty() && found.values().iter().all(|found| found == code),
            "{code}"
        );
    }
    assert_eq!(types(&wire, Some(9_999)).num_rows(), 0);
}
