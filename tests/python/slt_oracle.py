"""The corpus is right by more than our own word: DuckDB gives the same answers. Arguments: FOLDER.

Records under `skipif duckdb` are where the two differ by design. Counts of rows and errors are not compared.
"""

import datetime
import decimal
import pathlib
import re
import sys

import duckdb

from support import check

# What our DDL says about how rows lie has no meaning for DuckDB.
LAYOUT = [
    (re.compile(r"CLUSTERED BY \([^)]*\) INTO \d+ BUCKETS"), ""),
    (re.compile(r"PARTITIONED BY \([^)]*\)"), ""),
    (re.compile(r"ARRAY<(\w+)>"), r"\1[]"),
]


def records(text):
    """Heading, SQL and expected rows of each record, without those that are not for DuckDB."""
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.split("\n") if not line.startswith("#")]
        skipped = "skipif duckdb" in lines
        lines = [line for line in lines if line and not line.startswith(("skipif", "onlyif"))]
        if lines and not skipped:
            heading, *body = lines
            at = body.index("----") if "----" in body else len(body)
            yield heading.split(), "\n".join(body[:at]), body[at + 1 :]


def text_of(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.datetime):
        return value.isoformat() + "Z"
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    if isinstance(value, float) and value != value:
        return "NaN"
    if isinstance(value, list):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return " ".join(str(value).split()) or "(empty)"


def same(letter, expected, found):
    if expected == found:
        return True
    try:
        left, right = float(expected), float(found)
    except ValueError:
        return False
    return letter in "RI" and abs(left - right) <= 1e-9 * max(abs(left), abs(right))


def differs(heading, expected, found):
    """Whether a query's answer is another than the corpus says."""
    letters = heading[1]
    lines = [[text_of(value) for value in row] for row in found]
    expected = [" ".join(line.split()) for line in expected]
    if heading[2:] == ["rowsort"]:
        lines.sort(key=" ".join)
        expected.sort()
    if len(lines) != len(expected):
        return True
    for line, row in zip(expected, lines):
        values = line.split(" ")
        if line != " ".join(row) and not (
            len(values) == len(row) and all(map(same, letters, values, row))
        ):
            return True
    return False


def main(folder):
    differences, compared = [], 0
    for file in sorted(pathlib.Path(folder).glob("*.slt")):
        database = duckdb.connect()
        database.execute("SET TimeZone = 'UTC'; SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
        for heading, sql, expected in records(file.read_text()):
            for pattern, replacement in LAYOUT:
                sql = pattern.sub(replacement, sql)
            try:
                found = database.execute(sql).fetchall()
            except duckdb.Error as error:
                if heading[1] != "error":
                    differences.append(f"{file.name}: {sql}\n  {error}")
                continue
            if heading[0] == "query":
                compared += 1
                if heading[1] == "error" or differs(heading, expected, found):
                    lines = [" ".join(map(text_of, row)) for row in found]
                    differences.append(f"{file.name}: {sql}\n  expected {expected}\n  DuckDB   {lines}")
    print(f"{compared} answers compared")
    check(not differences, "\n".join(differences))


main(*sys.argv[1:])
