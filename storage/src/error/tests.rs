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
    let text = wire_text(&into_datafusion(own.clone()));
    check_text(&text, &own);
    check_text(&format!("Execution error: worker 3: {text}, giving up"), &own);
    check_text(&format!("{:?}", format!("worker: {text}")), &own);
}

#[track_caller]
fn check_text(text: &str, own: &Error) {
    assert_eq!(
        &from_datafusion(DataFusionError::Execution(text.to_owned())),
        own,
        "{text}"
    );
    assert_eq!(
        &from_datafusion(DataFusionError::Internal(text.to_owned())),
        own,
        "{text}"
    );
    assert_eq!(
        &from_datafusion(DataFusionError::External(text.to_owned().into())),
        own,
        "{text}"
    );
}

#[test]
fn others_get_a_code() {
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
    check(
        DataFusionError::ResourcesExhausted("Failed to allocate additional 1 MB".to_owned()),
        SqlState::OutOfMemory,
    );
    check(exec_datafusion_err!("something odd"), SqlState::DataException);
    check(
        DataFusionError::IoError(std::io::Error::from(std::io::ErrorKind::StorageFull)),
        SqlState::DiskFull,
    );
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
