"""Files as other writers make them, read by way of external tables and table functions, beside DuckDB over the same
files: types of all writers, folders whose files differ, Hive trees, text in all forms, and columns that change."""

import bz2
import datetime
import decimal
import gzip
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

import deltalake
import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq

from support import connect, failure, rows, update

UTC = datetime.timezone.utc
PATHS = ["local", "pipelined", "staged"]


def plain(value):
    """Values as both engines can show them."""
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, decimal.Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


def shown(found):
    return sorted(repr([plain(value) for value in row]) for row in found)


class Server:
    def __init__(self, url):
        self.connection = connect(url)

    def everywhere(self, sql):
        """The rows of a query, the same on every path, cold and from the cache."""
        results = {}
        for path in PATHS:
            update(self.connection, f"SET watershed.execution = '{path}'")
            for cache in ["off", "on", "on"]:
                update(self.connection, f"SET watershed.result_cache = '{cache}'")
                try:
                    results[path, cache] = rows(self.connection, sql)
                except Exception as error:
                    raise AssertionError(f"{sql}\non path {path}, result cache {cache}: {error}") from error
        update(self.connection, "RESET watershed.execution")
        first = results[PATHS[0], "off"]
        for where, found in results.items():
            assert shown(found) == shown(first), f"{sql}\n{where}: {found}\nlocal: {first}"
        return first

    def check(self, sql, expected):
        found = self.everywhere(sql)
        assert shown(found) == shown(expected), f"{sql}\nfound    {shown(found)}\nexpected {shown(expected)}"

    def fails(self, sql, *parts):
        told = failure(self.connection, sql)
        for part in parts:
            assert part in told, f"{sql}\nexpected {part!r} in {told}"

    def table(self, name, location, form, columns="", more=""):
        update(self.connection, f"CREATE OR REPLACE EXTERNAL TABLE {name} {columns} STORED AS {form} {more} LOCATION '{location}'")


def write(path, table, **options):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)


def hive(server, folder):
    """Values in names of folders, of every type, as Hive, Spark and DuckDB write them."""
    cases = {
        "whole": ("BIGINT", ["01", "2", "-3", "12"], ["= 1", "IN (2, 12)", "< 0", "> 1", "= -3", "<> 12"]),
        "text": ("STRING", ["x%3Ay", "a b", "100%25", "é"], ["= 'x:y'", "= 'a b'", "LIKE '%:%'", "= '100%'", "= 'é'"]),
        "real": ("DOUBLE", ["1.5", "2.50", "-0.25", "1e3"], ["= 1.5", "= 2.5", "> 2", "< 0", "= 1000"]),
        "dec": ("DECIMAL(10, 2)", ["1.50", "2.5", "10"], ["= 1.5", "= 2.50", "> 2", "= 10"]),
        "flag": ("BOOLEAN", ["true", "false"], ["= true", "= false", "IS NOT TRUE"]),
        "day": ("DATE", ["2024-01-01", "2024-02-29"], ["= DATE '2024-02-29'", "< DATE '2024-02-01'"]),
        "at": (
            "TIMESTAMP",
            ["2024-01-01 10%3A00%3A00", "2024-01-02 00%3A00%3A00.5"],
            ["= TIMESTAMP '2024-01-01 10:00:00'", "> TIMESTAMP '2024-01-01 12:00:00'"],
        ),
        "small": ("INT", ["007", "8"], ["= 7", "= 8", "> 7"]),
    }
    for name, (kind, values, filters) in cases.items():
        root = folder / "hive" / name
        number = 0
        for value in [*values, "__HIVE_DEFAULT_PARTITION__"]:
            for part in range(2):
                write(root / f"{name}={value}" / f"{part}.parquet", pa.table({"n": [number, number + 1]}))
                number += 2
        server.table(f"hive_{name}", root, "PARQUET", f"(n BIGINT, {name} {kind})", f"PARTITIONED BY ({name})")
        duck = {"STRING": "VARCHAR"}.get(kind, kind)
        source = f"read_parquet('{root}/*/*.parquet', hive_partitioning = true, hive_types = {{'{name}': '{duck}'}})"
        server.check(f"SELECT n, {name} FROM hive_{name}", duckdb.sql(f'SELECT n, "{name}" FROM {source}').fetchall())
        for condition in [*filters, "IS NULL", "IS NOT NULL"]:
            for query in [
                "SELECT n, {0} FROM {1} WHERE {0} {2}",
                "SELECT count(*), min({0}), max({0}) FROM {1} WHERE {0} {2} AND n >= 0",
                "SELECT count(*) FROM {1} WHERE {0} {2} OR n = 0",
                "SELECT {0}, count(*) FROM {1} WHERE NOT ({0} {2}) GROUP BY {0}",
            ]:
                expected = duckdb.sql(query.format(f'"{name}"', source, condition)).fetchall()
                server.check(query.format(name, f"hive_{name}", condition), expected)
    root = folder / "hive" / "two"
    for year, month in [("2024", "01"), ("2024", "12"), ("2025", "01")]:
        write(root / f"year={year}" / f"month={month}" / "a.parquet", pa.table({"n": [int(month)]}))
    server.table("two", root, "PARQUET")
    server.check("SELECT n, year, month FROM two WHERE year = 2024 AND month = 1", [(1, 2024, 1)])
    server.fails(
        f"CREATE EXTERNAL TABLE bad (n BIGINT, text INT) STORED AS PARQUET PARTITIONED BY (text) LOCATION '{folder}/hive/text'",
        "22P02",
        "text",
    )


