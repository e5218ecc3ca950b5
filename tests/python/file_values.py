"""Values of files that the reader of Parquet has no type for, or would read otherwise than the writer meant: intervals
with months, UUIDs, infinite times, nanoseconds before 1970, types that Arrow does not have, dates beside timestamps in
another zone, and files that are rewritten with the size and the time that they had."""

import datetime
import os
import pathlib
import shutil
import sys
import tempfile

import deltalake
import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq

from files import Server
from support import rows, update

UUID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


def at(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)


def copy(query, path):
    duckdb.sql(f"COPY ({query}) TO '{path}' (FORMAT parquet)")


def intervals(server, folder):
    path = folder / "intervals.parquet"
    copy("SELECT 1 AS id, interval '1 month' AS v UNION ALL SELECT 2, interval '2 days 3 hours' UNION ALL SELECT 3, NULL", path)
    server.check(
        f"SELECT id, CAST(v AS VARCHAR), timestamp '2024-01-01' + v, v = interval '1 month' FROM '{path}'",
        [(1, "1 mon", at("2024-02-01"), True), (2, "2 days 03:00:00", at("2024-01-03 03:00"), False), (3, None, None, None)],
    )
    server.check(f"SELECT id FROM '{path}' WHERE v = interval '30 days'", [(1,)])
    server.check(f"SELECT count(*), count(v) FROM '{path}'", [(3, 2)])
    nested = folder / "nested.parquet"
    copy("SELECT [interval '14 months'] AS l, {'i': interval '1 month', 'n': 7} AS s", nested)
    server.check(
        f"SELECT CAST(l[1] AS VARCHAR), CAST(s['i'] AS VARCHAR), s['n'] FROM '{nested}'", [("1 year 2 mons", "1 mon", 7)]
    )


def uuids(server, folder):
    path = folder / "uuids.parquet"
    copy(f"SELECT '{UUID}'::uuid AS v, 1 AS n, ['{UUID}'::uuid] AS l UNION ALL SELECT NULL, 2, NULL", path)
    server.check(f"SELECT v, n, l[1] FROM '{path}'", [(UUID, 1, UUID), (None, 2, None)])
    server.check(f"SELECT n FROM '{path}' WHERE v = '{UUID}'", [(1,)])
    server.check(f"SELECT n FROM '{path}' WHERE v IN ('{UUID}', 'x') OR v IS NULL", [(1,), (2,)])
    server.check(f"SELECT max(v), count(DISTINCT v) FROM '{path}'", [(UUID, 1)])
    update(server.connection, f"CREATE EXTERNAL TABLE raw_uuids (v BINARY) STORED AS PARQUET LOCATION '{path}'")
    server.check("SELECT octet_length(v) FROM raw_uuids WHERE v IS NOT NULL", [(16,)])
    # Bytes of that length that are no UUIDs stay bytes.
    other = folder / "bytes.parquet"
    pq.write_table(pa.table({"v": pa.array([b"x" * 16], pa.binary(16))}), other)
    server.check(f"SELECT v FROM '{other}'", [(b"x" * 16,)])


def times(server, folder):
    path = folder / "nanos.parquet"
    values = [-5, -501, -1_500, 39_999_999_995, 1_500, 499, None]
    pq.write_table(pa.table({"v": pa.array(values, pa.timestamp("ns", "UTC"))}), path)
    micros = [0, -1, -1, 40_000_000, 2, 0, None]
    epoch = at("1970-01-01")
    expected = [(None if value is None else epoch + datetime.timedelta(microseconds=value),) for value in micros]
    server.check(f"SELECT v FROM '{path}'", expected)
    update(server.connection, f"CREATE OR REPLACE TABLE copied AS SELECT v FROM '{path}'")
    server.check("SELECT v FROM copied", expected)
    for condition, count in [
        ("v = TIMESTAMP '1970-01-01 00:00:40'", 1),
        ("v < TIMESTAMP '1970-01-01 00:00:00'", 2),
        ("v <= TIMESTAMP '1970-01-01 00:00:00'", 4),
        ("v > TIMESTAMP '1970-01-01 00:00:00.000001'", 2),
        ("v >= TIMESTAMP '1970-01-01 00:00:00.000002'", 2),
        ("v <> TIMESTAMP '1969-12-31 23:59:59.999999'", 4),
        ("v IN (TIMESTAMP '1970-01-01 00:00:00.000002')", 1),
        ("v BETWEEN TIMESTAMP '1970-01-01' AND TIMESTAMP '1970-01-02'", 4),
    ]:
        for table in (f"'{path}'", "copied"):
            server.check(f"SELECT count(*) FROM {table} WHERE {condition}", [(count,)])
    nested = folder / "nested_nanos.parquet"
    pq.write_table(pa.table({"l": pa.array([[-1_500, 1_500]], pa.list_(pa.timestamp("ns")))}), nested)
    server.check(f"SELECT l[1], l[2] FROM '{nested}'", [(at("1969-12-31 23:59:59.999999"), at("1970-01-01 00:00:00.000002"))])

    infinite = folder / "infinite.parquet"
    copy(
        "SELECT i::int AS id, CASE i WHEN 1 THEN 'infinity'::timestamp WHEN 2 THEN '-infinity'::timestamp "
        "ELSE timestamp '2024-01-01' END AS v FROM range(4) t(i)",
        infinite,
    )
    server.fails(f"SELECT id, CAST(v AS VARCHAR) FROM '{infinite}'", "22008", "out of range")
    server.check(f"SELECT max(id) FROM '{infinite}' WHERE v = (SELECT max(v) FROM '{infinite}')", [(1,)])
    server.check(f"SELECT id FROM '{infinite}' ORDER BY v, id LIMIT 2", [(2,), (0,)])
    server.check(f"SELECT id FROM '{infinite}'", [(0,), (1,), (2,), (3,)])
    server.check(f"SELECT id FROM '{infinite}' WHERE v > TIMESTAMP '2025-01-01'", [(1,)])
    server.check(f"SELECT id, v FROM '{infinite}' WHERE v = TIMESTAMP '2024-01-01'", [(0, at("2024-01-01")), (3, at("2024-01-01"))])


