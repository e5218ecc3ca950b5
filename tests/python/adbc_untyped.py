"""Parameters whose places say nothing about their type are what a literal of the value would be there. A held
statement whose tables have changed gives rows by name or an error. Arguments: URL."""

import datetime
import decimal
import sys
import time

import pyarrow

from support import check, connect, equal, flight_sql, raised, rows, update

# Statement, values, rows.
CASES = [
    ("SELECT ?", (1,), [(1,)]),
    ("SELECT ?, ?, ?", (None, True, b"ab"), [(None, True, b"ab")]),
    ("SELECT round(?, ?)", (1.256, 2), [(1.26,)]),
    ("SELECT substr(s, ?, ?) FROM p ORDER BY id", (1, 2), [("on",), ("tw",)]),
    ("SELECT lpad(?, ?, ?)", ("a", 3, "x"), [("xxa",)]),
    ("SELECT split_part(?, ?, ?)", ("a,b", ",", 2), [("b",)]),
    ("SELECT sum(CASE WHEN x > ? THEN ? ELSE ? END) FROM p", (10, 1, 0), [(1,)]),
    ("SELECT sum(CASE WHEN x > ? THEN ? ELSE ? END) FROM p", (10, 1.5, 0.25), [(1.75,)]),
    ("SELECT CASE x WHEN ? THEN ? ELSE ? END FROM p ORDER BY id", (10, "a", "b"), [("a",), ("b",)]),
    ("SELECT * FROM (VALUES (?, ?), (?, ?)) v(a, b) ORDER BY a", (1, "a", 2, "b"), [(1, "a"), (2, "b")]),
    ("SELECT v.a + 1 FROM (VALUES (?), (?)) v(a) ORDER BY 1", (1, 2), [(2,), (3,)]),
    ("SELECT ? AS a UNION ALL SELECT ? ORDER BY a", (2, 1), [(1,), (2,)]),
    ("WITH q AS (SELECT ? AS a) SELECT a + 1 FROM q", (1,), [(2,)]),
    ("SELECT coalesce(?, x) FROM p ORDER BY id", (5,), [(5,), (5,)]),
    ("SELECT coalesce(?, ?)", (None, 3), [(3,)]),
    ("SELECT nullif(?, ?)", (1, 1), [(None,)]),
    ("SELECT greatest(?, x) FROM p ORDER BY id", (15,), [(15,), (20,)]),
    ("SELECT ? + ?, -?, abs(?)", (1, 2, 3, -4), [(3, -3, 4)]),
    ("SELECT x + ? FROM p ORDER BY id", (2.5,), [(12.5,), (22.5,)]),
    ("SELECT x / ? FROM p ORDER BY id", (4.0,), [(2.5,), (5.0,)]),
    ("SELECT id FROM p WHERE x > ?", (10.5,), [(2,)]),
    ("SELECT id FROM p WHERE x BETWEEN ? AND ?", (1, 15.5), [(1,)]),
    ("SELECT id FROM p WHERE x IN (?, ?) ORDER BY id", (10, 20.5), [(1,)]),
    ("SELECT id FROM p WHERE x = ?", ("20",), [(2,)]),
    ("SELECT id FROM p WHERE m > ?", (decimal.Decimal("1.555"),), [(2,)]),
    ("SELECT id FROM p WHERE x = ?", (1 << 40,), []),
    ("SELECT id FROM p WHERE at >= ?", ("2024-01-15",), [(2,)]),
    ("SELECT id FROM p WHERE at >= ?", (datetime.datetime(2024, 1, 15),), [(2,)]),
    ("SELECT id FROM p WHERE ? ORDER BY id", (True,), [(1,), (2,)]),
    ("SELECT id FROM p WHERE ? IS NULL OR x = ? ORDER BY id", (None, 10), [(1,), (2,)]),
    ("SELECT id FROM p ORDER BY id LIMIT ? OFFSET ?", (1, 1), [(2,)]),
    ("SELECT x / ? AS g, count(*) FROM p GROUP BY x / ? ORDER BY g", (10, 10), [(1, 1), (2, 1)]),
    ("SELECT round(x / ?, ?) AS g FROM p GROUP BY round(x / ?, ?) ORDER BY g", (8.0, 1, 8.0, 1), [(1.3,), (2.5,)]),
    ("SELECT date_trunc(?, d), count(*) FROM p GROUP BY date_trunc(?, d) ORDER BY 1 LIMIT 0", ("month", "month"), []),
    ("SELECT date_part(?, d) FROM p ORDER BY id", ("month",), [(1,), (2,)]),
    ("SELECT count(*) FROM generate_series(?, ?)", (1, 5), [(5,)]),
    ("SELECT ARRAY[?, ?]", (1, 2), [([1, 2],)]),
    ("SELECT lag(x, ?, ?) OVER (ORDER BY x) FROM p ORDER BY id", (1, 0), [(0,), (10,)]),
    ("SELECT ntile(?) OVER (ORDER BY x) FROM p ORDER BY id", (2,), [(1,), (2,)]),
    ("SELECT string_agg(s, ? ORDER BY id) FROM p", ("+",), [("one+two",)]),
    ("SELECT sum(?) FROM p", (2,), [(4,)]),
    ("SELECT ? || s FROM p ORDER BY id", ("a",), [("aone",), ("atwo",)]),
    ("SELECT CAST(? AS INT), CAST(? AS STRING)", ("5", 7), [(5, "7")]),
    ("SELECT DISTINCT ? FROM p", (1,), [(1,)]),
    ("SELECT p.id FROM p JOIN (SELECT ? AS k) q ON q.k = p.id", (2,), [(2,)]),
    ("SELECT (SELECT ?)", (1,), [(1,)]),
    ("SELECT id FROM p WHERE x = (SELECT max(?) FROM p)", (10,), [(1,)]),
]