def every_type():
    """A column of each type of Arrow that Parquet has, with NULLs and edges."""
    at = datetime.datetime(2024, 2, 29, 12, 34, 56, 789000)
    early = datetime.datetime(1900, 1, 1)
    columns = {
        "b": pa.array([True, None, False]),
        "i8": pa.array([1, None, -128], pa.int8()),
        "u8": pa.array([1, None, 255], pa.uint8()),
        "i16": pa.array([1, None, -32768], pa.int16()),
        "u16": pa.array([1, None, 65535], pa.uint16()),
        "i32": pa.array([1, None, -(2**31)], pa.int32()),
        "u32": pa.array([1, None, 2**32 - 1], pa.uint32()),
        "i64": pa.array([1, None, -(2**63)], pa.int64()),
        "u64": pa.array([1, None, 2**64 - 1], pa.uint64()),
        "f16": pa.array([1.5, None, -0.25], pa.float16()),
        "f32": pa.array([1.5, None, -0.25], pa.float32()),
        "f64": pa.array([1.5, None, 1e300], pa.float64()),
        "d9": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-99999.99")], pa.decimal128(7, 2)),
        "d18": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-9999999999999999.99")], pa.decimal128(18, 2)),
        "d38": pa.array([decimal.Decimal("1.5"), None, decimal.Decimal("9" * 37 + ".9")], pa.decimal128(38, 1)),
        "s": pa.array(["x", None, "ä😀"]),
        "ls": pa.array(["x", None, ""], pa.large_string()),
        "dict": pa.array(["x", None, "y"]).dictionary_encode(),
        "bin": pa.array([b"\x00\xff", None, b""]),
        "fsb": pa.array([b"abc", None, b"xyz"], pa.binary(3)),
        "day": pa.array([datetime.date(2024, 2, 29), None, datetime.date(1, 1, 1)]),
        "s_at": pa.array([at.replace(microsecond=0), None, early], pa.timestamp("s")),
        "ms_at": pa.array([at, None, early], pa.timestamp("ms")),
        "us_at": pa.array([at, None, early], pa.timestamp("us")),
        "ns_at": pa.array([at, None, early], pa.timestamp("ns")),
        "tz_at": pa.array([at, None, early], pa.timestamp("us", "Europe/Berlin")),
        "list": pa.array([[1, None], None, []], pa.list_(pa.int32())),
        "lists": pa.array([[["a"], []], None, [None]], pa.list_(pa.list_(pa.string()))),
        "st": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}]),
        "sts": pa.array([[{"a": 1}], None, []], pa.list_(pa.struct([("a", pa.int64())]))),
        "empty": pa.array([None, None, None], pa.null()),
    }
    return pa.table({"id": [0, 1, 2], **columns})


