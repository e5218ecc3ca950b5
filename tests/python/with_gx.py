"""Great Expectations over sqlalchemy-adbc: expectations of every kind, batches by time, a checkpoint. Arguments: URL, the
folder of an environment, made if this is the first to ask; without the folder, this is the environment."""

import logging
import os
import sys
import warnings

from checks import check, equal, raised
from environments import connect, engine_address, enter

PEOPLE = [
    "DROP TABLE IF EXISTS people",
    """CREATE TABLE people (
         id BIGINT NOT NULL, name STRING, email STRING, age INT, score DOUBLE, price DECIMAL(10, 2), born DATE,
         seen TIMESTAMP, country STRING, home STRING, total INT, part INT, active BOOLEAN
       )""",
    """INSERT INTO people VALUES
         (1, 'Ada', 'ada@example.org', 36, 1.5, 9.99, '1990-01-05', '2024-01-01 10:00:00', 'GB', 'GB', 10, 4, true),
         (2, 'Bob', 'bob@example.org', 41, 2.5, 19.99, '1985-05-05', '2024-01-02 10:00:00', 'US', 'US', 20, 10, true),
         (3, 'Cid', 'cid@example.com', NULL, 3.5, 29.99, '1999-12-31', '2024-02-29 23:59:59', 'ES', 'FR', 30, 10, false),
         (4, 'Dee', NULL, 29, 4.5, 39.99, '2000-02-29', '2024-03-31 23:30:00', 'US', 'US', 40, 20, true),
         (5, 'Eve', 'eve@example.org', 36, 5.5, 49.99, '1970-07-07', '2025-01-01 00:00:00', 'DE', 'DE', 50, 20, true)""",
    "CREATE OR REPLACE VIEW grown AS SELECT * FROM people WHERE age >= 36",
]
COLUMNS = ["id", "name", "email", "age", "score", "price", "born", "seen", "country", "home", "total", "part", "active"]
COUNTRIES = ["GB", "US", "ES", "DE"]
YES, NO = True, False


def tables(gxe):
    """Expectations of whole tables: each with whether it is met, and what was observed or how much was unexpected."""
    return [
        (gxe.ExpectTableRowCountToEqual(value=5), YES, 5),
        (gxe.ExpectTableRowCountToEqual(value=6), NO, 5),
        (gxe.ExpectTableRowCountToBeBetween(min_value=1, max_value=10), YES, 5),
        (gxe.ExpectTableRowCountToEqualOtherTable(other_table_name="grown"), NO, {"self": 5, "other": 3}),
        (gxe.ExpectTableColumnCountToEqual(value=13), YES, 13),
        (gxe.ExpectTableColumnCountToBeBetween(min_value=1, max_value=20), YES, 13),
        (gxe.ExpectTableColumnsToMatchSet(column_set=COLUMNS[::-1]), YES, sorted(COLUMNS)),
        (gxe.ExpectTableColumnsToMatchOrderedList(column_list=COLUMNS), YES, COLUMNS),
        (gxe.ExpectColumnToExist(column="name"), YES, None),
        (gxe.ExpectColumnToExist(column="nothing"), NO, None),
    ]


def values(gxe):
    """Expectations of each value in a column."""
    return [
        (gxe.ExpectColumnValuesToNotBeNull(column="id"), YES, 0),
        (gxe.ExpectColumnValuesToNotBeNull(column="email"), NO, 1),
        (gxe.ExpectColumnValuesToNotBeNull(column="email", mostly=0.8), YES, 1),
        (gxe.ExpectColumnValuesToBeNull(column="age"), NO, 4),
        (gxe.ExpectColumnValuesToBeUnique(column="id"), YES, 0),
        (gxe.ExpectColumnValuesToBeUnique(column="age"), NO, 2),
        (gxe.ExpectColumnValuesToBeBetween(column="age", min_value=0, max_value=120), YES, 0),
        (gxe.ExpectColumnValuesToBeBetween(column="age", min_value=30, max_value=40), NO, 2),
        (gxe.ExpectColumnValuesToBeBetween(column="price", min_value=9.99, max_value=49.99), YES, 0),
        (gxe.ExpectColumnValuesToBeBetween(column="score", min_value=1.5, strict_min=True), NO, 1),
        (gxe.ExpectColumnValuesToBeBetween(column="born", min_value="1980-01-01", max_value="2000-02-29"), NO, 1),
        (gxe.ExpectColumnValuesToBeBetween(column="seen", min_value="2024-01-02", max_value="2025-01-01"), NO, 1),
        (gxe.ExpectColumnValuesToBeInSet(column="country", value_set=COUNTRIES), YES, 0),
        (gxe.ExpectColumnValuesToBeInSet(column="country", value_set=["GB", "US"]), NO, 2),
        (gxe.ExpectColumnValuesToBeInSet(column="age", value_set=[36, 41]), NO, 1),
        (gxe.ExpectColumnValuesToBeInSet(column="active", value_set=[True]), NO, 1),
        (gxe.ExpectColumnValuesToNotBeInSet(column="country", value_set=["US", "FR"]), NO, 2),
        (gxe.ExpectColumnValueLengthsToEqual(column="name", value=3), YES, 0),
        (gxe.ExpectColumnValueLengthsToBeBetween(column="email", min_value=5, max_value=14), NO, 4),
        (gxe.ExpectColumnValueZScoresToBeLessThan(column="score", threshold=1.2, double_sided=True), NO, 2),
        (gxe.ExpectColumnValuesToBeOfType(column="id", type_="BigInteger"), YES, "BigInteger"),
        (gxe.ExpectColumnValuesToBeInTypeList(column="price", type_list=["Numeric", "Float"]), YES, "Numeric"),
        (gxe.ExpectColumnPairValuesToBeEqual(column_A="country", column_B="home"), NO, 1),
        (gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="total", column_B="part"), YES, 0),
        (gxe.ExpectColumnPairValuesToBeInSet(column_A="country", column_B="home", value_pairs_set=[("US", "US"), ("GB", "GB")]), NO, 2),
        (gxe.ExpectCompoundColumnsToBeUnique(column_list=["country", "active"]), NO, 2),
        (gxe.ExpectSelectColumnValuesToBeUniqueWithinRecord(column_list=["id", "age", "total"]), YES, 0),
        (gxe.ExpectMulticolumnSumToEqual(column_list=["total", "part"], sum_total=14), NO, 4),
    ]


