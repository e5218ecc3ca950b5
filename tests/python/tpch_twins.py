"""TPC-H, answered twice: by Watershed and by DuckDB over the same files.

Arguments: URL FOLDER [--scale-factor N] [--paths local,pipelined] [--staged 1,3] [--tables external,managed]
"""

import argparse
import pathlib
import time

from support import check, connect, difference, equal, failure, oracle, rows, update

# The tables that grow are several files, so that there is something to share out.
FILES = {"lineitem": 6, "orders": 3, "partsupp": 2}
SHARD_KEYS = {"lineitem": "l_orderkey", "orders": "o_orderkey", "customer": "c_custkey"}
SHARDS = 4
TYPES = {"VARCHAR": "STRING", "INTEGER": "INT"}


def generate(database, folder, scale_factor):
    """Makes the tables in DuckDB and writes them as Parquet, a folder each."""
    database.execute(f"CALL dbgen(sf = {scale_factor})")
    tables = [name for (name,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
    for table in tables:
        (folder / table).mkdir(parents=True)
        files = FILES.get(table, 1)
        for number in range(files):
            database.execute(
                f"COPY (SELECT * FROM {table} WHERE rowid % {files} = {number}) "
                f"TO '{folder / table}/{number}.parquet' (FORMAT parquet, ROW_GROUP_SIZE 4096)"
            )
    return tables


def create_external(connection, folder, tables):
    update(connection, "CREATE SCHEMA external")
    for table in tables:
        update(connection, f"CREATE EXTERNAL TABLE external.{table} STORED AS PARQUET LOCATION '{folder / table}'")


def create_managed(connection, database, tables):
    """Loads the files into sharded tables of our own, by INSERT … SELECT."""
    update(connection, "CREATE SCHEMA managed")
    for table in tables:
        columns = ", ".join(
            f"{name} {TYPES.get(kind, kind)}"
            for name, kind, *_ in database.execute(f"DESCRIBE {table}").fetchall()
        )
        key = SHARD_KEYS.get(table)
        sharding = f" CLUSTERED BY ({key}) INTO {SHARDS} BUCKETS" if key else ""
        update(connection, f"CREATE TABLE managed.{table} ({columns}){sharding}")
        [(expected,)] = database.execute(f"SELECT count(*) FROM {table}").fetchall()
        count = update(connection, f"INSERT INTO managed.{table} SELECT * FROM external.{table}")
        equal(count, expected, f"rows loaded into {table}")


def compare(connection, queries, expected, path, schema):
    """Runs the queries on one path, and gives what differs."""
    differences = []
    update(connection, f"SET watershed.execution = '{path}'")
    update(connection, f"USE {schema}")
    start = time.monotonic()
    for number, sql in queries:
        try:
            found = rows(connection, sql)
        except Exception as error:  # every driver error is a finding; the other queries still run
            differences.append(f"Q{number} on {path} over {schema}: {error}")
            continue
        what = difference(expected[number], found, ordered=True)
        if what:
            differences.append(f"Q{number} on {path} over {schema}: {what}")
    print(f"{schema:9} {path:10} {len(queries):3} queries {time.monotonic() - start:7.2f} s", flush=True)
    return differences


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--scale-factor", default="0.01")
    parser.add_argument("--paths", default="local,pipelined")
    parser.add_argument("--staged", default="", help="numbers of the queries for the staged path")
    parser.add_argument("--tables", default="external,managed")
    arguments = parser.parse_args()

    database = oracle()
    tables = generate(database, arguments.folder, arguments.scale_factor)
    queries = database.execute("SELECT query_nr, query FROM tpch_queries() ORDER BY query_nr").fetchall()
    equal(len(queries), 22, "queries")
    expected = {number: database.execute(sql).fetchall() for number, sql in queries}

    runs = [(path, queries) for path in arguments.paths.split(",")]
    chosen = {int(number) for number in arguments.staged.split(",") if number}
    if chosen:
        runs.append(("staged", [query for query in queries if query[0] in chosen]))
    differences = []
    with connect(arguments.url) as connection:
        create_external(connection, arguments.folder, tables)
        if "managed" in arguments.tables:
            create_managed(connection, database, tables)
        for schema in arguments.tables.split(","):
            for path, some in runs:
                differences += compare(connection, some, expected, path, schema)
        check("SQLSTATE" in failure(connection, "SELECT l_nothing FROM lineitem"), "errors have a code")
    check(not differences, "\n".join(differences))


main()
