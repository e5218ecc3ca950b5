//! What the server says it can do, code by code. The kind of every value is the one that drivers
//! cast to, which for a few codes is not the one that is documented.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity, SqlSupportedGroupBy,
    SqlSupportedResultSetType, SqlSupportedSubqueries, SqlSupportedTransaction, SqlSupportedUnions,
    SqlSupportsConvert, SqlTransactionIsolationLevel, SupportedSqlGrammar,
};
use datafusion::logical_expr::ScalarUDF;
use watershed_core::Result;

use super::metadata::built;

/// The entry grammar of SQL-92.
const ENTRY_LEVEL: i32 = 0;
/// The schema may stand before the name of a table, in queries and in DDL.
const IN_QUERIES_AND_DDL: i32 = 0b11;
const UNLIMITED: i64 = 0;

const KEYWORDS: &[&str] = &[
    "ANALYZE",
    "ANTI",
    "ARRAY",
    "BUCKETS",
    "CLUSTERED",
    "DESCRIBE",
    "EXPLAIN",
    "EXTERNAL",
    "FORMAT",
    "IF",
    "ILIKE",
    "JSON",
    "LIMIT",
    "LOCATION",
    "OFFSET",
    "PARTITIONED",
    "QUALIFY",
    "REPLACE",
    "RESET",
    "SEMI",
    "SHOW",
    "SORTED",
    "STORED",
    "STRING",
    "STRUCT",
    "USE",
    "WINDOW",
];

/// `handles_idle`: how long a prepared statement is kept that nobody uses.
pub(super) fn sql_info(ingests: bool, handles_idle: Duration) -> Result<SqlInfoData> {
    use SqlInfo as I;
    let mut info = SqlInfoDataBuilder::new();
    let mut texts = |codes: &[(SqlInfo, &str)]| {
        for (code, value) in codes {
            info.append(*code, *value);
        }
    };
    texts(&[
        (I::FlightSqlServerName, "Watershed"),
        (I::FlightSqlServerVersion, env!("CARGO_PKG_VERSION")),
        (I::FlightSqlServerArrowVersion, arrow::ARROW_VERSION),
        (I::FlightSqlServerSubstraitMinVersion, ""),
        (I::FlightSqlServerSubstraitMaxVersion, ""),
        (I::SqlIdentifierQuoteChar, "\""),
        (I::SqlSearchStringEscape, "\\"),
        (I::SqlExtraNameCharacters, "$"),
        (I::SqlSchemaTerm, "schema"),
        (I::SqlProcedureTerm, "procedure"),
        (I::SqlCatalogTerm, "catalog"),
    ]);
    for (code, value) in flags(ingests) {
        info.append(code, value);
    }
    for (code, value) in numbers() {
        info.append(code, value);
    }
    let milliseconds = i32::try_from(handles_idle.as_millis()).unwrap_or(i32::MAX);
    info.append(I::FlightSqlServerStatementTimeout, milliseconds);
    for code in LIMITS {
        info.append(*code, UNLIMITED);
    }
    info.append(
        I::SqlDefaultTransactionIsolation,
        // The Java driver reads a 64-bit number here, whatever the specification says.
        SqlTransactionIsolationLevel::SqlTransactionNone as i64,
    );
    info.append(I::SqlKeywords, KEYWORDS);
    info.append(
        I::SqlNumericFunctions,
        names(datafusion::functions::math::functions()),
    );
    let mut strings = names(datafusion::functions::string::functions());
    strings.extend(names(datafusion::functions::unicode::functions()));
    strings.sort_unstable();
    info.append(I::SqlStringFunctions, strings);
    info.append(
        I::SqlSystemFunctions,
        names(datafusion::functions::core::functions()),
    );
    info.append(
        I::SqlDatetimeFunctions,
        names(datafusion::functions::datetime::functions()),
    );
    info.append(I::SqlSupportsConvert, conversions());
    built(info.build())
}

