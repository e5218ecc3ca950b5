use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
    NullArray, StringArray, StructArray, TimestampMicrosecondArray, TimestampNanosecondArray, UnionArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, UnionFields};
use arrow::ipc::reader::StreamReader;

use super::*;

fn screen(columns: Option<usize>) -> Screen {
    Screen {
        columns,
        expanded: Expanded::Auto,
        style: Style::PLAIN,
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

fn encode(format: Format, screen: Screen, batches: &[RecordBatch]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = encoder(format, &batches[0].schema(), screen).unwrap();
    for batch in batches {
        encoder.batch(batch, &mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    out
}

#[track_caller]
fn check(format: Format, batch: &RecordBatch, expected: &str) {
    let text = String::from_utf8(encode(format, screen(None), std::slice::from_ref(batch))).unwrap();
    assert_eq!(text, expected, "\n{text}");
}

fn people() -> RecordBatch {
    batch(vec![
        ("id", Arc::new(Int64Array::from(vec![Some(1), Some(20), None]))),
        (
            "name",
            Arc::new(StringArray::from(vec![
                Some("Zoë, \"Z\""),
                None,
                Some("two\nlines"),
            ])),
        ),
        (
            "active",
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        ),
    ])
}

fn kinds() -> RecordBatch {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None])]);
    let inner: ArrayRef = Arc::new(StringArray::from(vec!["a\"b"]));
    let structs = StructArray::from(vec![(
        Arc::new(Field::new("s", inner.data_type().clone(), true)),
        inner,
    )]);
    batch(vec![
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(vec![1_793_534_400_000_001]).with_timezone("UTC")),
        ),
        ("day", Arc::new(Date32Array::from(vec![20_758]))),
        (
            "price",
            Arc::new(
                Decimal128Array::from(vec![1_250])
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
        ),
        ("ratio", Arc::new(Float64Array::from(vec![0.5]))),
        ("raw", Arc::new(BinaryArray::from_vec(vec![b"\x00\xff"]))),
        ("list", Arc::new(list)),
        ("pair", Arc::new(structs)),
    ])
}

#[test]
fn tables() {
    check(
        Format::Table,
        &people(),
        "   id | name     | active\n\
         ------+----------+--------\n\
         \u{20}   1 | Zoë, \"Z\" | true\n\
         \u{20}  20 | NULL     | NULL\n\
         \u{20}NULL | two     +| false\n\
         \u{20}     | lines    |\n\
         (3 rows)\n",
    );
    check(
        Format::Table,
        &people().slice(0, 0),
        " id | name | active\n----+------+--------\n(0 rows)\n",
    );
}

#[test]
fn every_kind_of_value_in_a_table() {
    check(
        Format::Table,
        &kinds(),
        " at                               | day        | price | ratio | raw  | list     | pair\n\
         ----------------------------------+------------+-------+-------+------+----------+--------------\n\
         \u{20}2026-11-01 12:00:00.000001+00:00 | 2026-11-01 | 12.50 |   0.5 | 00ff | [1,null] | {\"s\":\"a\\\"b\"}\n\
         (1 row)\n",
    );
}

#[test]
fn csv() {
    check(
        Format::Csv,
        &people(),
        "id,name,active\n1,\"Zoë, \"\"Z\"\"\",true\n20,,\n,\"two\nlines\",false\n",
    );
    check(
        Format::Csv,
        &kinds(),
        "at,day,price,ratio,raw,list,pair\n\
         2026-11-01 12:00:00.000001+00:00,2026-11-01,12.50,0.5,00ff,\"[1,null]\",\"{\"\"s\"\":\"\"a\\\"\"b\"\"}\"\n",
    );
    check(Format::Csv, &people().slice(0, 0), "id,name,active\n");
}

#[test]
fn json() {
    check(
        Format::Json,
        &people(),
        "{\"id\":1,\"name\":\"Zoë, \\\"Z\\\"\",\"active\":true}\n\
         {\"id\":20,\"name\":null,\"active\":null}\n\
         {\"id\":null,\"name\":\"two\\nlines\",\"active\":false}\n",
    );
    check(
        Format::Json,
        &kinds(),
        "{\"at\":\"2026-11-01 12:00:00.000001+00:00\",\"day\":\"2026-11-01\",\"price\":12.50,\"ratio\":0.5,\
         \"raw\":\"00ff\",\"list\":[1,null],\"pair\":{\"s\":\"a\\\"b\"}}\n",
    );
    check(Format::Json, &people().slice(0, 0), "");
}

