use std::sync::Arc;

use datafusion::common::exec_datafusion_err;

use super::*;

#[track_caller]
fn check(error: DataFusionError, code: SqlState) -> Error {
    let translated = from_datafusion(error);
    assert_eq!(translated.code(), code, "{translated:?}");
    let message = translated.message();
    assert!(!message.ends_with('.'), "{message}");
    translated
}

#[test]
fn ours_come_out_as_they_went_in() {
    let own = Error::new(SqlState::NotNullViolation, "no").with_detail("d");
    let wrap = || into_datafusion(own.clone());
    assert_eq!(from_datafusion(wrap()), own);
    assert_eq!(from_datafusion(wrap().context("while writing")), own);
    assert_eq!(from_datafusion(DataFusionError::Shared(Arc::new(wrap()))), own);
    let arrow = ArrowError::ExternalError(Box::new(wrap()));
    assert_eq!(from_datafusion(DataFusionError::from(arrow)), own);
}

#[test]
fn ours_cross_processes_as_text() {
    let own = Error::new(SqlState::UniqueViolation, "key \"a\" is there").with_hint("Use another \\ key.");
    let DataFusionError::Execution(text) = portable(own.clone()) else {
        panic!("another kind of error");
    };
    let sent = || DataFusionError::Execution(text.clone());
    assert_eq!(from_datafusion(sent()), own);
    assert_eq!(from_datafusion(sent().context("while reading")), own);
    assert_eq!(from_datafusion(DataFusionError::Shared(Arc::new(sent()))), own);
}

#[test]
fn data_is_not_taken_for_an_error_of_another_process() {
    let lost = Error::new(SqlState::CannotConnectNow, "lost");
    let DataFusionError::Execution(text) = portable(lost) else {
        panic!("another kind of error");
    };
    let message = format!("Cannot cast string '{text}' to value of Int64 type");
    check(
        ArrowError::CastError(message.clone()).into(),
        SqlState::InvalidTextRepresentation,
    );
    check(
        DataFusionError::Execution(message.clone()),
        SqlState::InvalidTextRepresentation,
    );
    check(DataFusionError::Internal(message), SqlState::InternalError);
}

#[test]
fn failed_predicates_of_scans_are_the_errors_they_hold() {
    let failed = |inner: DataFusionError| {
        let text = format!("Error evaluating filter predicate: {inner:?}");
        DataFusionError::from(ParquetError::from(ArrowError::ComputeError(text)))
    };
    let cast = ArrowError::CastError("Cannot cast string 'a\"b' to value of Int64 type".to_owned());
    let error = check(failed(cast.into()), SqlState::InvalidTextRepresentation);
    assert_eq!(
        error.message(),
        "cannot cast string 'a\"b' to value of BIGINT type"
    );
    check(failed(ArrowError::DivideByZero.into()), SqlState::DivisionByZero);
    let overflow = ArrowError::ArithmeticOverflow("Overflow happened on: 9 * 9".to_owned());
    check(failed(overflow.into()), SqlState::NumericValueOutOfRange);
    check(failed(exec_datafusion_err!("odd")), SqlState::DataException);
    let own = || Error::new(SqlState::OutOfMemory, "a \"value\" of {} bytes").with_hint("Less.");
    let inner = into_datafusion(own());
    assert_eq!(check(failed(inner), SqlState::OutOfMemory), own());
}

