"""Statements with bound values have the rows that they have with literals of the values. Arguments: URL."""

import datetime
import decimal
import itertools
import sys

from support import check, connect, flight_sql, rows, update

TABLE = [
    "CREATE TABLE beside (id BIGINT, s STRING, d DATE, ts TIMESTAMP, ok BOOLEAN, m DECIMAL(10, 2), f DOUBLE, i INT)",
    """INSERT INTO beside VALUES
         (1, '10', '2024-01-01', '2024-01-01 00:00:00', true, 1.50, 1.5, 1),
         (2, '1e1', '2024-02-29', '2024-02-29 12:00:00', false, 2.50, 2.5, 2),
         (3, '10.0', '2024-03-01', '2024-03-01 00:00:00', true, NULL, NULL, NULL),
         (4, '010', NULL, NULL, NULL, 4.25, 4.25, 4),
         (5, 'a', '2023-01-01', '2023-06-01 00:00:00', true, 10.00, 10.0, 10)""",
    # Without a string that is no number, a comparison as numbers shows by its rows.
    "CREATE VIEW numeric AS SELECT * FROM beside WHERE s <> 'a'",
]

DAY, INSTANT = datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1)

CONDITIONS = [
    ("s = ?", ["10"]),
    ("s IN (?, ?)", ["10", "1e1"]),
    ("s <> ?", ["10"]),
    ("s LIKE ?", ["1%"]),
    ("s BETWEEN ? AND ?", ["1", "10"]),
    ("s || ? = ?", ["1", "101"]),
    ("coalesce(s, ?) = ?", ["0", "10"]),
    ("upper(s) = ?", ["1E1"]),
    ("d = ?", [DAY]),
    ("d >= ?", [DAY]),
    ("d > ?", ["2024-01-15"]),
    ("ts >= ?", [INSTANT]),
    ("ts = ?", ["2024-03-01"]),
    ("ok = ?", [True]),
    ("ok IS DISTINCT FROM ?", [True]),
    ("m > ?", [2]),
    ("m = ?", [decimal.Decimal("2.50")]),
    ("f > ?", [2]),
    ("i > ?", [1.5]),
    ("id = ?", ["2"]),
    ("id IN (?, ?)", [1, 2]),
]

# Each with the values before the condition's, and those behind.
STATEMENTS = [
    ("SELECT sum(CASE WHEN {} THEN ? ELSE ? END) FROM numeric", [], [1, 0]),
    ("SELECT sum(CASE WHEN {} THEN ? END) FROM beside", [], [1]),
    ("SELECT avg(CASE WHEN {} THEN ? ELSE ? END) FROM beside", [], [1, 0]),
    ("SELECT count(CASE WHEN {} THEN ? END), max(CASE WHEN s = ? THEN ? ELSE ? END) FROM beside", [], [1, "10", 1, 0]),
    ("SELECT sum(CASE WHEN {} THEN ? ELSE ? END), sum(CASE WHEN s = ? THEN ? ELSE ? END) FROM numeric", [], [1, 0, "10", 1, 0]),
    ("SELECT sum(CASE WHEN {} THEN ? ELSE ? END) FROM numeric HAVING count(*) > ?", [], [1, 0, 2]),
    ("SELECT sum(CASE WHEN id > ? THEN ? ELSE ? END) FROM (SELECT * FROM numeric WHERE {}) x", [2, 1, 0], []),
    ("SELECT sum(x) FROM (SELECT CASE WHEN {} THEN ? ELSE ? END AS x FROM numeric) y", [], [1, 0]),
    ("SELECT sum(?) FROM numeric WHERE {}", [1], []),
    ("SELECT stddev(?) FROM beside WHERE {}", [1.5], []),
    ("SELECT sum(id * ?) FROM beside WHERE {}", [2], []),
    ("SELECT id, sum(CASE WHEN {} THEN ? ELSE ? END) OVER (ORDER BY id) FROM numeric", [], [1, 0]),
    ("SELECT id, row_number() OVER (ORDER BY CASE WHEN {} THEN ? ELSE ? END, id) FROM beside", [], [0, 1]),
    ("SELECT id FROM beside ORDER BY CASE WHEN {} THEN ? ELSE ? END, id LIMIT ?", [], [0, 1, 2]),
    ("SELECT CASE WHEN {} THEN ? ELSE ? END AS k, count(*) FROM beside GROUP BY 1", [], ["y", "n"]),
    ("SELECT coalesce(CASE WHEN {} THEN id END, ?) FROM beside", [], [0]),
    ("SELECT greatest(CASE WHEN {} THEN ? ELSE ? END, ?) FROM beside", [], [1, 0, 2]),
    ("SELECT nullif(CASE WHEN {} THEN ? ELSE ? END, ?) FROM beside", [], [1, 0, 0]),
    ("SELECT round(f, ?), power(?, ?), substr(s, ?, ?) FROM beside WHERE {}", [1, 2, 3, 1, 2], []),
    ("SELECT count(*) FROM (SELECT ? AS k FROM beside WHERE {}) x WHERE k = ?", [1], [1]),
    ("SELECT id FROM beside AS p WHERE EXISTS (SELECT 1 FROM beside WHERE {} AND p.id > ?)", [], [2]),
    ("SELECT id + ? FROM beside WHERE {} OR s = ?", [1], ["a"]),
]


def literal(value):
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, datetime.datetime):
        return f"TIMESTAMP '{value}'"
    return f"DATE '{value}'" if isinstance(value, datetime.date) else str(value)


def result(connection, sql, values=None):
    """Rows without their order and without what tells 1 from 1.0; or what went wrong."""
    try:
        found = rows(connection, sql, values)
    except flight_sql.Error as error:
        return f"error: {error}"
    return sorted([str(value if not isinstance(value, (int, float, decimal.Decimal)) else float(value)) for value in row] for row in found)


def main(url):
    wrong = []
    with connect(url) as connection:
        for sql in TABLE:
            update(connection, sql)
        for (condition, compared), (statement, before, behind) in itertools.product(CONDITIONS, STATEMENTS):
            sql, values = statement.format(condition), [*before, *compared, *behind]
            written = sql.replace("?", "{}").format(*map(literal, values))
            expected, found = result(connection, written), result(connection, sql, values)
            if not isinstance(expected, list):
                wrong.append(f"{written}: {expected}")
            elif found != expected:
                wrong.append(f"{sql} {values}: {expected} expected, {found} found")
    check(not wrong, "\n".join([f"{len(wrong)} statements:", *wrong]))


main(*sys.argv[1:])