def foreign(server, folder):
    path = folder / "int128.parquet"
    polars.DataFrame({"a": polars.Series([1, 2**100], dtype=polars.Int128), "b": [1, 2]}).write_parquet(path)
    server.check(f"SELECT b FROM '{path}' WHERE b > 1", [(2,)])
    server.check(f"SELECT octet_length(a) FROM '{path}' WHERE b = 1", [(16,)])


def dates(server, folder):
    place = folder / "dates"
    place.mkdir()
    pq.write_table(pa.table({"v": pa.array([datetime.date(2020, 1, 2), None])}), place / "a.parquet")
    moment = at("2020-01-02 05:00")
    pq.write_table(pa.table({"v": pa.array([moment], pa.timestamp("us", "UTC"))}), place / "b.parquet")
    both = f"'{place}/*.parquet'"
    parts = f"(SELECT v FROM '{place}/a.parquet' UNION ALL SELECT v FROM '{place}/b.parquet') t"
    for zone, count in [("UTC", 1), ("America/New_York", 2), ("Asia/Tokyo", 1)]:
        update(server.connection, f"SET TIME ZONE '{zone}'")
        expected = rows(server.connection, f"SELECT v FROM {parts}")
        server.check(f"SELECT v FROM {both}", expected)
        server.check(f"SELECT count(*) FROM {both} WHERE v = DATE '2020-01-02'", [(count,)])
        server.check(f"SELECT count(*) FROM {parts} WHERE v = DATE '2020-01-02'", [(count,)])
        server.check(f"SELECT min(v), count(v) FROM {both}", rows(server.connection, f"SELECT min(v), count(v) FROM {parts}"))
    update(server.connection, "SET TIME ZONE 'UTC'")
    nested = folder / "nested_dates"
    nested.mkdir()
    pq.write_table(pa.table({"v": [[datetime.date(2020, 1, 2)]]}), nested / "a.parquet")
    pq.write_table(pa.table({"v": [[moment]]}), nested / "b.parquet")
    server.fails(f"SELECT v FROM '{nested}/*.parquet'", "42804")


def rewritten(server, folder):
    """The same file with the same size and time."""
    path = folder / "rewritten.parquet"

    def write(values):
        pq.write_table(pa.table({"v": values, "w": values}), path, use_dictionary=False, compression="none")

    write([1, 2, 3])
    before = os.stat(path)
    server.check(f"SELECT sum(v), max(w) FROM '{path}'", [(6, 3)])
    for values in ([4, 5, 6], [7, 8, 9]):
        write(values)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert os.stat(path).st_size == before.st_size
        server.check(f"SELECT sum(v), max(w) FROM '{path}'", [(sum(values), max(values))])
        server.check(f"SELECT v FROM '{path}' WHERE w > {values[1]}", [(values[2],)])


def versions(server, folder):
    path = folder / "delta"
    deltalake.write_deltalake(str(path), pa.table({"k": [1, 2]}))
    server.check(f"SELECT count(*) FROM delta_scan('{path}', version => 0)", [(2,)])
    server.fails(f"SELECT * FROM delta_scan('{path}', version => 99)", "22023", "no version 99", "newest version is 0")
    (path / "_delta_log" / "00000000000000000001.json").write_text("garbage{")
    server.fails(f"SELECT * FROM delta_scan('{path}')", "XX001")


def main(url, *chosen):
    server = Server(url)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="watershed-values-"))
    try:
        for part in (intervals, uuids, times, foreign, dates, rewritten, versions):
            if not chosen or part.__name__ in chosen:
                part(server, folder)
                print(part.__name__)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