def create(connection):
    update(connection, "CREATE TABLE p (id BIGINT, x INT, s STRING, m DECIMAL(10, 2), at TIMESTAMP, d DATE)")
    update(
        connection,
        "INSERT INTO p VALUES (1, 10, 'one', 1.50, '2024-01-01', '2024-01-01'), (2, 20, 'two', 2.50, '2024-02-01', '2024-02-01')",
    )


def values_decide(connection):
    for sql, values, expected in CASES:
        try:
            found = rows(connection, sql, values)
        except flight_sql.Error as error:
            raise AssertionError(f"{sql} {values}: {error}") from error
        equal(found, expected, f"{sql} {values}")
        # Again, from whatever was remembered.
        equal(rows(connection, sql, values), expected, f"{sql} {values} again")


def one_statement_takes_many_types(connection):
    """The types of a statement's rows follow its values, execution by execution."""
    with connection.cursor() as cursor:
        for value, kind in [(1, pyarrow.int64()), ("a", pyarrow.string()), (1.5, pyarrow.float64())]:
            cursor.execute("SELECT ? AS v", (value,))
            table = cursor.fetch_arrow_table()
            check(table.schema.field("v").type == kind, f"{value!r} came as {table.schema}")
            equal(table.to_pylist(), [{"v": value}], f"{value!r}")


def created_and_inserted(connection):
    rows(connection, "CREATE TABLE made AS SELECT ? AS a, ? AS b", (1, "x"))
    equal(rows(connection, "SELECT a + 1, b FROM made"), [(2, "x")], "a table of parameters")
    rows(connection, "INSERT INTO made SELECT ?, ?", (5, "y"))
    rows(connection, "INSERT INTO made SELECT * FROM (VALUES (?, ?)) v", (6, "z"))
    equal(rows(connection, "SELECT a, b FROM made ORDER BY a"), [(1, "x"), (5, "y"), (6, "z")], "inserted rows")
    error = raised(
        lambda: rows(connection, "INSERT INTO made VALUES (?, ?)", (2.5, "w")), flight_sql.Error, "a cut number"
    )
    check("22003" in str(error), f"a cut number: {error}")


def many_rows(connection):
    """10,000 rows of 30 numbers, 2.4 MB, are one commit."""
    columns = [f"c{number}" for number in range(30)]
    update(connection, f"CREATE TABLE wide ({', '.join(f'{name} BIGINT' for name in columns)})")
    table = pyarrow.table({name: pyarrow.array(range(10_000), pyarrow.int64()) for name in columns})
    begun = time.monotonic()
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO wide VALUES ({', '.join('?' for _ in columns)})", table)
        cursor.executemany("INSERT INTO wide (c7, c3) VALUES (?, ?)", [(1, -1), (2, -2)])
    took = time.monotonic() - begun
    equal(rows(connection, "SELECT count(*), sum(c29) FROM wide"), [(10_002, 49_995_000)], "many rows")
    equal(
        rows(connection, "SELECT c3, c7, c0 FROM wide WHERE c3 < 0 ORDER BY c7"),
        [(-1, 1, None), (-2, 2, None)],
        "rows of named columns",
    )
    check(took < 60, f"10,000 rows took {took:.0f} s")


def held_statements(connection):
    """What was prepared before a view or table changed gives the announced columns, or an error."""
    update(connection, "CREATE TABLE people (first STRING, last STRING)")
    update(connection, "INSERT INTO people VALUES ('Ada', 'Lovelace')")
    update(connection, "CREATE VIEW names AS SELECT first AS a, last AS b FROM people")
    with connection.cursor() as cursor:
        statement = cursor.adbc_statement
        statement.set_sql_query("SELECT * FROM names")
        statement.prepare()

        def fetched():
            stream, _ = statement.execute_query()
            return pyarrow.RecordBatchReader._import_from_c(stream.address).read_all().to_pylist()

        equal(fetched(), [{"a": "Ada", "b": "Lovelace"}], "before")
        update(connection, "CREATE OR REPLACE VIEW names AS SELECT last AS b, first AS a FROM people")
        equal(fetched(), [{"a": "Ada", "b": "Lovelace"}], "columns in another order")
        update(connection, "CREATE OR REPLACE VIEW names AS SELECT last AS b, first AS a, 1 AS c FROM people")
        equal(fetched(), [{"a": "Ada", "b": "Lovelace"}], "a column more")
        update(connection, "CREATE OR REPLACE VIEW names AS SELECT 1 AS a, last AS b FROM people")
        error = raised(fetched, Exception, "a column of another type")
        check("changed since" in str(error), f"a column of another type: {error}")
        update(connection, "CREATE OR REPLACE VIEW names AS SELECT last AS b FROM people")
        error = raised(fetched, Exception, "a column that is gone")
        check("changed since" in str(error), f"a column that is gone: {error}")


def main(url):
    with connect(url) as connection:
        create(connection)
        values_decide(connection)
        one_statement_takes_many_types(connection)
        created_and_inserted(connection)
        many_rows(connection)
        held_statements(connection)


main(sys.argv[1])
