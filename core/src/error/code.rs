//! The SQLSTATE of every error Watershed gives. They are PostgreSQL's where it has one.

use serde::{Deserialize, Serialize};

/// What the reader of an error can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    FixStatement,
    FixData,
    AskForPermission,
    Retry,
    FreeResources,
    ReportBug,
}

macro_rules! sqlstates {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $condition:literal, $remedy:ident;)+) => {
        /// The five-character code of an error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum SqlState {
            $($(#[doc = $doc])+ $name,)+
        }

        impl SqlState {
            /// Every code there is, in the order of the documentation.
            pub const ALL: &'static [SqlState] = &[$(SqlState::$name,)+];

            /// The code itself, as drivers compare it.
            pub const fn as_str(self) -> &'static str {
                match self { $(SqlState::$name => $code,)+ }
            }

            /// PostgreSQL's name of the condition.
            pub const fn condition(self) -> &'static str {
                match self { $(SqlState::$name => $condition,)+ }
            }

            /// What to do about it.
            pub const fn remedy(self) -> Remedy {
                match self { $(SqlState::$name => Remedy::$remedy,)+ }
            }

            /// What it means, in a sentence.
            pub const fn description(self) -> &'static str {
                match self { $(SqlState::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

sqlstates! {
    /// A documented feature that this version does not have.
    FeatureNotSupported = "0A000", "feature_not_supported", FixStatement;
    /// A text has more characters than its column takes.
    StringDataRightTruncation = "22001", "string_data_right_truncation", FixData;
    /// A value does not fit its column's type.
    NumericValueOutOfRange = "22003", "numeric_value_out_of_range", FixData;
    /// A text is not of the form that its type has.
    InvalidTextRepresentation = "22P02", "invalid_text_representation", FixData;
    /// A number was divided by zero.
    DivisionByZero = "22012", "division_by_zero", FixData;
    /// A date or time is out of range or not one at all.
    InvalidDatetimeFormat = "22007", "invalid_datetime_format", FixData;
    /// A date, a timestamp or one of its fields is beyond what there is.
    DatetimeFieldOverflow = "22008", "datetime_field_overflow", FixData;
    /// A value of a parameter or setting is not one that it takes.
    InvalidParameterValue = "22023", "invalid_parameter_value", FixStatement;
    /// A pattern is not one, such as a regular expression with an open bracket.
    InvalidRegularExpression = "2201B", "invalid_regular_expression", FixStatement;
    /// The distance of a window's frame is negative.
    InvalidPrecedingOrFollowingSize = "22013", "invalid_preceding_or_following_size", FixStatement;
    /// The escape text of LIKE or SIMILAR TO has more than one character.
    InvalidEscapeCharacter = "22019", "invalid_escape_character", FixStatement;
    /// A pattern ends with its escape character.
    InvalidEscapeSequence = "22025", "invalid_escape_sequence", FixStatement;
    /// Data could not be read as what it should be.
    DataException = "22000", "data_exception", FixData;
    /// A subquery that should give one row gave more.
    CardinalityViolation = "21000", "cardinality_violation", FixStatement;
    /// A NULL came for a column that has none.
    NotNullViolation = "23502", "not_null_violation", FixData;
    /// A key is there already.
    UniqueViolation = "23505", "unique_violation", FixData;
    /// Who asks has not said who it is, or not convincingly.
    InvalidAuthorization = "28000", "invalid_authorization_specification", AskForPermission;
    /// The password is not the user's.
    InvalidPassword = "28P01", "invalid_password", AskForPermission;
    /// A prepared statement or its handle is not known.
    InvalidStatementName = "26000", "invalid_sql_statement_name", Retry;
    /// A catalog of that name does not exist.
    InvalidCatalogName = "3D000", "invalid_catalog_name", FixStatement;
    /// A schema of that name does not exist.
    InvalidSchemaName = "3F000", "invalid_schema_name", FixStatement;
    /// Others changed the same thing at the same time.
    SerializationFailure = "40001", "serialization_failure", Retry;
    /// The statement could not be parsed.
    SyntaxError = "42601", "syntax_error", FixStatement;
    /// Who asks may not do this.
    InsufficientPrivilege = "42501", "insufficient_privilege", AskForPermission;
    /// A column of that name does not exist.
    UndefinedColumn = "42703", "undefined_column", FixStatement;
    /// A function of that name and with those arguments does not exist.
    UndefinedFunction = "42883", "undefined_function", FixStatement;
    /// A table or view of that name does not exist.
    UndefinedTable = "42P01", "undefined_table", FixStatement;
    /// A setting, type or other object of that name does not exist.
    UndefinedObject = "42704", "undefined_object", FixStatement;
    /// A `$n` or `?` of the statement has no value.
    UndefinedParameter = "42P02", "undefined_parameter", FixStatement;
    /// A name means more than one column.
    AmbiguousColumn = "42702", "ambiguous_column", FixStatement;
    /// A column stands twice in one table.
    DuplicateColumn = "42701", "duplicate_column", FixStatement;
    /// A table or view of that name is there already.
    DuplicateTable = "42P07", "duplicate_table", FixStatement;
    /// A schema of that name is there already.
    DuplicateSchema = "42P06", "duplicate_schema", FixStatement;
    /// An object of that name is there already.
    DuplicateObject = "42710", "duplicate_object", FixStatement;
    /// Types do not go together.
    DatatypeMismatch = "42804", "datatype_mismatch", FixStatement;
    /// There is no cast between the types.
    CannotCoerce = "42846", "cannot_coerce", FixStatement;
    /// An expression is not allowed beside GROUP BY.
    GroupingError = "42803", "grouping_error", FixStatement;
    /// A window function stands where none may stand, as in WHERE.
    WindowingError = "42P20", "windowing_error", FixStatement;
    /// The object is of another kind than the statement needs.
    WrongObjectType = "42809", "wrong_object_type", FixStatement;
    /// A definition of a table contradicts itself.
    InvalidTableDefinition = "42P16", "invalid_table_definition", FixStatement;
    /// Something else still needs the object.
    DependentObjectsStillExist = "2BP01", "dependent_objects_still_exist", FixStatement;
    /// There is no room left: memory, disk or a limit that was set.
    InsufficientResources = "53000", "insufficient_resources", FreeResources;
    /// The disk or store is full.
    DiskFull = "53100", "disk_full", FreeResources;
    /// The statement needs more memory than it may have.
    OutOfMemory = "53200", "out_of_memory", FreeResources;
    /// Too much runs or waits already.
    TooManyStatements = "53300", "too_many_connections", Retry;
    /// The statement is too long or too deeply nested.
    StatementTooComplex = "54001", "statement_too_complex", FixStatement;
    /// The object is not in the state the statement needs.
    ObjectNotInPrerequisiteState = "55000", "object_not_in_prerequisite_state", FixStatement;
    /// The statement was cancelled.
    QueryCanceled = "57014", "query_canceled", Retry;
    /// Executors were lost while they ran the statement.
    CrashShutdown = "57P02", "crash_shutdown", FreeResources;
    /// No executor can run the statement now.
    CannotConnectNow = "57P03", "cannot_connect_now", Retry;
    /// The object store or a file in it cannot be read or written.
    IoError = "58030", "io_error", Retry;
    /// A file or record is damaged.
    DataCorrupted = "XX001", "data_corrupted", ReportBug;
    /// A mistake in Watershed.
    InternalError = "XX000", "internal_error", ReportBug;
}

impl SqlState {
    /// The code whose five characters these are.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == code)
    }
}

impl std::fmt::Display for SqlState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for SqlState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SqlState {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::from_code(&code).ok_or_else(|| serde::de::Error::custom(format!("unknown SQLSTATE {code}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_found_again() {
        for state in SqlState::ALL {
            assert_eq!(state.as_str().len(), 5);
            assert_eq!(SqlState::from_code(state.as_str()), Some(*state));
        }
    }
}
