"""What ADBC can ask for beside values: objects, sessions, partitions, cancelling, errors. Arguments: URL."""

import sys
import threading
import time
import warnings

import pyarrow
from adbc_driver_manager import AdbcStatusCode as Status

from support import check, connect, equal, flight_sql, raised, rows, update

SHOP = [
    "CREATE SCHEMA shop",
    "CREATE TABLE shop.orders (id BIGINT PRIMARY KEY, price DECIMAL(10, 2) NOT NULL, note STRING)",
    "CREATE TABLE shop.order_lines (id BIGINT, line INT)",
    "CREATE VIEW shop.cheap AS SELECT id, price FROM shop.orders WHERE price < 10",
    "INSERT INTO shop.orders VALUES (1, 5, 'a'), (2, 50, NULL)",
]

# Statement, ADBC's code, SQLSTATE.
ERRORS = [
    ("SELEC 1", Status.INVALID_ARGUMENT, "42601"),
    ("SELECT 1; SELECT 2", Status.INVALID_ARGUMENT, "42601"),
    ("SELECT nothing FROM shop.orders", Status.INVALID_ARGUMENT, "42703"),
    ("SELECT no_function(1)", Status.INVALID_ARGUMENT, "42883"),
    ("SELECT 1 / 0", Status.INVALID_ARGUMENT, "22012"),
    ("SELECT CAST('x' AS INT)", Status.INVALID_ARGUMENT, "22P02"),
    ("SET watershed.execution = 'nowhere'", Status.INVALID_ARGUMENT, "22023"),
    ("INSERT INTO shop.orders VALUES (3, NULL, 'x')", Status.INVALID_ARGUMENT, "23502"),
    ("SELECT * FROM shop.nowhere", Status.NOT_FOUND, "42P01"),
    ("SELECT * FROM nowhere.orders", Status.NOT_FOUND, "3F000"),
    ("CREATE TABLE shop.orders (id INT)", Status.ALREADY_EXISTS, "42P07"),
    ("CREATE SCHEMA shop", Status.ALREADY_EXISTS, "42P06"),
    ("BEGIN", Status.NOT_IMPLEMENTED, "0A000"),
    ("ALTER TABLE shop.orders DROP COLUMN note", Status.NOT_IMPLEMENTED, "0A000"),
]

# Two ways to need long: one computes before its first row, the other gives rows for long.
LONG = "SELECT sum(value % 7) FROM range(100000000000)"
MANY = "SELECT value, repeat('x', 100) AS filling FROM range(100000000)"


def objects(connection, **filters):
    return connection.adbc_get_objects(**{"db_schema_filter": "shop", **filters}).read_all().to_pylist()


def tables(connection, **filters):
    [catalog] = objects(connection, **filters)
    return [table for schema in catalog["catalog_db_schemas"] for table in schema["db_schema_tables"]]


def depths(connection):
    catalog = {"catalog_name": "watershed", "catalog_db_schemas": None}
    equal(objects(connection, depth="catalogs"), [catalog], "catalogs")
    [catalog] = objects(connection, depth="db_schemas")
    equal(catalog["catalog_db_schemas"], [{"db_schema_name": "shop", "db_schema_tables": None}], "schemas")
    found = [(table["table_name"], table["table_type"]) for table in tables(connection, depth="tables")]
    equal(found, [("cheap", "VIEW"), ("order_lines", "TABLE"), ("orders", "TABLE")], "tables")
    check(all(table["table_columns"] is None for table in tables(connection, depth="tables")), "no columns yet")
    [orders] = tables(connection, depth="all", table_name_filter="orders")
    columns = [
        (column["ordinal_position"], column["column_name"], column["xdbc_type_name"])
        for column in orders["table_columns"]
    ]
    equal(columns, [(1, "id", "BIGINT"), (2, "price", "DECIMAL"), (3, "note", "VARCHAR")], "columns")


def filters(connection):
    def names(**given):
        return [table["table_name"] for table in tables(connection, depth="tables", **given)]

    equal(names(table_name_filter="order%"), ["order_lines", "orders"], "a pattern")
    equal(names(table_name_filter="order_"), ["orders"], "one character")
    equal(names(table_name_filter="select * from orders"), [], "a statement is a pattern as well")
    equal(names(db_schema_filter="sh_p"), ["cheap", "order_lines", "orders"], "a pattern of schemas")
    equal(names(table_types_filter=["VIEW"]), ["cheap"], "views")
    equal(names(table_types_filter=["TABLE", "VIEW"]), ["cheap", "order_lines", "orders"], "both")
    equal(names(table_types_filter=["SYSTEM TABLE"]), [], "system tables")
    equal(objects(connection, depth="all", catalog_filter="elsewhere"), [], "another catalog")
    priced = tables(connection, depth="all", column_name_filter="pri%")
    equal([len(table["table_columns"]) for table in priced], [1, 0, 1], "a pattern of columns")
    system = tables(connection, depth="tables", db_schema_filter="system")
    check("queries" in [table["table_name"] for table in system], f"tables of the system: {system}")