def aggregates(gxe):
    """Expectations of a column as a whole."""
    near = {"quantiles": [0.25, 0.5, 0.75], "value_ranges": [[2.5, 2.5], [3.5, 3.5], [4.5, 4.5]]}
    shares = {"values": COUNTRIES, "weights": [0.2, 0.4, 0.2, 0.2]}
    bins = {"bins": [1, 3, 6], "weights": [0.4, 0.6]}
    return [
        (gxe.ExpectColumnMaxToBeBetween(column="age", min_value=41, max_value=41), YES, 41),
        (gxe.ExpectColumnMinToBeBetween(column="age", min_value=30), NO, 29),
        (gxe.ExpectColumnMeanToBeBetween(column="age", min_value=35.5, max_value=35.5), YES, 35.5),
        (gxe.ExpectColumnMeanToBeBetween(column="price", min_value=29.99, max_value=29.99), YES, 29.99),
        (gxe.ExpectColumnMedianToBeBetween(column="score", min_value=3.5, max_value=3.5), YES, 3.5),
        (gxe.ExpectColumnMedianToBeBetween(column="age", min_value=36, max_value=36), YES, 36.0),
        (gxe.ExpectColumnSumToBeBetween(column="total", min_value=150, max_value=150), YES, 150),
        (gxe.ExpectColumnStdevToBeBetween(column="score", min_value=1.5811, max_value=1.5812), YES, 2.5**0.5),
        (gxe.ExpectColumnProportionOfUniqueValuesToBeBetween(column="country", min_value=0.8, max_value=0.8), YES, 0.8),
        (gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(column="email", min_value=0.9), NO, 0.8),
        (gxe.ExpectColumnUniqueValueCountToBeBetween(column="country", min_value=4, max_value=4), YES, 4),
        (gxe.ExpectColumnMostCommonValueToBeInSet(column="country", value_set=["US"]), YES, ["US"]),
        (gxe.ExpectColumnDistinctValuesToBeInSet(column="country", value_set=COUNTRIES), YES, None),
        (gxe.ExpectColumnDistinctValuesToEqualSet(column="country", value_set=[*COUNTRIES, "FR"]), NO, None),
        (gxe.ExpectColumnDistinctValuesToContainSet(column="country", value_set=["GB", "US"]), YES, None),
        (gxe.ExpectColumnQuantileValuesToBeBetween(column="score", quantile_ranges=near, allow_relative_error=False), YES, None),
        (gxe.ExpectColumnKLDivergenceToBeLessThan(column="country", partition_object=shares, threshold=0.01), YES, 0.0),
        (gxe.ExpectColumnKLDivergenceToBeLessThan(column="score", partition_object=bins, threshold=0.01), YES, 0.0),
        (gxe.ExpectColumnMaxToBeBetween(column="born", min_value="2000-02-29", max_value="2000-02-29"), YES, None),
    ]


def conditions(gxe):
    """Expectations of some rows, and rows that a query of one's own finds."""
    some = {"condition_parser": "great_expectations"}
    pattern = "SELECT * FROM {batch} WHERE NOT regexp_like(email, '^[a-z]+@example[.]org$')"
    like = "SELECT * FROM {batch} WHERE email NOT LIKE '%@example.%'"
    return [
        (gxe.ExpectColumnValuesToNotBeNull(column="email", row_condition='col("total") > 30', **some), NO, 1),
        (gxe.ExpectColumnValuesToNotBeNull(column="email", row_condition='col("country") == "US"', **some), NO, 1),
        (gxe.ExpectColumnValuesToBeInSet(column="age", value_set=[41], row_condition='col("country") == "US"', **some), NO, 1),
        (gxe.UnexpectedRowsExpectation(unexpected_rows_query=pattern), NO, 1),
        (gxe.UnexpectedRowsExpectation(unexpected_rows_query=like), YES, 0),
    ]