def types(server, folder):
    """Every type, from several writers, read as DuckDB reads it."""
    table = every_type()
    path = folder / "types"
    for name, options in {
        "plain": {},
        "old": {"version": "1.0", "use_dictionary": False, "coerce_timestamps": "us", "allow_truncated_timestamps": True},
        "int96": {"use_deprecated_int96_timestamps": True},
        "v2": {"version": "2.6", "data_page_version": "2.0", "compression": "zstd"},
        "ints": {"store_decimal_as_integer": True},
        "no_stats": {"write_statistics": False},
    }.items():
        write(path / name / "a.parquet", table, **options)
    polars.DataFrame(table.drop_columns(["f16", "empty", "fsb", "d38"])).write_parquet(mkdir(path / "polars") / "a.parquet")
    mkdir(path / "duckdb")
    easy = table.drop_columns(["f16", "empty", "fsb", "dict", "ls"])
    duckdb.sql(f"COPY (FROM easy) TO '{path}/duckdb/a.parquet' (FORMAT parquet)")
    for kind in sorted(os.listdir(path)):
        server.table(f"types_{kind}", path / kind, "PARQUET")
        names = pq.read_schema(path / kind / "a.parquet").names
        for name in names:
            if name in ("f16", "empty"):
                continue
            read = {"tz_at": f"timezone('UTC', {name})"}.get(name, name)
            expected = duckdb.sql(f"SET TimeZone = 'UTC'; SELECT id, {read} FROM '{path}/{kind}/a.parquet'").fetchall()
            server.check(f"SELECT id, {name} FROM types_{kind}", expected)
            server.check(
                f"SELECT count(*), count({name}) FROM types_{kind} WHERE {name} IS NOT NULL",
                [(2, 2)] if name != "id" else [(3, 3)],
            )
        for name in names:
            if name in ("i8", "u8", "i16", "u16", "i32", "u32", "i64", "f32", "f64", "day", "us_at", "ms_at", "s_at", "d9", "s", "dict"):
                sql = f"SELECT min({name}), max({name}), count(*) FROM "
                server.check(sql + f"types_{kind}", duckdb.sql(sql + f"'{path}/{kind}/a.parquet'").fetchall())
                one = f"SELECT id FROM {{0}} WHERE {name} = (SELECT {name} FROM {{0}} WHERE id = 0)"
                server.check(one.format(f"types_{kind}"), duckdb.sql(one.format(f"'{path}/{kind}/a.parquet'")).fetchall())


def mkdir(path):
    path.mkdir(parents=True, exist_ok=True)
    return path