def descriptions(connection):
    schema = connection.adbc_get_table_schema("orders", catalog_filter="watershed", db_schema_filter="shop")
    expected = [
        ("id", pyarrow.int64(), False),
        ("price", pyarrow.decimal128(10, 2), False),
        ("note", pyarrow.string(), True),
    ]
    equal([(field.name, field.type, field.nullable) for field in schema], expected, "columns of orders")
    error = raised(lambda: connection.adbc_get_table_schema("nowhere"), flight_sql.ProgrammingError, "no table")
    equal(error.status_code, Status.NOT_FOUND, "a table that is not there")
    equal(connection.adbc_get_table_types(), ["SYSTEM TABLE", "TABLE", "VIEW"], "table types")
    info = connection.adbc_get_info()
    equal(info["vendor_name"], "Watershed", "the vendor")
    check(info["vendor_version"] and info["vendor_arrow_version"], f"versions: {info}")


def sessions(connection, url):
    options = connection.adbc_connection
    prefix = "adbc.flight.sql.session.option"
    equal((connection.adbc_current_catalog, connection.adbc_current_db_schema), ("watershed", "public"), "at first")
    connection.adbc_current_catalog = "watershed"
    connection.adbc_current_db_schema = "shop"
    equal(rows(connection, "SELECT count(*) FROM orders"), [(2,)], "a table of the current schema")
    options.set_options(**{f"{prefix}.watershed.execution": "local"})
    equal(options.get_option(f"{prefix}.watershed.execution"), "local", "an option")
    equal(rows(connection, "SHOW watershed.execution")[0][-1], "local", "the setting that it is")
    check('"schema":"shop"' in options.get_option(f"{prefix}s"), "all options")
    with connect(url) as other:
        equal(other.adbc_current_db_schema, "public", "the schema of another session")
    options.set_options(**{f"{prefix}erase.watershed.execution": ""})
    equal(options.get_option(f"{prefix}.watershed.execution"), "auto", "an option that was erased")
    connection.adbc_current_db_schema = "public"


def options_that_are_none(connection):
    for name, value in [
        ("adbc.connection.catalog", "elsewhere"),
        ("adbc.connection.db_schema", "nowhere"),
        ("adbc.flight.sql.session.option.watershed.execution", "nowhere"),
        ("adbc.flight.sql.session.option.watershed.nothing", "1"),
    ]:
        given = {name: value}
        error = raised(
            lambda: connection.adbc_connection.set_options(**given), flight_sql.ProgrammingError, f"{given}"
        )
        equal(error.status_code, Status.INVALID_ARGUMENT, f"{given}")
    equal(connection.adbc_current_db_schema, "public", "the schema after refused options")


def schemas_of_statements(connection):
    with connection.cursor() as cursor:
        schema = cursor.adbc_execute_schema("SELECT id, price * 2 AS twice, note FROM shop.orders WHERE id = ?", (1,))
        equal(schema.names, ["id", "twice", "note"], "columns of a query that did not run")
        cursor.execute("SELECT id, price * 2 AS twice, note FROM shop.orders WHERE id = ?", (1,))
        equal(cursor.fetch_arrow_table().schema, schema, "the schema when it runs")
        schema = cursor.adbc_execute_schema("INSERT INTO shop.orders VALUES (9, 9, '9')")
        equal(schema.names, [], "an INSERT gives none")
    equal(rows(connection, "SELECT count(*) FROM shop.orders WHERE id = 9"), [(0,)], "rows of what did not run")


def partitions(connection):
    with connection.cursor() as cursor:
        parts, schema = cursor.adbc_execute_partitions("SELECT id FROM shop.orders ORDER BY id")
        equal((len(parts), schema.names), (1, ["id"]), "partitions")
        for _ in range(2):
            cursor.adbc_read_partition(parts[0])
            equal(cursor.fetchall(), [(1,), (2,)], "a partition, as often as it is read")
        parts, schema = cursor.adbc_execute_partitions("INSERT INTO shop.orders VALUES (3, 3, '3')")
        equal((cursor.rowcount, schema.names), (1, []), "an INSERT by partitions")
        cursor.adbc_read_partition(parts[0])
        equal(cursor.fetchall(), [], "its rows")
    equal(rows(connection, "SELECT count(*) FROM shop.orders"), [(3,)], "it ran once")


