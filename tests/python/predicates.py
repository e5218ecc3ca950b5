"""Predicates that bounds of files and row groups may decide select the rows of which the same predicate is TRUE in a
list of SELECT, where nothing is pruned, and leave ORDER BY as it is: comparisons of columns of each
type, of their casts and of functions of them."""

import datetime as dt
import decimal
import sys
import tempfile

import pyarrow
import pyarrow.parquet
from support import connect, rows, update

# Rows of a row group, and of a file of our own.
GROUP = 3
NAN, INFINITE = float("nan"), float("inf")


def instant(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.timezone.utc)


# Each line is a row group: its bounds hold other values between them than casts of the bounds would.
INTEGERS = [-5, 0, 5, 1, 2, 3, -1, None, 1, 100, 7, 12, None, None, None]
FLOATS = [-5.5, 0.0, 5.5, 1.0, NAN, 2.5, -0.0, None, 0.0, -INFINITE, 1.0, INFINITE, None, None, None]
DECIMALS = [None if value is None else decimal.Decimal(value) / 4 for value in INTEGERS]
BOOLEANS = [True, False, None, True, True, True, False, False, False, None, True, True, None, None, None]
INSTANTS = [
    None if text is None else instant(text)
    for text in (
        *("2024-01-01 23:00:00", "2024-01-02 11:00:00.5", "2024-01-02 01:00:00"),
        *("2024-10-27 00:30:00", "2024-10-27 00:45:00", "2024-10-27 01:15:00"),
        *("1999-12-31 23:59:59", None, "2000-01-01 00:00:00"),
        *("1969-12-31 12:00:00", "1970-01-01 00:00:00", "1970-01-01 12:00:00"),
        *(None, None, None),
    )
]
DATES = [None if value is None else value.date() for value in INSTANTS]
TIMES = [None if value is None else value.time() for value in INSTANTS]
TEXTS = ["a", "B", "b", "10", "9", "1e1", "", None, "zz", "2024-01-01", "1", "-3", None, None, None]
BYTES = [None if value is None else value.encode() for value in TEXTS]

COLUMNS = {
    "i8": (pyarrow.int8(), INTEGERS),
    "i32": (pyarrow.int32(), INTEGERS),
    "i64": (pyarrow.int64(), INTEGERS),
    "u32": (pyarrow.uint32(), [None if value is None else abs(value) for value in INTEGERS]),
    "u64": (pyarrow.uint64(), [None if value is None else abs(value) for value in INTEGERS]),
    "f32": (pyarrow.float32(), FLOATS),
    "f64": (pyarrow.float64(), FLOATS),
    "d9": (pyarrow.decimal128(9, 2), DECIMALS),
    "d30": (pyarrow.decimal128(30, 4), DECIMALS),
    "b": (pyarrow.bool_(), BOOLEANS),
    "ts": (pyarrow.timestamp("us", "UTC"), INSTANTS),
    "ms": (pyarrow.timestamp("ms"), [value and value.replace(tzinfo=None) for value in INSTANTS]),
    "dt": (pyarrow.date32(), DATES),
    "tm": (pyarrow.time64("us"), TIMES),
    "s": (pyarrow.string(), TEXTS),
    "bin": (pyarrow.binary(), BYTES),
}
NUMBERS = ["i8", "i32", "i64", "u32", "u64", "f32", "f64", "d9", "d30"]
TARGETS = {
    **dict.fromkeys(
        NUMBERS, ["TINYINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(6, 1)", "DECIMAL(30, 3)", "STRING", "BOOLEAN"]
    ),
    "b": ["INT", "BIGINT", "DOUBLE", "STRING"],
    "ts": ["DATE", "TIME", "STRING", "TIMESTAMP"],
    "ms": ["DATE", "TIME", "STRING", "TIMESTAMP"],
    "dt": ["TIMESTAMP", "STRING"],
    "tm": ["STRING"],
    "s": ["BIGINT", "DOUBLE", "DATE", "BINARY", "DECIMAL(9, 2)", "BOOLEAN"],
    "bin": ["STRING"],
}
# Functions of a column, with the types that they give.
FUNCTIONS = {
    **dict.fromkeys(
        NUMBERS,
        {
            "abs({})": "DOUBLE",
            "CAST(-{} AS BIGINT)": "BIGINT",
            "{} % 3": "DOUBLE",
            "-{}": "DOUBLE",
            "sqrt(abs({}))": "DOUBLE",
            "floor({})": "DOUBLE",
            "cos({})": "DOUBLE",
        },
    ),
    "b": {"NOT {}": "BOOLEAN", "CAST(NOT {} AS INT)": "INT", "CAST(NOT {} AS STRING)": "STRING"},
    **dict.fromkeys(
        ["ts", "ms"],
        {
            "date_trunc('hour', {})": "TIMESTAMP",
            "extract(hour FROM {})": "BIGINT",
            "CAST(CAST({} AS DATE) AS TIMESTAMP)": "TIMESTAMP",
            "{} + INTERVAL '1' MONTH": "TIMESTAMP",
            "{} AT TIME ZONE 'America/St_Johns'": "TIMESTAMP",
        },
    ),
    "dt": {"extract(month FROM {})": "BIGINT", "{} - DATE '2000-01-01'": "BIGINT"},
    "tm": {"extract(hour FROM {})": "BIGINT"},
    "s": {"lower({})": "STRING", "length({})": "BIGINT", "CAST(TRY_CAST({} AS BIGINT) AS STRING)": "STRING"},
    "bin": {"length({})": "BIGINT"},
}
PLAIN = {
    **dict.fromkeys(["i8", "i32", "i64", "u32"], "BIGINT"),
    **{"u64": "DECIMAL(20, 0)", "f32": "FLOAT", "f64": "DOUBLE", "d9": "DECIMAL(9, 2)", "d30": "DECIMAL(30, 4)"},
    **{"b": "BOOLEAN", "ts": "TIMESTAMP", "ms": "TIMESTAMP", "dt": "DATE", "tm": "TIME", "s": "STRING", "bin": "BINARY"},
}
COMPARISONS = ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]


