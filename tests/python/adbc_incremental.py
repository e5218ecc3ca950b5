"""Incremental execution by ADBC: a statement is polled for, tells its progress, and can be given up. Arguments: URL."""

import sys
import threading
import time

from support import check, connect, equal, flight_sql, raised, rows, update

INCREMENTAL = {"adbc.statement.exec.incremental": "true"}
PROGRESS = "adbc.statement.exec.progress"
LONG = "SELECT sum(value % 7) FROM range(100000000000)"


def fetched(connection, sql, parameters=None):
    """The rows of all partitions, asked for until there are no more, and the progress after each."""
    found, progress = [], []
    with connection.cursor(adbc_stmt_kwargs=INCREMENTAL) as cursor, connection.cursor() as reader:
        while True:
            partitions, schema = cursor.adbc_execute_partitions(sql, parameters)
            if not partitions:
                return found, progress
            progress.append(cursor.adbc_statement.get_option_float(PROGRESS))
            for partition in partitions:
                reader.adbc_read_partition(partition)
                table = reader.fetch_arrow_table()
                equal(table.schema, schema, f"the schema of {sql}")
                found += [tuple(row.values()) for row in table.to_pylist()]


def queries(connection):
    for sql, parameters, expected in [
        ("SELECT 1 AS one", None, [(1,)]),
        ("SELECT ? + 1 AS two", (1,), [(2,)]),
        ("SELECT 1 AS one WHERE false", None, []),
        ("SELECT sum(value) AS total FROM range(1000000)", None, [(499_999_500_000,)]),
    ]:
        found, progress = fetched(connection, sql, parameters)
        equal(found, expected, f"rows of {sql}")
        equal(progress, sorted(progress), f"progress of {sql} grows")
        equal(progress[-1], 1.0, f"progress of {sql} in the end")


def updates(connection):
    """What changes something runs once, however often it is polled for."""
    update(connection, "CREATE TABLE polled (id BIGINT)")
    equal(fetched(connection, "INSERT INTO polled VALUES (1), (2)")[0], [], "rows that an INSERT gives")
    equal(rows(connection, "SELECT count(*) FROM polled"), [(2,)], "rows that it wrote")
    update(connection, "DROP TABLE polled")


def errors(connection):
    for sql, code in [("SELECT nothing", "42703"), ("SELECT 1 / 0 AS n", "22012")]:
        error = raised(lambda: fetched(connection, sql), flight_sql.Error, sql)
        check(f"SQLSTATE {code}" in str(error), f"{sql}: {error}")


def given_up(connection):
    """Cancelled while it is polled for, it ends, on the server as well."""
    with connection.cursor(adbc_stmt_kwargs=INCREMENTAL) as cursor:
        timer = threading.Timer(0.5, cursor.adbc_cancel)
        timer.start()
        start = time.monotonic()
        raised(lambda: cursor.adbc_execute_partitions(LONG), (flight_sql.Error, OSError), LONG)
        timer.join()
        check(time.monotonic() - start < 3, f"cancelled after {time.monotonic() - start} s")
    deadline = time.monotonic() + 5
    running = f"SELECT count(*) FROM system.queries WHERE state = 'running' AND statement = '{LONG}'"
    while rows(connection, running) != [(0,)]:
        check(time.monotonic() < deadline, "it still runs")
        time.sleep(0.05)


def main(url):
    with connect(url) as connection:
        queries(connection)
        updates(connection)
        errors(connection)
        given_up(connection)


main(*sys.argv[1:])