def ended(connection, state):
    """Waits until the statements that take long have ended, and checks how."""
    sql = """SELECT state FROM system.queries
             WHERE statement LIKE '%range(100000000%' AND statement NOT LIKE '%queries%'"""
    deadline = time.monotonic() + 5
    while "running" in (states := {found for (found,) in rows(connection, sql)}) and time.monotonic() < deadline:
        time.sleep(0.05)
    equal(states, {state}, "how the statements ended")


def cancelling(connection):
    """From another thread, before the first row and among many; and by closing a cursor that was not read."""
    with connection.cursor() as cursor:
        for sql in (LONG, MANY):
            timer = threading.Timer(0.5, cursor.adbc_cancel)
            timer.start()
            start = time.monotonic()
            error = raised(
                lambda: cursor.execute(sql).fetch_arrow_table(), (flight_sql.OperationalError, OSError), sql
            )
            timer.join()
            check("ancel" in str(error), f"{sql}: {error}")
            check(time.monotonic() - start < 3, f"cancelled after {time.monotonic() - start} s: {sql}")
    with connection.cursor() as cursor:
        equal(cursor.execute(MANY).fetchone()[0], 0, "the first row of many")
    ended(connection, "cancelled")
    update(connection, "SET statement_timeout = '300ms'")
    error = raised(lambda: rows(connection, LONG), flight_sql.Error, "a timeout")
    check("SQLSTATE 57014" in str(error), f"a timeout: {error}")
    update(connection, "RESET statement_timeout")


def large_results(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT value, repeat('x', 50) AS filling FROM range(1000000)")
        sums = sum(pyarrow.compute.sum(batch["value"]).as_py() for batch in cursor.fetch_record_batch())
        equal(sums, 999_999 * 1_000_000 // 2, "a million rows, batch by batch")
        cursor.execute("SELECT repeat('x', 5000000) AS wide UNION ALL SELECT repeat('y', 14000000)")
        equal(sorted(len(text) for (text,) in cursor.fetchall()), [5_000_000, 14_000_000], "rows of megabytes")
    long = "x" * (8 << 20)
    equal(rows(connection, f"SELECT length('{long}'), length(?)", (long,)), [(len(long), len(long))], "long requests")
    error = raised(lambda: rows(connection, "SELECT repeat('x', 17000000)"), flight_sql.Error, "a wide row")
    check("SQLSTATE 53000" in str(error), f"a row that no driver takes: {error}")


def errors(connection):
    for sql, code, state in ERRORS:
        kind = flight_sql.NotSupportedError if code == Status.NOT_IMPLEMENTED else flight_sql.ProgrammingError
        error = raised(lambda: rows(connection, sql), kind, sql)
        equal(error.status_code, code, f"{sql}: {error}")
        check(f"SQLSTATE {state}" in str(error), f"{sql}: {error}")
        check(len(str(error)) < 8192, f"{sql}: {len(str(error))} characters")
    error = raised(lambda: rows(connection, f"SELECT {'x' * 100_000}"), flight_sql.ProgrammingError, "a long name")
    check("SQLSTATE 42703" in str(error) and len(str(error)) < 8192, f"an error about a long name: {error}")


def refusals(connection, url):
    """What is not served is said to be so, by kind and by text."""
    with connection.cursor() as cursor:
        error = raised(lambda: cursor.execute(b"\x0a\x00"), flight_sql.NotSupportedError, "Substrait")
        check("Substrait plans are not supported" in str(error), f"a plan of Substrait: {error}")
    raised(lambda: connection.adbc_get_statistics().read_all(), flight_sql.NotSupportedError, "statistics")
    raised(
        lambda: connection.adbc_connection.set_autocommit(False), flight_sql.NotSupportedError, "autocommit off"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with connect(url, autocommit=False) as other:
            equal(rows(other, "SELECT 1"), [(1,)], "autocommit goes on")
    check("Cannot disable autocommit" in str(caught[0].message), f"what was warned of: {caught}")


def clones(connection):
    connection.adbc_current_db_schema = "shop"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with connection.adbc_clone() as other:
            equal(rows(other, "SELECT count(*) FROM shop.orders"), [(3,)], "a clone")
            equal(other.adbc_current_db_schema, "public", "its session is its own")
    connection.adbc_current_db_schema = "public"


def main(url):
    with connect(url) as connection:
        for sql in SHOP:
            update(connection, sql)
        depths(connection)
        filters(connection)
        descriptions(connection)
        sessions(connection, url)
        options_that_are_none(connection)
        schemas_of_statements(connection)
        partitions(connection)
        cancelling(connection)
        large_results(connection)
        errors(connection)
        refusals(connection, url)
        clones(connection)
        equal(rows(connection, "SELECT 1"), [(1,)], "the connection in the end")


main(*sys.argv[1:])
