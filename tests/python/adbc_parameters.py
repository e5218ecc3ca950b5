"""Values of every type, bound as Python and as Arrow have them, come back as they were. Arguments: URL."""

import datetime
import decimal
import sys

import pyarrow

from support import check, connect, equal, flight_sql, raised, rows, update

UTC = datetime.timezone.utc
BERLIN = datetime.timezone(datetime.timedelta(hours=2))
INSTANT = datetime.datetime(2024, 7, 1, 12, 30, 15, 123456, UTC)
FIRST = datetime.datetime(1, 1, 1, tzinfo=UTC)

COLUMNS = {
    "tiny": "TINYINT",
    "small": "SMALLINT",
    "whole": "INT",
    "big": "BIGINT",
    "single": "FLOAT",
    "double": "DOUBLE",
    "price": "DECIMAL(20, 4)",
    "flag": "BOOLEAN",
    "name": "STRING",
    "body": "JSON",
    "bytes": "BINARY",
    "day": "DATE",
    "at": "TIMESTAMP",
    "tags": "ARRAY<STRING>",
}

# Column, what Python binds, what comes back.
VALUES = [
    ("tiny", -128, -128),
    ("small", 32767, 32767),
    ("whole", -(2**31), -(2**31)),
    ("big", 2**63 - 1, 2**63 - 1),
    ("single", 1.5, 1.5),
    ("double", 1e-300, 1e-300),
    ("double", float("inf"), float("inf")),
    ("double", 7, 7.0),
    ("price", decimal.Decimal("-1234567890123456.7891"), decimal.Decimal("-1234567890123456.7891")),
    ("price", decimal.Decimal("12.5"), decimal.Decimal("12.5000")),
    ("price", 3, decimal.Decimal("3.0000")),
    ("flag", False, False),
    ("name", "ünïcode '\"\\ \n$1 ?", "ünïcode '\"\\ \n$1 ?"),
    ("name", "", ""),
    ("body", '{"k": [1, null]}', '{"k": [1, null]}'),
    ("bytes", b"\x00\xff", b"\x00\xff"),
    ("bytes", b"", b""),
    ("day", datetime.date(1969, 12, 31), datetime.date(1969, 12, 31)),
    ("day", "2024-02-29", datetime.date(2024, 2, 29)),
    ("at", INSTANT, INSTANT),
    ("at", INSTANT.astimezone(BERLIN), INSTANT),
    ("at", INSTANT.replace(tzinfo=None), INSTANT),
    ("at", FIRST, FIRST),
    ("tags", ["a", None, ""], ["a", None, ""]),
    ("tags", [], []),
]

# Column, how Arrow has it, what comes back.
ARROW = [
    ("tiny", pyarrow.array([7], pyarrow.uint8()), 7),
    ("small", pyarrow.array([7], pyarrow.int8()), 7),
    ("whole", pyarrow.array([7], pyarrow.uint16()), 7),
    ("big", pyarrow.array([7], pyarrow.uint64()), 7),
    ("big", pyarrow.array([decimal.Decimal("7.0")], pyarrow.decimal128(5, 1)), 7),
    ("single", pyarrow.array([0.5], pyarrow.float32()), 0.5),
    ("double", pyarrow.array([0.5], pyarrow.float16()), 0.5),
    ("price", pyarrow.array([decimal.Decimal("0.5")], pyarrow.decimal256(50, 2)), decimal.Decimal("0.5000")),
    ("price", pyarrow.array([0.25]), decimal.Decimal("0.2500")),
    ("name", pyarrow.array(["large"], pyarrow.large_string()), "large"),
    ("name", pyarrow.array(["view"], pyarrow.string_view()), "view"),
    ("name", pyarrow.array(["dictionary"]).dictionary_encode(), "dictionary"),
    ("bytes", pyarrow.array([b"large"], pyarrow.large_binary()), b"large"),
    ("bytes", pyarrow.array([b"view"], pyarrow.binary_view()), b"view"),
    ("bytes", pyarrow.array([b"fixed"], pyarrow.binary(5)), b"fixed"),
    ("day", pyarrow.array([datetime.date(2024, 2, 29)], pyarrow.date64()), datetime.date(2024, 2, 29)),
    ("at", pyarrow.array([INSTANT], pyarrow.timestamp("ns", "UTC")), INSTANT),
    ("at", pyarrow.array([INSTANT], pyarrow.timestamp("us", "Europe/Berlin")), INSTANT),
    ("at", pyarrow.array([0], pyarrow.timestamp("s")), datetime.datetime(1970, 1, 1, tzinfo=UTC)),
    ("tags", pyarrow.array([["a"]], pyarrow.large_list(pyarrow.large_string())), ["a"]),
]