def patterns(gxe):
    """What Great Expectations refuses, as it knows no LIKE and no regular expressions of a dialect `flightsql`."""
    return [
        gxe.ExpectColumnValuesToMatchLikePattern(column="email", like_pattern="%@example.%"),
        gxe.ExpectColumnValuesToMatchRegex(column="email", regex="@example"),
    ]


def complaint(result):
    """What an expectation that could not be computed says; nothing if it could."""
    info = result.exception_info or {}
    entries = [info] if isinstance(info.get("raised_exception"), bool) else info.values()
    return "; ".join(sorted({str(entry["exception_message"]) for entry in entries if entry.get("raised_exception")}))


def judge(batch, expectation, met, expected):
    result = batch.validate(expectation, result_format="COMPLETE")
    what = f"{type(expectation).__name__} {expectation.dict(exclude_unset=True)}"
    check(not complaint(result), f"{what}: {complaint(result)}")
    equal(result.success, met, f"{what}: {result.result}")
    if expected is not None:
        found = result.result.get("unexpected_count", result.result.get("observed_value"))
        same = abs(found - expected) < 1e-9 if isinstance(expected, float) else found == expected
        check(same, f"{what}: {expected!r} expected, {found!r} found")


def difference(batch, *expectation):
    """What is wrong with an expectation's result; None if nothing is."""
    try:
        return judge(batch, *expectation)
    except AssertionError as error:
        return str(error)


def batches(gxe, source):
    """A table in parts by its instants. A value of the column is looked at first: it may not be NULL."""
    asset = source.add_table_asset("parts", table_name="people", schema_name="public")
    for kind, count, one, rows in [
        ("yearly", 2, {"year": 2024}, 4),
        ("monthly", 4, {"year": 2024, "month": 1}, 2),
        ("daily", 5, {"year": 2024, "month": 3, "day": 31}, 1),
    ]:
        definition = getattr(asset, f"add_batch_definition_{kind}")(kind, column="seen")
        equal(len(definition.get_batch_identifiers_list()), count, f"batches, {kind}")
        judge(definition.get_batch(batch_parameters=one), gxe.ExpectTableRowCountToEqual(value=rows), YES, rows)


def assets(gxe, source):
    """A view, and a query."""
    view = source.add_table_asset("view", table_name="grown").add_batch_definition_whole_table("all").get_batch()
    judge(view, gxe.ExpectColumnMinToBeBetween(column="age", min_value=36), YES, 36)
    query = source.add_query_asset("query", query="SELECT country, count(*) AS n FROM people GROUP BY country")
    grouped = query.add_batch_definition_whole_table("all").get_batch()
    judge(grouped, gxe.ExpectColumnMaxToBeBetween(column="n", max_value=2), YES, 2)
    error = raised(lambda: source.add_table_asset("none", table_name="nowhere"), Exception, "a table that is not there")
    check("SQLSTATE 42P01" in str(error), f"a table that is not there: {error}")


def checkpoint(gx, gxe, context, definition):
    met = [gxe.ExpectColumnValuesToNotBeNull(column="id"), gxe.ExpectColumnMeanToBeBetween(column="price", min_value=29)]
    suite = context.suites.add(gx.ExpectationSuite(name="suite", expectations=met))
    validation = gx.ValidationDefinition(name="validation", data=definition, suite=suite)
    validation = context.validation_definitions.add(validation)
    point = gx.Checkpoint(name="checkpoint", validation_definitions=[validation])
    check(context.checkpoints.add(point).run().success, "a checkpoint")
    suite.add_expectation(gxe.ExpectColumnValuesToBeUnique(column="age"))
    check(not point.run().success, "a checkpoint whose suite is not met")


def main(url):
    warnings.simplefilter("ignore")
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    import great_expectations.expectations as gxe

    logging.disable(logging.WARNING)
    with connect(url) as connection:
        for sql in PEOPLE:
            with connection.cursor() as cursor:
                cursor.execute(sql)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_sql("watershed", connection_string=engine_address(url))
    asset = source.add_table_asset("people", table_name="people", schema_name="public")
    definition = asset.add_batch_definition_whole_table("all")
    batch = definition.get_batch()
    expectations = [*tables(gxe), *values(gxe), *aggregates(gxe), *conditions(gxe)]
    wrong = [said for expectation in expectations if (said := difference(batch, *expectation))]
    check(not wrong, "\n".join([f"{len(wrong)} of {len(expectations)} expectations:", *wrong]))
    for expectation in patterns(gxe):
        said = complaint(batch.validate(expectation))
        check("not supported for dialect flightsql" in said, f"a pattern: {said}")
    batches(gxe, source)
    assets(gxe, source)
    checkpoint(gx, gxe, context, definition)
    print(f"{len(expectations)} expectations are right")


enter("with_gx.txt")
main(sys.argv[1])
