"""pandas and polars read: types, NULLs, batches, parameters, and both ways to write a statement. Arguments: URL."""

import datetime
import decimal
import sys

import pandas
import polars
import pyarrow

from support import check, connect, equal, flight_sql, raised, update

UTC = datetime.timezone.utc
COLUMNS = ["id", "small", "score", "price", "paid", "name", "day", "at", "raw", "tags"]
FIRST = {
    "id": 1,
    "small": 7,
    "score": 1.5,
    "price": decimal.Decimal("12.34"),
    "paid": True,
    "name": "ünï",
    "day": datetime.date(2024, 2, 29),
    "at": datetime.datetime(2024, 2, 29, 12, 34, 56, 789012, UTC),
    "raw": b"\x00\xff",
    "tags": ["a", "b"],
}


def create(connection):
    update(
        connection,
        """CREATE TABLE framed (
             id BIGINT, small INT, score DOUBLE, price DECIMAL(10, 2), paid BOOLEAN, name STRING, day DATE,
             at TIMESTAMP, raw BINARY, tags ARRAY<STRING>
           )""",
    )
    update(
        connection,
        """INSERT INTO framed VALUES
             (1, 7, 1.5, 12.34, true, 'ünï', '2024-02-29', '2024-02-29 12:34:56.789012', X'00ff', ['a', 'b']),
             (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)""",
    )


def pandas_reads(connection):
    frame = pandas.read_sql("SELECT * FROM framed ORDER BY id", connection)
    equal(list(frame.columns), COLUMNS, "columns of pandas")
    equal((frame["id"].dtype, frame["score"].dtype), ("int64", "float64"), "types of pandas")
    check(isinstance(frame["at"].dtype, pandas.DatetimeTZDtype), f"an instant of pandas: {frame['at'].dtype}")
    equal((frame["name"][0], frame["at"][0]), (FIRST["name"], pandas.Timestamp(FIRST["at"])), "values of pandas")
    equal(frame.loc[1].drop("id").isna().all(), True, "NULLs of pandas")
    typed = pandas.read_sql("SELECT * FROM framed ORDER BY id", connection, dtype_backend="pyarrow")
    equal(typed["price"].dtype, pandas.ArrowDtype(pyarrow.decimal128(10, 2)), "a decimal as Arrow has it")
    for name in ("id", "price", "paid", "day"):
        equal(typed[name][0], FIRST[name], f"{name} as Arrow has it")
    indexed = pandas.read_sql_query("SELECT id, name FROM framed ORDER BY id", connection, index_col="id")
    equal(list(indexed.index), [1, 2], "an index of pandas")
    equal(len(pandas.read_sql("SELECT * FROM framed WHERE false", connection)), 0, "no rows of pandas")


def pandas_tables(connection):
    """A name instead of a statement; pandas first asks whether the text is one."""
    frame = pandas.read_sql("framed", connection)
    equal((len(frame), list(frame.columns)), (2, COLUMNS), "a table by its name")
    frame = pandas.read_sql_table("framed", connection, schema="public", columns=["id", "name"])
    equal((len(frame), list(frame.columns)), (2, ["id", "name"]), "columns of a table by its name")
    error = raised(lambda: pandas.read_sql("SELECT nothing FROM framed", connection), Exception, "an error")
    check("SQLSTATE 42703" in f"{error} {error.__cause__}", f"an error by way of pandas: {error}")


def polars_reads(connection):
    frame = polars.read_database("SELECT * FROM framed ORDER BY id", connection)
    expected = {
        "id": polars.Int64,
        "small": polars.Int32,
        "score": polars.Float64,
        "price": polars.Decimal(10, 2),
        "paid": polars.Boolean,
        "name": polars.String,
        "day": polars.Date,
        "at": polars.Datetime("us", "UTC"),
        "raw": polars.Binary,
        "tags": polars.List(polars.String),
    }
    equal(dict(frame.schema), expected, "types of polars")
    first, second = frame.to_dicts()
    equal(first, FIRST, "values of polars")
    equal(second, {name: 2 if name == "id" else None for name in COLUMNS}, "NULLs of polars")
    empty = polars.read_database("SELECT * FROM framed WHERE false", connection)
    equal((empty.height, dict(empty.schema)), (0, expected), "no rows of polars")


def polars_parameters_and_batches(connection):
    frame = polars.read_database(
        "SELECT name FROM framed WHERE id = ? AND paid = ?", connection, execute_options={"parameters": (1, True)}
    )
    equal(frame.to_dicts(), [{"name": "ünï"}], "parameters of polars")
    batches = polars.read_database(
        "SELECT value FROM range(100000)", connection, iter_batches=True, batch_size=10_000
    )
    heights = [batch.height for batch in batches]
    check(sum(heights) == 100_000 and len(heights) > 1, f"batches of polars: {heights}")


def cursors(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, name FROM framed ORDER BY id")
        equal(cursor.fetch_df()["id"].tolist(), [1, 2], "a frame of pandas by a cursor")
        cursor.execute("SELECT id, name FROM framed ORDER BY id")
        equal(cursor.fetch_polars()["name"].to_list(), ["ünï", None], "a frame of polars by a cursor")


def main(url):
    with connect(url) as connection:
        create(connection)
        pandas_reads(connection)
        pandas_tables(connection)
        polars_reads(connection)
        polars_parameters_and_batches(connection)
        cursors(connection)
        update(connection, "DROP TABLE framed")
        raised(lambda: polars.read_database("SELECT * FROM framed", connection), flight_sql.ProgrammingError, "gone")


main(*sys.argv[1:])
