"""Bulk ingest by ADBC: modes, schemas, temporary tables, streams, errors that leave all as it was. Arguments: URL."""

import datetime
import decimal
import sys

import pyarrow
from adbc_driver_manager import AdbcStatusCode as Status

from support import check, connect, equal, flight_sql, raised, rows, update

UTC = datetime.timezone.utc
EVERY_TYPE = {
    "tiny": (pyarrow.int8(), -7),
    "whole": (pyarrow.int32(), 7),
    "big": (pyarrow.int64(), 2**40),
    "single": (pyarrow.float32(), 0.5),
    "double": (pyarrow.float64(), 0.1),
    "price": (pyarrow.decimal128(20, 4), decimal.Decimal("1.2500")),
    "flag": (pyarrow.bool_(), True),
    "name": (pyarrow.string(), "ünï"),
    "bytes": (pyarrow.binary(), b"\x00\xff"),
    "day": (pyarrow.date32(), datetime.date(2024, 2, 29)),
    "at": (pyarrow.timestamp("us", "UTC"), datetime.datetime(2024, 2, 29, 12, 0, 0, 5, UTC)),
    "tags": (pyarrow.list_(pyarrow.string()), ["a", None]),
}


def ingest(connection, table, data, mode="create", **options):
    with connection.cursor() as cursor:
        return cursor.adbc_ingest(table, data, mode, **options)


def values(*numbers):
    return pyarrow.table({"id": pyarrow.array(numbers, pyarrow.int64()), "name": [f"n{number}" for number in numbers]})


def ids(connection, table):
    return [number for (number,) in rows(connection, f"SELECT id FROM {table} ORDER BY id")]


def refused(connection, code, table, data, mode, **options):
    what = f"{mode} of {table}"
    error = raised(lambda: ingest(connection, table, data, mode, **options), flight_sql.Error, what)
    equal(error.status_code, code, f"{what}: {error}")
    check("SQLSTATE" in str(error), f"{what}: {error}")


def modes(connection):
    refused(connection, Status.NOT_FOUND, "bulk", values(1), "append")
    equal(ingest(connection, "bulk", values(1, 2)), 2, "rows of create")
    refused(connection, Status.ALREADY_EXISTS, "bulk", values(3), "create")
    equal(ids(connection, "bulk"), [1, 2], "rows after a create that was refused")
    equal(ingest(connection, "bulk", values(3), "append"), 1, "rows of append")
    equal(ingest(connection, "bulk", values(4), "create_append"), 1, "rows of create_append")
    equal(ids(connection, "bulk"), [1, 2, 3, 4], "rows that were appended")
    equal(ingest(connection, "bulk", values(9), "replace"), 1, "rows of replace")
    equal(ids(connection, "bulk"), [9], "rows that replaced all others")
    equal(ingest(connection, "other", values(1), "create_append"), 1, "rows of create_append without a table")
    equal(ingest(connection, "another", values(1), "replace"), 1, "rows of replace without a table")
    for table in ("bulk", "other", "another"):
        update(connection, f"DROP TABLE {table}")


def types(connection):
    arrays = {name: pyarrow.array([value, None], kind) for name, (kind, value) in EVERY_TYPE.items()}
    sent = pyarrow.table(arrays)
    equal(ingest(connection, "typed", sent), 2, "rows of every type")
    schema = connection.adbc_get_table_schema("typed")
    equal({field.name: field.type for field in schema}, {name: kind for name, (kind, _) in EVERY_TYPE.items()}, "types")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM typed ORDER BY whole")
        found = cursor.fetch_arrow_table().to_pylist()
    equal(found, sent.to_pylist(), "values of every type")
    exotic = pyarrow.table(
        {
            "text": pyarrow.array(["a", None], pyarrow.large_string()),
            "word": pyarrow.array(["b", "b"]).dictionary_encode(),
            "view": pyarrow.array(["c", None], pyarrow.string_view()),
        }
    )
    equal(ingest(connection, "exotic", exotic), 2, "rows of other forms of text")
    equal(rows(connection, "SELECT * FROM exotic ORDER BY text"), [("a", "b", "c"), (None, "b", None)], "texts")
    update(connection, "DROP TABLE typed")
    update(connection, "DROP TABLE exotic")


def columns(connection):
    """Columns are found by name, and what is not given is NULL, or computed."""
    update(
        connection,
        """CREATE TABLE sharded (
             id BIGINT NOT NULL, name STRING, at TIMESTAMP, small INT,
             day DATE GENERATED ALWAYS AS (CAST(at AS DATE))
           ) PARTITIONED BY (day) CLUSTERED BY (id) INTO 4 BUCKETS""",
    )
    sent = pyarrow.table(
        {
            "at": pyarrow.array([datetime.datetime(2024, 2, 29, 23, 30, tzinfo=UTC)]),
            "id": pyarrow.array([1], pyarrow.int32()),
            "small": pyarrow.array([7], pyarrow.int64()),
        }
    )
    equal(ingest(connection, "sharded", sent, "append"), 1, "rows into a sharded table")
    found = rows(connection, "SELECT id, name, small, day FROM sharded")
    equal(found, [(1, None, 7, datetime.date(2024, 2, 29))], "columns by name")
    for wrong in (
        pyarrow.table({"id": [2], "nothing": [1]}),
        pyarrow.table({"id": ["two"]}),
        pyarrow.table({"id": pyarrow.array([None], pyarrow.int64())}),
        pyarrow.table({"id": [2], "small": [2**40]}),
    ):
        refused(connection, Status.INVALID_ARGUMENT, "sharded", wrong, "append")
    equal(ids(connection, "sharded"), [1], "rows after those that were refused")
    update(connection, "DROP TABLE sharded")