#[test]
fn others_get_a_code() {
    let large = "100000 is too large to store in a Decimal128 of precision 5. Max is 99999".to_owned();
    check(
        ArrowError::InvalidArgumentError(large).into(),
        SqlState::NumericValueOutOfRange,
    );
    check(ArrowError::DivideByZero.into(), SqlState::DivisionByZero);
    check(
        ArrowError::CastError("Cannot cast string 'x' to value of Int64 type".to_owned()).into(),
        SqlState::InvalidTextRepresentation,
    );
    check(
        ArrowError::CastError("Can't cast value 300 to type Int8".to_owned()).into(),
        SqlState::NumericValueOutOfRange,
    );
    check(
        DataFusionError::Plan("table 'datafusion.public.t' not found".to_owned()),
        SqlState::UndefinedTable,
    );
    check(
        DataFusionError::Plan("Invalid function 'foo'.\nDid you mean 'floor'?".to_owned()),
        SqlState::UndefinedFunction,
    );
    let unmatched = "Function 'sum' failed to match any signature, errors: Error during planning: Function 'sum' \
                     requires Decimal, but received String,Error during planning: Function 'sum' requires Int64, but \
                     received String";
    for error in [
        DataFusionError::Internal(unmatched.to_owned()),
        DataFusionError::Plan(format!("Internal error: {unmatched}.")),
    ] {
        let error = check(error, SqlState::UndefinedFunction);
        assert_eq!(
            error.message(),
            "function sum does not take arguments of these types"
        );
    }
    check(
        DataFusionError::ResourcesExhausted("Failed to allocate additional 1 MB".to_owned()),
        SqlState::OutOfMemory,
    );
    check(exec_datafusion_err!("something odd"), SqlState::DataException);
    check(
        DataFusionError::IoError(std::io::Error::from(std::io::ErrorKind::StorageFull)),
        SqlState::DiskFull,
    );
    let spilled = "The used disk space during the spilling process has exceeded the allowable limit of 16.0 GB. \
                   Please try increasing the config: `datafusion.runtime.max_temp_directory_size`.";
    for error in [
        DataFusionError::IoError(std::io::Error::other(spilled)),
        ArrowError::IoError(spilled.to_owned(), std::io::Error::other(spilled)).into(),
        DataFusionError::ResourcesExhausted(format!("disk: {spilled}")),
    ] {
        let error = check(error, SqlState::DiskFull);
        assert!(!error.detail().unwrap().contains("max_temp"), "{error:?}");
        assert!(error.hint().unwrap().contains("--memory-limit"), "{error:?}");
    }
    check(
        ParquetError::General("Invalid Parquet file. Corrupt footer".to_owned()).into(),
        SqlState::DataCorrupted,
    );
    let store = object_store::Error::Generic {
        store: "S3",
        source: "500 Internal Server Error".into(),
    };
    let error = check(DataFusionError::ObjectStore(Box::new(store)), SqlState::IoError);
    assert!(error.detail().unwrap().contains("500"), "{error:?}");
}

#[test]
fn long_stories_are_told_in_short() {
    let story = "Function 'coalesce' user-defined coercion failed with: Execution error: Fail to find the coerced type. \
                 No function matches the given name and argument types 'coalesce(Date32, Int64)'. You might need to add \
                 explicit type casts.";
    let error = check(
        DataFusionError::Plan(story.to_owned()),
        SqlState::DatatypeMismatch,
    );
    assert_eq!(
        error.message(),
        "the arguments of coalesce are of types DATE, BIGINT, which have none in common"
    );
    let pattern = "regex parse error:\n    (\n    ^\nerror: unclosed group";
    let error = check(
        DataFusionError::External(pattern.into()),
        SqlState::InvalidRegularExpression,
    );
    assert_eq!(error.detail(), Some("unclosed group"));
}

#[test]
fn unknown_columns_name_the_nearest() {
    let error = DataFusionError::SchemaError(
        Box::new(SchemaError::FieldNotFound {
            field: Box::new(datafusion::common::Column::from_name("usr_id")),
            valid_fields: vec![
                datafusion::common::Column::from_name("user_id"),
                datafusion::common::Column::from_name("dt"),
            ],
        }),
        Box::new(None),
    );
    let error = check(error, SqlState::UndefinedColumn);
    assert_eq!(error.hint(), Some("Did you mean \"user_id\"?"));
}

#[test]
fn syntax_trees_are_left_out() {
    for (message, expected) in [
        (
            "Unsupported JOIN operator Semi(On(BinaryOp { left: CompoundIdentifier([Ident { value: \"a\" }])",
            "unsupported JOIN operator",
        ),
        (
            "Unsupported ast node in sqltorel: Collate { expr: Value(1) }",
            "an expression of the kind Collate is not supported",
        ),
        (
            "Physical plan does not support logical expression OuterReferenceColumn(Field { name: \"l\" })",
            "a correlated subquery of this form is not supported",
        ),
        ("Unsupported thing {x}", "unsupported thing {x}"),
    ] {
        let error = from_datafusion(DataFusionError::NotImplemented(message.to_owned()));
        assert_eq!(error.message(), expected);
    }
}