def expressions(column):
    """Expressions of a column, with their types."""
    yield column, PLAIN[column]
    for target in TARGETS[column]:
        yield f"TRY_CAST({column} AS {target})", target
        if column != "s":
            yield f"CAST({column} AS {target})", target
    for function, kind in FUNCTIONS[column].items():
        yield function.format(column), kind


def values_of(connection, table, expression, kind):
    """Literals of some values of an expression."""
    text = f"CAST({expression} AS STRING)" if kind != "BINARY" else f"encode({expression}, 'hex')"
    found = sorted(row[0] for row in rows(connection, f"SELECT DISTINCT {text} FROM {table} WHERE {text} IS NOT NULL"))
    return [
        f"CAST('{value}' AS {kind})" if kind != "BINARY" else f"decode('{value}', 'hex')"
        for value in found[len(found) // 3 :: max(1, len(found) // 3)][:2]
    ]


def predicates(expression, kind, values):
    """Predicates over an expression and some of its own values."""
    for number, value in enumerate(values):
        for comparison in COMPARISONS[number % 2 :: 2]:
            yield f"{expression} {comparison} {value}"
    for value in values[:1]:
        yield f"NOT ({expression} < {value})"
        yield f"{value} > {expression}"
    for low, high in zip(values, values[1:]):
        yield f"{expression} BETWEEN {low} AND {high}"
        yield f"{expression} IN ({low}, {high})"
        yield f"{expression} NOT IN ({low}, {high})"
    yield f"{expression} IS NULL"
    yield f"{expression} IS NOT NULL"
    if kind == "STRING":
        yield f"{expression} LIKE '1%'"
        yield f"{expression} NOT LIKE '2%'"
    if kind == "BOOLEAN":
        yield expression
        yield f"NOT {expression}"
        yield f"{expression} IS NOT TRUE"


def compare(connection, table, column, tested):
    """The predicates that select other rows, or give them another order, than the rows say of which they are TRUE."""
    listed = ", ".join(f"({predicate}) AS p{number}" for number, predicate in enumerate(tested))
    # Above a limit, the predicate is not one of the scan.
    limited = f"(SELECT id, {column} FROM {table} ORDER BY id LIMIT 100) AS q"
    scanned, filtered = (
        " UNION ALL ".join(branch.format(number, predicate) for number, predicate in enumerate(tested))
        for branch in (
            f"SELECT {{}} AS n, id FROM {table} WHERE {{}}",
            f"SELECT {{}} AS n, id, row_number() OVER (ORDER BY {column}, id) AS r FROM {limited} WHERE {{}}",
        )
    )
    expected = {number: [] for number in range(len(tested))}
    order = f"row_number() OVER (ORDER BY {column}, id) AS r"
    for row in sorted(rows(connection, f"SELECT {order}, id, {listed} FROM {table}")):
        for number, value in enumerate(row[2:]):
            if value:
                expected[number].append(row[1])
    found = rows(connection, scanned)
    # Rows of a FilterExec know nothing of the files below.
    ordered = rows(connection, filtered) if table == "groups" else None
    for number, predicate in enumerate(tested):
        want = expected[number]
        have = sorted(row for n, row in found if n == number)
        if have != sorted(want):
            yield f"SELECT id FROM {table} WHERE {predicate}: {have}, and TRUE of {sorted(want)}"
        have = [row for _, row in sorted((r, row) for n, row, r in ordered or () if n == number)]
        if ordered is not None and have != want:
            yield f"SELECT id FROM {limited} WHERE {predicate} ORDER BY {column}, id: {have}, and TRUE of {want}"


def sorted_alike(connection, table, column, expression):
    """An expression by which an input is ordered otherwise if the input is ordered by its column."""
    text = f"SELECT id FROM (SELECT id, {column}, row_number() OVER (ORDER BY {column} {{0}}) AS r FROM {table}) AS q"
    for order in ("", "DESC"):
        want = rows(connection, f"SELECT id FROM {table} ORDER BY {expression}, id")
        have = rows(connection, text.format(order) + f" WHERE r > 0 ORDER BY {expression}, id")
        if want != have:
            yield f"{text.format(order)} WHERE r > 0 ORDER BY {expression}, id: {have}, expected {want}"


def main(url):
    connection = connect(url)
    update(connection, "SET watershed.result_cache = 'off'")
    update(connection, "SET TIME ZONE 'Europe/Berlin'")
    wrong, refused, count = [], set(), 0
    with tempfile.TemporaryDirectory(prefix="predicates-") as folder:
        fields = {"id": pyarrow.array(range(len(INTEGERS)), pyarrow.int64())}
        fields |= {name: pyarrow.array(values, kind) for name, (kind, values) in COLUMNS.items()}
        file = f"{folder}/groups.parquet"
        pyarrow.parquet.write_table(
            pyarrow.table(fields), file, row_group_size=GROUP, write_page_index=True, data_page_size=1
        )
        update(connection, f"CREATE EXTERNAL TABLE groups STORED AS PARQUET LOCATION '{file}'")
        update(connection, "CREATE TABLE files AS SELECT * EXCLUDE (tm) FROM groups WHERE id < 0")
        for first in range(0, len(INTEGERS), GROUP):
            update(
                connection,
                f"INSERT INTO files SELECT * EXCLUDE (tm) FROM groups WHERE id >= {first} AND id < {first + GROUP}",
            )
        for table in ["groups", "files"]:
            for column in COLUMNS:
                if column == "tm" and table == "files":
                    # No table of our own stores times of days.
                    continue
                for expression, kind in expressions(column):
                    if table == "files" and expression.startswith("TRY"):
                        continue
                    try:
                        values = values_of(connection, table, expression, kind)
                        tested = list(predicates(expression, kind, values))
                        wrong += compare(connection, table, column, tested)
                        if table == "groups":
                            wrong += sorted_alike(connection, table, column, expression)
                        count += len(tested)
                    except Exception as error:
                        refused.add(f"{expression}: {str(error)[:160]}")
        update(connection, "DROP TABLE groups")
        update(connection, "DROP TABLE files")
    print(f"{count} predicates, {len(wrong)} wrong; refused:", *sorted(refused), sep="\n  ")
    assert not wrong, "\n".join(wrong[:60])
    assert count > 4000, count


main(sys.argv[1])