# Column and what does not fit into it, with the code that says so.
UNFIT = [
    ("tiny", 128, "22003"),
    ("whole", 2**31, "22003"),
    ("whole", 1.5, "22003"),
    ("whole", "seven", "22P02"),
    ("price", decimal.Decimal("0.00001"), "22003"),
    ("day", "the day before", "22P02"),
    ("body", "{", "22P02"),
]


def create(connection):
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    update(connection, "DROP TABLE IF EXISTS bound")
    update(connection, f"CREATE TABLE bound (id BIGINT, {columns})")


def round_trips(connection, first, cases):
    """Each value goes in by a parameter, comes back, and is found again by a parameter."""
    with connection.cursor() as cursor:
        for number, (column, bound, expected) in enumerate(cases, first):
            what = f"{bound!r} in {column}"
            cursor.execute(f"INSERT INTO bound (id, {column}) VALUES ({number}, ?)", bound)
            equal(rows(connection, f"SELECT {column} FROM bound WHERE id = {number}"), [(expected,)], what)
            cursor.execute(f"SELECT id FROM bound WHERE {column} = ?", bound)
            check((number,) in cursor.fetchall(), f"{what} is not found again")


def as_python_has_them(connection):
    round_trips(connection, 100, [(column, (value,), expected) for column, value, expected in VALUES])


def as_arrow_has_them(connection):
    def bound(array):
        return pyarrow.record_batch([array], names=["0"])

    round_trips(connection, 200, [(column, bound(array), expected) for column, array, expected in ARROW])


def nulls(connection):
    """NULL without a type, and NULLs of every column's own."""
    names = ", ".join(COLUMNS)
    marks = ", ".join("?" for _ in COLUMNS)
    missing = tuple(None for _ in COLUMNS)
    rows(connection, f"INSERT INTO bound (id, {names}) VALUES (300, {marks})", missing)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {names} FROM bound WHERE id = 300")
        typed = cursor.fetch_arrow_table()
        cursor.executemany(f"INSERT INTO bound (id, {names}) VALUES (301, {marks})", typed)
    equal(rows(connection, f"SELECT {names} FROM bound WHERE id IN (300, 301)"), [missing, missing], "NULLs")
    equal(rows(connection, "SELECT count(*) FROM bound WHERE whole = ?", (None,)), [(0,)], "nothing equals NULL")
    equal(rows(connection, "SELECT CAST(? AS BIGINT), ? IS NULL", (None, None)), [(None, True)], "NULL alone")


def unfit(connection):
    [(before,)] = rows(connection, "SELECT count(*) FROM bound")
    for column, value, code in UNFIT:
        sql = f"INSERT INTO bound (id, {column}) VALUES (400, ?)"
        error = raised(lambda: rows(connection, sql, (value,)), flight_sql.ProgrammingError, sql)
        check(f"SQLSTATE {code}" in str(error), f"{value!r} in {column}: {error}")
    equal(rows(connection, "SELECT count(*) FROM bound"), [(before,)], "rows after values that did not fit")


def numbers_of_values(connection):
    for sql, values in [("SELECT ?", ()), ("SELECT ?", (1, 2)), ("SELECT $2 + 1", (1,))]:
        error = raised(lambda: rows(connection, sql, values), flight_sql.ProgrammingError, sql)
        check("SQLSTATE 42P02" in str(error), f"{sql} with {values}: {error}")
    equal(rows(connection, "SELECT $2 - $1, $1 * 1", (1, 10)), [(9, 1)], "parameters by number")
    many = ", ".join(f"${number}" for number in range(1, 13))
    equal(rows(connection, f"SELECT concat({many})", tuple("abcdefghijkl")), [("abcdefghijkl",)], "twelve of them")


def schemas(connection):
    """What a driver is told about parameters before it binds any."""
    with connection.cursor() as cursor:
        names = ", ".join(COLUMNS)
        marks = ", ".join("?" for _ in COLUMNS)
        schema = cursor.adbc_prepare(f"INSERT INTO bound ({names}) VALUES ({marks})")
    equal(schema.names, [f"${number}" for number in range(1, len(COLUMNS) + 1)], "parameters")
    columns = connection.adbc_get_table_schema("bound")
    for field, name in zip(schema, COLUMNS):
        equal(field.type, columns.field(name).type, f"the type of the parameter for {name}")
        check(field.nullable, f"the parameter for {name} may be NULL")


