//! Every function that is registered is bounded, and stays what it was.

use std::collections::BTreeSet;

use arrow::array::{Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs};
use watershed_core::error::{Error, SqlState};

use super::*;
use crate::error::from_datafusion;
use crate::session;

/// Functions that make at most a small multiple of what they get, also of what they made.
const OTHERS: &str = "
    __only_row abs acos acosh age array_add array_any_value array_avg array_compact array_dims
    array_distance array_distinct array_element array_except array_intersect array_length
    array_max array_min array_ndims array_normalize array_pop_back array_pop_front
    array_product array_reverse array_scale array_slice array_sort array_subtract array_sum arrow_field arrow_metadata arrow_typeof as_cast as_json ascii
    asin asinh atan atan2 atanh bit_length btrim bytes_of_text canonical_float canonical_nested
    cardinality cast_to_type cbrt ceil ceil_to_micros ceil_to_millis ceil_to_seconds character_length
    checked_add checked_divide checked_multiply checked_negate checked_subtract chr coalesce contains
    convert_from convert_to cos cosh cosine_distance cot current_date current_time date_add date_bin
    date_diff date_of_instant date_part date_sub date_subtract date_trunc dayname decode degrees digest double_of empty
    ends_with epoch epoch_ms epoch_ns epoch_us exp factorial file_row_index find_in_set flatten float_of
    floor floor_to_micros floor_to_millis floor_to_seconds from_unixtime gcd get_field greatest initcap
    inner_product input_file_name instant_from_local instant_from_pattern instant_from_text
    instant_from_text_ns interval_code interval_divide interval_key interval_multiply interval_of_code
    isnan iszero json_array_length json_as_text json_extract json_extract_path
    json_extract_path_text json_extract_string json_from_scalar json_get json_get_array json_get_bool
    json_get_float json_get_int json_get_json json_get_str json_has_all json_has_any json_has_key
    json_length json_object_keys json_step json_step_text json_steps json_steps_text
    json_union_to_text last_day lcm least left length_of_list ln log log10 log2 lower ltrim make_date
    make_time make_timestamp map map_entries map_extract map_keys map_values md5 monthname named_struct
    nanvl nearest_whole nested_code nested_key nested_of_code now nullif number_of_truth nvl nvl2 octet_length pg_typeof
    pi power radians random reverse right round round_as round_to_micros round_to_millis round_to_seconds
    rtrim sha224 sha256 sha384 sha512 signum sin sinh split_part sqrt starts_with string_to_array strpos
    struct substr substr_index tan tanh text_of_interval text_of_nested text_of_time time_bucket time_of_day timezone to_date to_hex
    to_local_time to_time to_timestamp to_timestamp_micros to_timestamp_millis to_timestamp_nanos
    to_timestamp_seconds to_unixtime trunc trunc_as truth_of_number try_bytes_of_text try_cast_to_type try_double_of
    try_float_of try_instant_from_text try_instant_from_text_ns typeof union_extract union_tag upper
    usual_date usual_decimal usual_interval usual_time usual_whole uuid values_of_bytes version
    width_bucket with_metadata
";

fn registered() -> BTreeSet<&'static str> {
    let functions = session::scalar_functions().values();
    functions.map(|function| function.name()).collect()
}

#[test]
fn every_function_is_in_one_of_the_lists() {
    let ruled: BTreeSet<&str> = rules::names().collect();
    let others: BTreeSet<&str> = OTHERS.split_whitespace().collect();
    let both: Vec<_> = ruled.intersection(&others).collect();
    assert!(both.is_empty(), "in both lists: {both:?}");
    let listed: BTreeSet<&str> = ruled.union(&others).copied().collect();
    let registered = registered();
    let unknown: Vec<_> = registered.difference(&listed).collect();
    assert!(
        unknown.is_empty(),
        "say how much these functions can make: {unknown:?}"
    );
    let gone: Vec<_> = listed.difference(&registered).collect();
    assert!(gone.is_empty(), "there are no such functions: {gone:?}");
}

#[test]
fn no_alias_hides_a_function_of_ours() {
    for function in crate::functions::scalar() {
        let found = session::scalar_functions().get(function.name());
        assert_eq!(found.map(|found| found.name()), Some(function.name()));
    }
}

#[test]
fn what_is_registered_has_its_guard_under_each_name() {
    for (name, function) in session::scalar_functions() {
        let ruled = rules::of(function.name()).is_some();
        assert_eq!(function.inner().is::<Guarded>(), ruled, "{name}");
        let named = name == function.name() || function.aliases().contains(name);
        assert!(named, "{name} is {}", function.name());
    }
}

fn invoke(name: &str, args: Vec<ColumnarValue>, rows: usize) -> Result<ColumnarValue, Error> {
    let function = &session::scalar_functions()[name];
    let arg_fields: Vec<FieldRef> = args
        .iter()
        .map(|arg| Arc::new(Field::new("x", arg.data_type(), true)))
        .collect();
    let constants: Vec<_> = args
        .iter()
        .map(|arg| match arg {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        })
        .collect();
    let return_field = function
        .return_field_from_args(ReturnFieldArgs {
            arg_fields: &arg_fields,
            scalar_arguments: &constants,
        })
        .map_err(from_datafusion)?;
    let args = ScalarFunctionArgs {
        args,
        arg_fields,
        number_rows: rows,
        return_field,
        config_options: Arc::default(),
    };
    function.invoke_with_args(args).map_err(from_datafusion)
}