def places(connection):
    update(connection, "CREATE SCHEMA warehouse")
    equal(ingest(connection, "goods", values(1), db_schema_name="warehouse"), 1, "rows into a schema")
    equal(ingest(connection, "goods", values(2), "append", db_schema_name="warehouse"), 1, "rows appended there")
    whole = {"catalog_name": "watershed", "db_schema_name": "warehouse"}
    equal(ingest(connection, "goods", values(3), "append", **whole), 1, "rows by catalog and schema")
    equal(ids(connection, "warehouse.goods"), [1, 2, 3], "rows of a schema")
    refused(connection, Status.NOT_FOUND, "goods", values(1), "create", db_schema_name="nowhere")
    refused(connection, Status.NOT_FOUND, "goods", values(1), "create", catalog_name="elsewhere")
    equal(ingest(connection, 'Odd "name"', values(1)), 1, "rows into a name that needs quotes")
    equal(ids(connection, '"Odd ""name"""'), [1], "rows of a name that needs quotes")
    update(connection, 'DROP TABLE "Odd ""name"""')
    update(connection, "DROP TABLE warehouse.goods")
    update(connection, "DROP SCHEMA warehouse")


def temporary(connection, url):
    equal(ingest(connection, "passing", values(1, 2), temporary=True), 2, "rows of a temporary table")
    equal(ingest(connection, "passing", values(3), "append", temporary=True), 1, "rows appended to it")
    equal(ids(connection, "passing"), [1, 2, 3], "rows of a temporary table")
    with connect(url) as other:
        error = raised(lambda: ids(other, "passing"), flight_sql.ProgrammingError, "the table of another session")
        equal(error.status_code, Status.NOT_FOUND, "the table of another session")
        equal(ingest(other, "passing", values(7), temporary=True), 1, "another one of the same name")
        equal(ids(other, "passing"), [7], "its rows")
    equal(ids(connection, "passing"), [1, 2, 3], "rows after another session has ended")
    update(connection, "DROP TABLE passing")


def streams(connection):
    """Many batches, which nobody holds all at once; and one that breaks off, which leaves nothing."""
    schema = pyarrow.schema([("id", pyarrow.int64()), ("filling", pyarrow.string())])

    def batches(count, breaks=False):
        for number in range(count):
            first = number * 10_000
            yield pyarrow.record_batch(
                [pyarrow.array(range(first, first + 10_000)), pyarrow.array(["x" * 50] * 10_000)], schema=schema
            )
        if breaks:
            raise ValueError("the source is broken")

    reader = pyarrow.RecordBatchReader.from_batches(schema, batches(50))
    equal(ingest(connection, "streamed", reader), 500_000, "rows of a stream")
    summed = rows(connection, "SELECT count(*), count(DISTINCT id), min(id), max(id) FROM streamed")
    equal(summed, [(500_000, 500_000, 0, 499_999)], "rows of a stream")
    broken = pyarrow.RecordBatchReader.from_batches(schema, batches(5, breaks=True))
    raised(lambda: ingest(connection, "streamed", broken, "append"), Exception, "a stream that breaks off")
    equal(rows(connection, "SELECT count(*) FROM streamed"), [(500_000,)], "rows after a stream that broke off")
    broken = pyarrow.RecordBatchReader.from_batches(schema, batches(5, breaks=True))
    raised(lambda: ingest(connection, "never", broken), Exception, "a table of a stream that breaks off")
    raised(lambda: rows(connection, "SELECT * FROM never"), flight_sql.ProgrammingError, "a table that never was")
    update(connection, "DROP TABLE streamed")


def nothing(connection):
    """For a table without rows the driver sends nothing, not even the table's name; that is told."""
    for mode in ("create", "append"):
        refused(connection, Status.INVALID_ARGUMENT, "bare", values().slice(0, 0), mode)
    raised(lambda: rows(connection, "SELECT * FROM bare"), flight_sql.ProgrammingError, "a table that never was")


def views_take_none(connection):
    update(connection, "CREATE VIEW seen AS SELECT 1 AS id")
    for mode in ("append", "create"):
        error = raised(lambda: ingest(connection, "seen", values(1), mode), flight_sql.Error, f"{mode} of a view")
        check("SQLSTATE" in str(error), f"{mode} of a view: {error}")
    equal(rows(connection, "SELECT * FROM seen"), [(1,)], "the view in the end")
    update(connection, "DROP VIEW seen")


def main(url):
    with connect(url) as connection:
        modes(connection)
        types(connection)
        columns(connection)
        places(connection)
        temporary(connection, url)
        streams(connection)
        nothing(connection)
        views_take_none(connection)


main(*sys.argv[1:])