fn flags(ingests: bool) -> Vec<(SqlInfo, bool)> {
    use SqlInfo as I;
    vec![
        (I::FlightSqlServerReadOnly, false),
        (I::FlightSqlServerSql, true),
        (I::FlightSqlServerSubstrait, false),
        (I::FlightSqlServerCancel, true),
        (I::FlightSqlServerBulkIngestion, ingests),
        (I::FlightSqlServerIngestTransactionsSupported, false),
        (I::SqlDdlCatalog, false),
        (I::SqlDdlSchema, true),
        (I::SqlDdlTable, true),
        (I::SqlAllTablesAreSelectable, true),
        (I::SqlSupportsColumnAliasing, true),
        (I::SqlNullPlusNullIsNull, true),
        (I::SqlSupportsTableCorrelationNames, true),
        (I::SqlSupportsDifferentTableCorrelationNames, false),
        (I::SqlSupportsExpressionsInOrderBy, true),
        (I::SqlSupportsOrderByUnrelated, true),
        (I::SqlSupportsLikeEscapeClause, true),
        (I::SqlSupportsNonNullableColumns, true),
        (I::SqlSupportsIntegrityEnhancementFacility, false),
        (I::SqlCatalogAtStart, true),
        (I::SqlSelectForUpdateSupported, false),
        (I::SqlStoredProceduresSupported, false),
        (I::SqlCorrelatedSubqueriesSupported, true),
        (I::SqlMaxRowSizeIncludesBlobs, true),
        (I::SqlTransactionsSupported, false),
        (I::SqlDataDefinitionCausesTransactionCommit, false),
        (I::SqlDataDefinitionsInTransactionsIgnored, false),
        (I::SqlBatchUpdatesSupported, true),
        (I::SqlSavepointsSupported, false),
        (I::SqlNamedParametersSupported, false),
        (I::SqlLocatorsUpdateCopy, false),
        (I::SqlStoredFunctionsUsingCallSyntaxSupported, false),
    ]
}

fn numbers() -> Vec<(SqlInfo, i32)> {
    use SqlInfo as I;
    vec![
        (
            I::FlightSqlServerTransaction,
            SqlSupportedTransaction::None as i32,
        ),
        (I::FlightSqlServerTransactionTimeout, 0),
        (
            I::SqlIdentifierCase,
            SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32,
        ),
        (
            I::SqlQuotedIdentifierCase,
            SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive as i32,
        ),
        (I::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32),
        (
            I::SqlSupportedGroupBy,
            bits(&[
                SqlSupportedGroupBy::SqlGroupByUnrelated as i32,
                SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32,
            ]),
        ),
        (
            I::SqlSupportedGrammar,
            bits(&[
                SupportedSqlGrammar::SqlMinimumGrammar as i32,
                SupportedSqlGrammar::SqlCoreGrammar as i32,
            ]),
        ),
        (I::SqlAnsi92SupportedLevel, bits(&[ENTRY_LEVEL])),
        (
            I::SqlOuterJoinsSupportLevel,
            bits(&[
                SqlOuterJoinsSupportLevel::SqlLimitedOuterJoins as i32,
                SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32,
            ]),
        ),
        (I::SqlSchemasSupportedActions, IN_QUERIES_AND_DDL),
        (I::SqlCatalogsSupportedActions, 0),
        (I::SqlSupportedPositionedCommands, 0),
        (
            I::SqlSupportedSubqueries,
            bits(&[
                SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
                SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
                SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
            ]),
        ),
        (
            I::SqlSupportedUnions,
            bits(&[
                SqlSupportedUnions::SqlUnion as i32,
                SqlSupportedUnions::SqlUnionAll as i32,
            ]),
        ),
        (
            I::SqlSupportedTransactionsIsolationLevels,
            bits(&[SqlTransactionIsolationLevel::SqlTransactionNone as i32]),
        ),
        (
            I::SqlSupportedResultSetTypes,
            bits(&[SqlSupportedResultSetType::SqlResultSetTypeForwardOnly as i32]),
        ),
        (I::SqlSupportedConcurrenciesForResultSetUnspecified, 0),
        (I::SqlSupportedConcurrenciesForResultSetForwardOnly, 0),
        (I::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0),
        (I::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0),
    ]
}