fn text(value: &str) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::from(value))
}

fn number(value: i64) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::from(value))
}

fn texts(values: Vec<String>) -> ColumnarValue {
    ColumnarValue::Array(Arc::new(StringArray::from(values)))
}

/// Calls whose results no process has room for are refused, and name their function.
#[test]
fn what_is_too_large_is_refused_before_it_is_made() {
    let long = "x".repeat(1 << 20);
    let much = i64::MAX / 4;
    let list = || {
        let list = ScalarValue::new_list_nullable(
            &[ScalarValue::from(1_i64), ScalarValue::from(2_i64)],
            &DataType::Int64,
        );
        ColumnarValue::Scalar(ScalarValue::List(list))
    };
    for (name, args) in [
        ("repeat", vec![text("ab"), number(much)]),
        ("repeat", vec![texts(vec!["ab".into(), "c".into()]), number(much)]),
        ("lpad", vec![text("a"), number(i64::from(i32::MAX) - 1)]),
        (
            "rpad",
            vec![text("a"), number(i64::from(i32::MAX) - 1), text("é")],
        ),
        ("replace", vec![text(&long), text("x"), text(&"y".repeat(1_000))]),
        (
            "regexp_replace",
            vec![text(&long), text("x"), text(&"y".repeat(1_000)), text("g")],
        ),
        ("concat", vec![text(&long); 100]),
        ("concat_ws", vec![text(&long); 60]),
        ("text_concat", vec![text(&"x".repeat(40 << 20)); 2]),
        ("array_repeat", vec![number(1), number(much)]),
        ("array_repeat", vec![list(), number(much)]),
        ("array_resize", vec![list(), number(much)]),
        ("array_resize", vec![list(), number(much), number(7)]),
        ("range", vec![number(0), number(much)]),
        ("generate_series", vec![number(0), number(-much), number(-1)]),
        ("make_array", vec![text(&long); 100]),
        ("array_to_string", vec![list(), text(&"x".repeat(40 << 20))]),
        (
            "arrow_cast",
            vec![
                ColumnarValue::Scalar(ScalarValue::Utf8(None)),
                text("FixedSizeBinary(2000000000)"),
            ],
        ),
    ] {
        let error = invoke(name, args, 2).expect_err(name);
        assert_eq!(error.code(), SqlState::OutOfMemory, "{name}: {error:?}");
        let primary = session::scalar_functions()[name].name();
        assert!(error.message().contains(primary), "{name}: {error:?}");
    }
}

#[test]
fn what_takes_too_long_is_refused_before_it_begins() {
    let long = "a".repeat(200_000);
    for (name, args) in [
        ("levenshtein", vec![text(&long), text(&long)]),
        ("regexp_like", vec![text(&long), text(&long)]),
    ] {
        let error = invoke(name, args, 1).expect_err(name);
        assert_eq!(error.code(), SqlState::StatementTooComplex, "{name}: {error:?}");
    }
    assert!(invoke("levenshtein", vec![text("kitten"), text("sitting")], 1).is_ok());
}

/// An estimate may be far from the truth: what counts is what is made.
#[test]
fn a_batch_is_cut_where_it_might_be_too_large() {
    // As if each text were nothing but matches.
    let value = format!("{}y", "x".repeat(1_000));
    let rows = 4_000;
    let args = vec![
        texts(vec![value; rows]),
        text("y"),
        text(&"z".repeat(1_000)),
        text("g"),
    ];
    let made = invoke("regexp_replace", args, rows)
        .unwrap()
        .into_array(rows)
        .unwrap();
    assert_eq!(made.len(), rows);
    let lengths = sizes::sizes(&made);
    assert_eq!((lengths.at(0), lengths.at(rows - 1)), (2_000, 2_000));
    let error = invoke(
        "repeat",
        vec![texts(vec!["x".to_owned(); 100]), number(60 << 20)],
        100,
    );
    let error = error.unwrap_err();
    assert_eq!(error.code(), SqlState::OutOfMemory);
    assert!(error.message().contains("rows"), "{error:?}");
}

#[test]
fn no_rows_and_nulls_are_nothing() {
    let none = ColumnarValue::Array(Arc::new(StringArray::new_null(2)));
    let times = ColumnarValue::Array(Arc::new(Int64Array::from(vec![Some(i64::MAX), None])));
    let made = invoke("repeat", vec![none, times.clone()], 2).unwrap();
    assert_eq!(made.into_array(2).unwrap().null_count(), 2);
    let empty = ColumnarValue::Array(Arc::new(StringArray::new_null(0)));
    let times = ColumnarValue::Array(Arc::new(Int64Array::new_null(0)));
    assert_eq!(
        invoke("repeat", vec![empty, times], 0)
            .unwrap()
            .into_array(0)
            .unwrap()
            .len(),
        0
    );
}