def folders(server, folder):
    """Folders whose files differ."""
    def pair(name, one, two):
        root = folder / "folders" / name
        write(root / "a.parquet", pa.table({"id": [1, 2], "x": one}))
        write(root / "b.parquet", pa.table({"x": two, "id": [3, 4]}))
        return root

    day = datetime.date(2024, 1, 1)
    at = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    wide = [
        ("ints", pa.array([1, 2], pa.int32()), pa.array([2**40, None], pa.int64()), "BIGINT"),
        ("unsigned", pa.array([1, 2], pa.uint64()), pa.array([-1, None], pa.int64()), "DECIMAL(20, 0)"),
        ("real", pa.array([1, 2], pa.int32()), pa.array([2.5, None], pa.float64()), "DOUBLE"),
        ("floats", pa.array([1.5, 2], pa.float32()), pa.array([1e300, None], pa.float64()), "DOUBLE"),
        ("scale", pa.array([decimal.Decimal("1.5")] * 2, pa.decimal128(5, 1)), pa.array([decimal.Decimal("2.125"), None], pa.decimal128(9, 3)), "DECIMAL(9, 3)"),
        ("times", pa.array([day, day]), pa.array([at, None], pa.timestamp("us", "UTC")), "TIMESTAMP"),
        ("units", pa.array([at, at], pa.timestamp("ms")), pa.array([at, None], pa.timestamp("ns")), "TIMESTAMP"),
        ("texts", pa.array(["a", "b"]), pa.array(["c", None], pa.large_string()), "STRING"),
        ("nulls", pa.array([None, None], pa.null()), pa.array([5, None], pa.int64()), "BIGINT"),
        ("lists", pa.array([[1], []], pa.list_(pa.int32())), pa.array([[2**40], None], pa.list_(pa.int64())), "ARRAY<BIGINT>"),
        ("structs", pa.array([{"a": 1}, None]), pa.array([{"a": 2, "b": "x"}, None]), None),
    ]
    for name, one, two, kind in wide:
        root = pair(name, one, two)
        server.table("wide", root, "PARQUET")
        expected = []
        for batch, ids in ((one, [1, 2]), (two, [3, 4])):
            for number, value in zip(ids, batch.to_pylist()):
                if kind == "TIMESTAMP" and isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
                    value = datetime.datetime(value.year, value.month, value.day)
                if kind == "DOUBLE" and value is not None:
                    value = float(value)
                if name == "structs" and value is not None:
                    value = {"b": None, **value}
                    value = {"a": value["a"], "b": value["b"]}
                expected.append((number, value))
        server.check("SELECT id, x FROM wide", expected)
        if kind:
            found = dict((row[0], row[1]) for row in rows(server.connection, "DESCRIBE wide"))
            assert found["x"] == kind, (name, found)
        if kind and not kind.startswith("ARRAY"):
            for number in (1, 3):
                server.check(f"SELECT a.id FROM wide a JOIN wide b ON a.x = b.x WHERE b.id = {number} AND a.id = {number}", [(number,)])
            sql = "SELECT min(x), max(x), count(x), count(*) FROM wide"
            values = [value for _, value in expected if value is not None]
            key = (lambda value: value) if kind != "TIMESTAMP" else (lambda value: value.replace(tzinfo=UTC) if value.tzinfo is None else value)
            server.check(sql, [(min(values, key=key), max(values, key=key), len(values), 4)])
    for name, one, two in [
        ("text_and_number", pa.array(["a", "b"]), pa.array([1, 2])),
        ("list_and_text", pa.array(["keep", "b"]), pa.array([["keep"], ["b"]])),
        ("struct_and_text", pa.array(["keep", "b"]), pa.array([{"a": "keep"}, {"a": "b"}])),
        ("map_and_struct", pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())), pa.array([{"a": 1}, {"a": 2}])),
    ]:
        root = pair(name, one, two)
        server.fails(f"CREATE EXTERNAL TABLE no STORED AS PARQUET LOCATION '{root}'", "42804", '"x"', "b.parquet", "Declare")
        if name != "map_and_struct" and name != "text_and_number":
            server.fails(
                f"CREATE EXTERNAL TABLE no (id BIGINT, x STRING) STORED AS PARQUET LOCATION '{root}'", "42804", "b.parquet"
            )
    # A file that comes later is refused, and no predicate vanishes.
    root = folder / "folders" / "later"
    write(root / "a.parquet", pa.table({"a": ["keep", "drop"]}))
    server.table("later", root, "PARQUET", "(a STRING)")
    server.check("SELECT a FROM later WHERE a = 'keep'", [("keep",)])
    write(root / "b.parquet", pa.table({"a": [["keep"], ["drop"]]}))
    server.fails("SELECT a FROM later WHERE a = 'keep'", "42804", "b.parquet")
    # Casts that a declaration asks for.
    root = pair("declared", pa.array([1, 7], pa.int32()), pa.array([8, None], pa.int64()))
    server.table("declared", root, "PARQUET", "(id INT, x STRING)")
    server.check("SELECT id FROM declared WHERE x = '7'", [(2,)])
    server.check("SELECT id FROM declared WHERE x = '07'", [])
    server.check("SELECT x FROM declared WHERE x > '70'", [("8",)])
    server.table("declared", root, "PARQUET", "(x DOUBLE, id DECIMAL(10, 2))")
    server.check("SELECT x, id FROM declared WHERE x > 7.5", [(8.0, decimal.Decimal("3.00"))])
    server.fails(f"CREATE EXTERNAL TABLE no (id BIGINT, x BIGINT) STORED AS PARQUET LOCATION '{folder}/folders/real'", "42804", "DOUBLE")
    server.fails(f"CREATE EXTERNAL TABLE no (id BIGINT, y BIGINT) STORED AS PARQUET LOCATION '{root}'", "42703", '"y"')
    # Too large a number ends the query, also where only the predicate meets it.
    server.table("narrow", folder / "folders" / "ints", "PARQUET", "(id BIGINT, x INT)")
    server.fails("SELECT x FROM narrow", "1099511627776")
    # Names that differ by case.
    root = folder / "folders" / "case"
    write(root / "a.parquet", pa.table({"ID": [1], "Name": ["a"]}))
    write(root / "b.parquet", pa.table({"name": ["b"], "id": [2]}))
    server.table("cases", root, "PARQUET", "(id BIGINT, name STRING)")
    server.check("SELECT id, name FROM cases", [(1, "a"), (2, "b")])
    server.check("SELECT name FROM cases WHERE id = 1", [("a",)])
    server.check("SELECT max(id), count(*) FROM cases WHERE name >= 'a'", [(2, 2)])
    write(root / "c.parquet", pa.table({"Id": [1], "iD": [2], "name": ["c"]}))
    server.fails("SELECT id FROM cases", "42702", "id")
    # Maps and times of day need no list of all columns.
    root = folder / "folders" / "others"
    write(root / "a.parquet", pa.table({
        "id": [1, 2],
        "m": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        "t": pa.array([datetime.time(1, 2, 3), None], pa.time64("us")),
    }))
    server.table("others", root, "PARQUET")
    server.check("SELECT id FROM others WHERE t = TIME '01:02:03'", [(1,)])
    server.check("SELECT id, t FROM others", [(1, datetime.time(1, 2, 3)), (2, None)])
    assert rows(server.connection, "SELECT m FROM others WHERE id = 1")[0][0] in ([("k", 1)], {"k": 1})
    # Columns that a file lacks are NULL in its rows.
    root = folder / "folders" / "more"
    write(root / "a.parquet", pa.table({"id": [1]}))
    write(root / "b.parquet", pa.table({"id": [2], "x": [5]}))
    server.table("more", root, "PARQUET")
    server.check("SELECT id, x FROM more", [(1, None), (2, 5)])
    server.check("SELECT count(x), count(*), min(x) FROM more", [(1, 2, 5)])
    server.check("SELECT id FROM more WHERE x IS NULL", [(1,)])