/// Limits that there are none of, or none that a number of this kind would tell.
const LIMITS: &[SqlInfo] = &[
    SqlInfo::SqlMaxBinaryLiteralLength,
    SqlInfo::SqlMaxCharLiteralLength,
    SqlInfo::SqlMaxColumnNameLength,
    SqlInfo::SqlMaxColumnsInGroupBy,
    SqlInfo::SqlMaxColumnsInIndex,
    SqlInfo::SqlMaxColumnsInOrderBy,
    SqlInfo::SqlMaxColumnsInSelect,
    SqlInfo::SqlMaxColumnsInTable,
    SqlInfo::SqlMaxConnections,
    SqlInfo::SqlMaxCursorNameLength,
    SqlInfo::SqlMaxIndexLength,
    SqlInfo::SqlDbSchemaNameLength,
    SqlInfo::SqlMaxProcedureNameLength,
    SqlInfo::SqlMaxCatalogNameLength,
    SqlInfo::SqlMaxRowSize,
    SqlInfo::SqlMaxStatementLength,
    SqlInfo::SqlMaxStatements,
    SqlInfo::SqlMaxTableNameLength,
    SqlInfo::SqlMaxTablesInSelect,
    SqlInfo::SqlMaxUsernameLength,
];

/// A set of values of an enumeration, one bit each.
fn bits(values: &[i32]) -> i32 {
    values.iter().fold(0, |bits, value| bits | 1 << value)
}

fn names(functions: Vec<std::sync::Arc<ScalarUDF>>) -> Vec<String> {
    let mut names: Vec<_> = functions
        .iter()
        .map(|function| function.name().to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Which types CAST turns into which others.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    use SqlSupportsConvert as C;
    let numbers = [
        C::SqlConvertTinyint,
        C::SqlConvertSmallint,
        C::SqlConvertInteger,
        C::SqlConvertBigint,
        C::SqlConvertFloat,
        C::SqlConvertReal,
        C::SqlConvertDecimal,
        C::SqlConvertNumeric,
    ];
    let text = [C::SqlConvertVarchar, C::SqlConvertChar];
    let times = [C::SqlConvertDate, C::SqlConvertTimestamp];
    let codes = |kinds: &[&[C]]| {
        kinds
            .concat()
            .into_iter()
            .map(|kind| kind as i32)
            .collect::<Vec<_>>()
    };
    let mut conversions = BTreeMap::new();
    for number in numbers {
        conversions.insert(number as i32, codes(&[&numbers, &text, &[C::SqlConvertBit]]));
    }
    for from in text {
        let all = codes(&[&numbers, &text, &times, &[C::SqlConvertBit, C::SqlConvertBinary]]);
        conversions.insert(from as i32, all);
    }
    for from in times {
        conversions.insert(from as i32, codes(&[&times, &text]));
    }
    conversions.insert(C::SqlConvertBit as i32, codes(&[&numbers, &text]));
    conversions.insert(C::SqlConvertBinary as i32, codes(&[&text]));
    conversions
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, UInt32Array};
    use arrow::datatypes::UInt32Type;

    use super::*;

    /// By driver: the child of the union that each code's value is read from.
    fn kind(code: u32) -> i8 {
        match code {
            0..=2 | 6 | 7 | 504 | 513 | 514 | 529..=531 => 0,
            8
            | 100
            | 101
            | 503
            | 505
            | 507
            | 522
            | 525
            | 526
            | 528
            | 533..=535
            | 538
            | 540
            | 564
            | 567..=571 => 3,
            541..=555 | 557..=562 => 2,
            508..=512 => 4,
            517 => 5,
            _ => 1,
        }
    }

    #[test]
    fn every_code_has_the_kind_that_drivers_read() {
        let all = sql_info(false, Duration::from_secs(60))
            .unwrap()
            .record_batch([])
            .unwrap();
        let codes: &UInt32Array = all.column(0).as_primitive::<UInt32Type>();
        let values = all.column(1).as_union();
        for row in 0..all.num_rows() {
            assert_eq!(
                values.type_id(row),
                kind(codes.value(row)),
                "{}",
                codes.value(row)
            );
        }
        let expected: Vec<u32> = (0..=11).chain(100..=101).chain(500..=576).collect();
        assert_eq!(codes.values().to_vec(), expected);
    }

    #[test]
    fn a_few_codes_are_given_alone_and_unknown_ones_are_left_out() {
        let rows = |codes: &[u32]| {
            sql_info(false, Duration::from_secs(60))
                .unwrap()
                .record_batch(codes.iter().copied())
                .unwrap()
                .num_rows()
        };
        assert_eq!(rows(&[0, 2, 3, 504]), 4);
        assert_eq!(rows(&[8, 9_999]), 1);
    }
}