#[test]
fn arrow_streams_are_read_back() {
    let bytes = encode(Format::Arrow, screen(None), &[people(), people()]);
    let read: Vec<RecordBatch> = StreamReader::try_new(bytes.as_slice(), None)
        .unwrap()
        .map(|batch| batch.unwrap())
        .collect();
    assert_eq!(read, [people(), people()]);
}

#[test]
fn finer_timestamps_keep_their_digits() {
    let fine = batch(vec![(
        "at",
        Arc::new(TimestampNanosecondArray::from(vec![1_793_534_400_000_000_001])),
    )]);
    check(Format::Csv, &fine, "at\n2026-11-01 12:00:00.000000001\n");
}

#[test]
fn values_of_unions_are_those_of_their_members() {
    let fields = UnionFields::from_fields([
        Field::new("none", DataType::Null, true),
        Field::new("int", DataType::Int64, false),
        Field::new("text", DataType::Utf8, false),
    ]);
    let members: Vec<ArrayRef> = vec![
        Arc::new(NullArray::new(3)),
        Arc::new(Int64Array::from(vec![0, 7, 0])),
        Arc::new(StringArray::from(vec!["", "", "a"])),
    ];
    let union = UnionArray::try_new(fields, vec![0, 1, 2].into(), None, members).unwrap();
    let batch = batch(vec![("u", Arc::new(union))]);
    check(Format::Json, &batch, "{\"u\":null}\n{\"u\":7}\n{\"u\":\"a\"}\n");
    // A line that is empty would be no row.
    check(Format::Csv, &batch, "u\n\"\"\n7\n\"\"\"a\"\"\"\n");
}

#[test]
fn csv_has_one_header() {
    let text = encode(Format::Csv, screen(None), &[people(), people()]);
    assert_eq!(String::from_utf8(text).unwrap().matches("id,name").count(), 1);
}

#[test]
fn wide_tables_fit_the_terminal() {
    let wide = batch(vec![
        ("id", Arc::new(Int64Array::from(vec![1]))),
        ("text", Arc::new(StringArray::from(vec!["x".repeat(500)]))),
    ]);
    let text = String::from_utf8(encode(Format::Table, screen(Some(60)), &[wide])).unwrap();
    assert!(
        text.lines().take(3).all(|line| line.chars().count() <= 60),
        "{text}"
    );
    assert!(text.contains("xxx…\n(1 row; long values are cut"), "{text}");
}

#[test]
fn tables_of_many_columns_become_records() {
    let columns = (0..12).map(|n| {
        let column: ArrayRef = Arc::new(StringArray::from(vec![Some("value"), None]));
        (format!("a_long_column_{n}"), column, true)
    });
    let many = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let text = String::from_utf8(encode(
        Format::Table,
        screen(Some(80)),
        std::slice::from_ref(&many),
    ))
    .unwrap();
    assert!(
        text.starts_with("-[ RECORD 1 ]-----\na_long_column_0  | value\n"),
        "{text}"
    );
    assert!(
        text.contains("-[ RECORD 2 ]-----\na_long_column_0  | NULL\n"),
        "{text}"
    );
    assert!(text.ends_with("a_long_column_11 | NULL\n(2 rows)\n"), "{text}");
    let text = String::from_utf8(encode(Format::Table, screen(None), &[many])).unwrap();
    assert!(text.starts_with(" a_long_column_0 |"), "{text}");
}

#[test]
fn plans_are_not_cut() {
    let plan = batch(vec![
        ("plan_type", Arc::new(StringArray::from(vec!["logical_plan"]))),
        (
            "plan",
            Arc::new(StringArray::from(vec![format!("Sort\n  {}", "x".repeat(200))])),
        ),
    ]);
    let text = String::from_utf8(encode(Format::Table, screen(Some(80)), &[plan])).unwrap();
    assert!(text.contains(&"x".repeat(200)), "{text}");
}

#[test]
fn large_tables_show_early_and_once() {
    let rows = batch(vec![("n", Arc::new(Int64Array::from_iter_values(0..2_500)))]);
    let mut encoder = encoder(Format::Table, &rows.schema(), screen(None)).unwrap();
    let mut out = Vec::new();
    encoder.batch(&rows, &mut out).unwrap();
    assert_eq!(String::from_utf8_lossy(&out).lines().count(), 2_002);
    encoder.finish(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!((text.matches("---").count(), text.lines().count()), (1, 2_503));
    assert!(text.ends_with(" 2499\n(2500 rows)\n"), "{text}");
}

#[test]
fn data_cannot_speak_to_the_terminal() {
    let hostile = batch(vec![("a", Arc::new(StringArray::from(vec!["\x1b[2Jx\r"])))]);
    check(
        Format::Table,
        &hostile,
        " a\n------------\n \\x1b[2Jx\\r\n(1 row)\n",
    );
}