def wide(server, folder):
    """Thousands of columns, in time."""
    path = folder / "wide" / "a.parquet"
    write(path, pa.table({f"c{number}": [number, None] for number in range(3000)}))
    server.table("thousands", path, "PARQUET")
    for sql in ["SELECT c2999 FROM thousands WHERE c0 = 0", "SELECT * FROM thousands"]:
        rows(server.connection, sql)
        began = time.monotonic()
        rows(server.connection, sql)
        print(f"{sql}: {time.monotonic() - began:.2f} s")


def text(server, folder):
    """CSV and JSON in their forms."""
    root = mkdir(folder / "text")
    # Columns by name, whatever their order.
    csv = mkdir(root / "order")
    (csv / "a.csv").write_text("id,name\n1,a\n2,b\n")
    (csv / "b.csv").write_text("name,id\nc,3\n")
    server.table("c", csv, "CSV")
    server.check("SELECT id, name FROM c", [(1, "a"), (2, "b"), (3, "c")])
    server.check("SELECT name FROM c WHERE id > 2", [("c",)])
    (csv / "c.csv").write_text("id,extra\n4,x\n")
    server.table("c", csv, "CSV")
    server.check("SELECT id, name, extra FROM c", [(1, "a", None), (2, "b", None), (3, "c", None), (4, None, "x")])
    # Quoted line breaks of any size.
    csv = mkdir(root / "breaks")
    long = "line\n" * 200_000
    (csv / "a.csv").write_text(f'id,text\n1,"{long}"\n2,"a ""quoted"" one"\n' + "".join(f'{n},"x\ny"\n' for n in range(3, 40_000)))
    server.table("c", csv, "CSV")
    server.check("SELECT count(*), max(id), max(length(text)), sum(id) FROM c", [(39_999, 39_999, len(long), sum(range(40_000)))])
    # A byte order mark, compression, delimiters, quotes, NULLs, no header.
    body = "id;name\n1;'a;b'\n2;NA\n3;\n"
    for ending, squeeze in {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".zst": lambda data: pa.compress(data, "zstd", asbytes=True)}.items():
        path = mkdir(root / "packed") / f"a.csv{ending}"
        path.write_bytes(squeeze(b"\xef\xbb\xbf" + body.encode()))
        server.table("c", path, "CSV", more="OPTIONS (delimiter ';', quote '''', null_value 'NA')")
        server.check("SELECT id, name FROM c", [(1, "a;b"), (2, None), (3, "")])
        path = root / "packed" / f"a.ndjson{ending}"
        path.write_bytes(squeeze(b'{"id": 1, "x": [1.5]}\n{"id": 2}\n'))
        server.table("j", path, "JSON")
        server.check("SELECT id, x FROM j", [(1, [1.5]), (2, None)])
    whole = gzip.compress(os.urandom(20_000).hex().encode() + b"\n" * 5)
    (root / "packed" / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    server.fails(f"SELECT count(*) FROM '{root}/packed/cut.csv.gz'", "XX001")
    path = root / "bare.csv"
    path.write_text("1|x|\n2|y|\n")
    server.table("c", path, "CSV", "(n INT, s STRING)", "OPTIONS (has_header 'false', delimiter '|')")
    server.check("SELECT s, n FROM c", [("x", 1), ("y", 2)])
    server.check(f"SELECT column1 FROM read_csv('{path}', header = false, delim => '|')", [("x",), ("y",)])
    # Values that do not fit are told with their place.
    path = root / "bad.csv"
    path.write_text("id\n" + "1\n" * 60_000 + "2.9\n")
    server.table("c", path, "CSV")
    server.fails("SELECT sum(id) FROM c", "22P02", "2.9", "60002")
    server.table("c", path, "CSV", "(id DOUBLE)")
    server.check("SELECT sum(id) FROM c", [(60_002.9,)])
    # JSON keeps its digits.
    path = root / "numbers.json"
    path.write_text("".join('{"a": 1, "b": 1}\n' for _ in range(2_000)) + '{"a": 2.9, "b": 18446744073709551615}\n')
    server.table("j", path, "JSON")
    server.check("SELECT max(a), max(b) FROM j", [(2.9, decimal.Decimal(2**64 - 1))])
    server.table("j", path, "JSON", "(a BIGINT)")
    server.fails("SELECT max(a) FROM j", "22P02", "2.9", "line 2001")
    path = root / "long.json"
    path.write_text('{"x": 0.1234567890123456789, "y": 9007199254740993}\n')
    server.table("j", path, "JSON")
    server.check("SELECT x, y FROM j", [(decimal.Decimal("0.1234567890123456789"), 9007199254740993)])
    # Lists of records, nested values, and values of several kinds.
    path = root / "nested.json"
    records = [
        {"id": 1, "o": {"a": 1, "b": [{"c": "x"}]}, "m": 1, "t": "a\"b\n"},
        {"id": 2, "o": None, "m": {"k": [1]}, "t": "ä😀"},
        {"id": 3, "o": {"b": []}, "m": "text"},
    ]
    path.write_text(json.dumps(records, indent=2))
    server.table("j", path, "JSON")
    server.check(
        "SELECT id, o, t FROM j",
        [(1, {"a": 1, "b": [{"c": "x"}]}, 'a"b\n'), (2, None, "ä😀"), (3, {"a": None, "b": []}, None)],
    )
    server.check("SELECT m FROM j WHERE id > 1", [('{\n      "k": [\n        1\n      ]\n    }',), ('"text"',)])
    server.check("SELECT o['b'][1]['c'] FROM j WHERE id = 1", [("x",)])
    (root / "broken.json").write_text('{"a": 1}\n{"a": }\n')
    server.fails(f"SELECT * FROM '{root}/broken.json'", "22000", "line 2")
    (root / "cut.json").write_text('{"a": 1}\n{"a": "x')
    server.fails(f"SELECT * FROM '{root}/cut.json'", "22000")


def functions(server, folder):
    """Files named by the query itself."""
    root = mkdir(folder / "functions")
    for number in range(3):
        write(root / f"part-{number}.parquet", pa.table({"n": [number, number + 10]}))
    (root / "a.csv").write_text("x,y\n1,a\n2,b\n")
    (root / "b.tsv").write_text("x\ty\n1\ta\n")
    (root / "c.ndjson").write_text('{"x": 1}\n')
    deltalake.write_deltalake(str(root / "delta"), pa.table({"n": [1]}))
    deltalake.write_deltalake(str(root / "delta"), pa.table({"n": [2]}), mode="append")
    check = server.check
    check(f"SELECT sum(n) FROM '{root}/*.parquet'", [(36,)])
    check(f"SELECT sum(n) FROM '{root}/part-[01].parquet'", [(22,)])
    check(f"SELECT sum(n) FROM '{root}/part-{{0,2}}.parquet'", [(24,)])
    check(f"SELECT n FROM read_parquet('{root}/part-2.parquet') WHERE n > 2", [(12,)])
    check(f"SELECT \"part-2\".n FROM '{root}/part-2.parquet' WHERE \"part-2\".n > 2", [(12,)])
    check(f"SELECT a.x, t.y FROM '{root}/a.csv' JOIN '{root}/b.tsv' AS t ON a.x = t.x", [(1, "a")])
    check(f"SELECT x FROM read_csv('{root}/a.csv', columns => 'x STRING, y STRING') WHERE x = '2'", [("2",)])
    check(f"SELECT x FROM read_csv('{root}/a.csv', columns => {{'x': 'DOUBLE', 'y': 'VARCHAR'}}) ORDER BY x", [(1.0,), (2.0,)])
    check(f"SELECT x FROM read_json('{root}/c.ndjson')", [(1,)])
    check(f"SELECT n FROM delta_scan('{root}/delta')", [(1,), (2,)])
    check(f"SELECT n FROM delta_scan('{root}/delta', version => 0)", [(1,)])
    check(f"SELECT count(*) FROM '{root}/a.csv' a, '{root}/a.csv' b", [(4,)])
    check(f"WITH f AS (SELECT * FROM '{root}/a.csv') SELECT count(*) FROM f WHERE x IN (SELECT x FROM '{root}/b.tsv')", [(1,)])
    server.fails(f"SELECT * FROM '{root}/none.parquet'", "58030")
    server.fails(f"SELECT * FROM read_csv('{root}/a.csv', delimeter => ';')", "delimiter")
    server.fails("SELECT * FROM read_csv()", "42601")
    server.fails(f"SELECT * FROM read_csv('{root}/a.csv', delim => upper(';'))", "0A000")
    update(server.connection, f"CREATE OR REPLACE VIEW over_files AS SELECT n FROM '{root}/*.parquet' WHERE n < 10")
    check("SELECT sum(n) FROM over_files", [(3,)])
    update(server.connection, f"CREATE TABLE from_files AS SELECT * FROM '{root}/a.csv'")
    check("SELECT x, y FROM from_files", [(1, "a"), (2, "b")])


def changes(server, folder):
    """Columns that change under a table."""
    root = folder / "changes"
    connection = server.connection
    parquet = root / "p" / "a.parquet"
    write(parquet, pa.table({"id": [1], "x": [2]}))
    delta = root / "d"
    deltalake.write_deltalake(str(delta), pa.table({"id": [1], "x": [2]}))
    server.table("p", parquet.parent, "PARQUET")
    server.table("d", delta, "DELTA")
    update(connection, "CREATE OR REPLACE VIEW v AS SELECT * FROM p")
    for name in ("p", "d", "v"):
        server.check(f"SELECT * FROM {name}", [(1, 2)])
        server.check(f"SELECT x FROM {name}", [(2,)])
    held = {}
    for name in ("p", "d", "v"):
        cursor = connection.cursor()
        cursor.adbc_prepare(f"SELECT * FROM {name}")
        held[name] = cursor
    write(parquet, pa.table({"id": [1], "x": [2.5]}))
    deltalake.write_deltalake(str(delta), pa.table({"id": [1], "x": [2.5]}), mode="overwrite", schema_mode="overwrite")
    for name in ("p", "d", "v"):
        server.check(f"SELECT x FROM {name}", [(2.5,)])
        server.check(f"SELECT * FROM {name}", [(1, 2.5)])
        kinds = {row[0]: row[1] for row in rows(connection, f"DESCRIBE {name}")}
        assert kinds == {"id": "BIGINT", "x": "DOUBLE"}, (name, kinds)
        try:
            held[name].execute(f"SELECT * FROM {name}")
            found = held[name].fetchall()
            assert found == [(1, 2.5)], (name, found)
        except Exception as error:
            assert "55000" in str(error), error
    write(parquet, pa.table({"x": [7.5], "id": [3], "more": ["new"]}))
    deltalake.write_deltalake(str(delta), pa.table({"id": [3], "x": [7.5], "more": ["new"]}), mode="overwrite", schema_mode="overwrite")
    for name in ("p", "d"):
        server.check(f"SELECT id, x, more FROM {name}", [(3, 7.5, "new")])
        assert len(rows(connection, f"SELECT * FROM {name}")[0]) == 3
        found = rows(connection, f"SELECT column_name FROM information_schema.columns WHERE table_name = '{name}' ORDER BY ordinal_position")
        assert sorted(row[0] for row in found) == ["id", "more", "x"], found
    # Under names that were swapped, values stay with their columns.
    swapped = root / "s" / "a.parquet"
    write(swapped, pa.table({"a": [1], "b": [2]}))
    server.table("s", swapped, "PARQUET")
    cursor = connection.cursor()
    cursor.adbc_prepare("SELECT * FROM s")
    write(swapped, pa.table({"b": [2], "a": [1]}))
    try:
        cursor.execute("SELECT * FROM s")
        names = [column[0] for column in cursor.description]
        assert dict(zip(names, cursor.fetchone())) == {"a": 1, "b": 2}
    except Exception as error:
        assert "55000" in str(error), error
    # Files of others that change within the same second and keep their size.
    for value in range(5):
        write(swapped, pa.table({"a": [value]}))
        assert rows(connection, "SELECT a FROM s") == [(value,)], value


def main(url, *chosen):
    server = Server(url)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="watershed-files-"))
    try:
        for part in (hive, types, folders, wide, text, functions, changes):
            if not chosen or part.__name__ in chosen:
                began = time.monotonic()
                part(server, folder)
                print(f"{part.__name__}: {time.monotonic() - began:.1f} s")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