def many_rows(connection):
    """Each row is an execution, of updates and of queries; columns without rows are none."""
    batch = pyarrow.record_batch({"id": pyarrow.array([500, 501, 502]), "name": ["a", None, "c"]})
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO bound (id, name) VALUES (?, ?)", batch)
        equal(cursor.rowcount, 3, "rows of executemany")
        none = pyarrow.Table.from_batches([], batch.schema)
        cursor.executemany("INSERT INTO bound (id, name) VALUES (?, ?)", none)
        equal(cursor.rowcount, 0, "rows of executemany without any")
        cursor.execute("SELECT id, name FROM bound WHERE id = ? AND ? IS DISTINCT FROM 'x'", batch)
        equal(cursor.fetchall(), [(500, "a"), (501, None), (502, "c")], "a query for each row")
        cursor.execute("SELECT id FROM bound WHERE id = ?", none.select(["id"]))
        equal(cursor.fetchall(), [], "a query for no row")


def zones(connection):
    """Times without a zone are in the session's, as they are in the text of a statement."""
    local = datetime.datetime(2024, 7, 1, 14, 30, 15, 123456)
    update(connection, "SET TIME ZONE 'Europe/Berlin'")
    sql = "SELECT CAST(? AS TIMESTAMP), TIMESTAMP '2024-07-01 14:30:15.123456'"
    for value in (local, str(local), INSTANT, INSTANT.isoformat()):
        equal(rows(connection, sql, (value,)), [(INSTANT, INSTANT)], f"{value!r} in Berlin")
    midnight = datetime.datetime(2024, 6, 30, 22, tzinfo=UTC)
    equal(
        rows(connection, "SELECT CAST(? AS TIMESTAMP), CAST(? AS DATE)", (local.date(), midnight)),
        [(midnight, local.date())],
        "days in Berlin",
    )
    # Beside a date, the time of day counts.
    for value in (datetime.datetime(2023, 12, 31, 23, 30), datetime.datetime(2023, 12, 31, 22, 30, tzinfo=UTC)):
        sql = "SELECT d = ?, d >= ?, d IN (?) FROM (VALUES (DATE '2023-12-31')) v(d)"
        equal(rows(connection, sql, (value,) * 3), [(False, False, False)], f"{value!r} beside a date")
    update(connection, "RESET timezone")


def alike(connection):
    """Values that are equal or displayed alike, but are not the same, have results of their own in all caches."""
    for sql in ("SELECT count(*) FROM bound_pair WHERE ts <= ?", "SELECT extract(hour FROM ?), count(*) FROM bound_pair"):
        update(connection, "CREATE OR REPLACE TABLE bound_pair AS SELECT 1 AS k, TIMESTAMP '2024-06-01 22:30:00' AS ts")
        update(connection, "SET TIME ZONE 'Europe/Berlin'")
        late = datetime.datetime(2024, 6, 1, 23, 30)
        values = [late, late.replace(tzinfo=UTC)]
        alone = []
        for value in values:
            update(connection, "SET watershed.result_cache = 'off'")
            alone.append(rows(connection, sql, (value,)))
        update(connection, "RESET watershed.result_cache")
        check(alone[0] != alone[1], f"{sql}: {alone}")
        for _ in range(2):
            equal([rows(connection, sql, (value,)) for value in values], alone, sql)
        update(connection, "RESET timezone")
    for values in ((["a", "b"], ["a, b"]), (["a", ""], ["a", None]), ([None], [""])):
        for _ in range(2):
            for value in values:
                found = rows(connection, "SELECT k, ? FROM bound_pair", (value,))
                equal(found, [(1, value)], f"{value!r}")
    update(connection, "DROP TABLE bound_pair")


def grouped(connection):
    """Parameters of one value are one, also within grouping sets."""
    part = "c AND c IS NOT DISTINCT FROM ?"
    sets = (f"{part}", f"({part})", f"GROUPING SETS (({part}))", f"ROLLUP (({part}))", f"CUBE ({part})")
    for grouped in sets:
        for column, having in ((part, ""), (f"({part}) AS d", ""), ("count(*) > 0", f"HAVING NOT ({part})")):
            sql = f"SELECT {column} FROM (VALUES (TRUE)) t(c) GROUP BY {grouped} {having}"
            found = rows(connection, sql, (False, False))
            expected = bool(having)
            check((expected,) in found, f"{sql}: {found}")


def main(url):
    with connect(url) as connection:
        create(connection)
        as_python_has_them(connection)
        as_arrow_has_them(connection)
        nulls(connection)
        unfit(connection)
        numbers_of_values(connection)
        schemas(connection)
        many_rows(connection)
        zones(connection)
        alike(connection)
        grouped(connection)
        update(connection, "DROP TABLE bound")


if __name__ == "__main__":
    main(*sys.argv[1:])
