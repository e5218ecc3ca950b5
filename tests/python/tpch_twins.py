"""TPC-H, answered twice: by Watershed and by DuckDB over the same files.

Arguments: URL FOLDER [--scale-factor N] [--paths local,pipelined] [--staged 1,3] [--tables external,managed]
           [--timeout SECONDS] [--cached]
"""

import argparse
import pathlib

from support import check, connect, equal, failure, oracle
from twins import Report, create_external, create_managed, generate, question, run

# The tables that grow are several files, so that there is something to share out.
FILES = {"lineitem": 6, "orders": 3, "partsupp": 2}
SHARD_KEYS = {"lineitem": "l_orderkey", "orders": "o_orderkey", "customer": "c_custkey"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--scale-factor", default="0.01")
    parser.add_argument("--paths", default="local,pipelined")
    parser.add_argument("--staged", default="", help="numbers of the queries for the staged path")
    parser.add_argument("--tables", default="external,managed")
    parser.add_argument("--timeout", type=float, default=600, help="seconds that a query may take")
    parser.add_argument("--cached", action="store_true", help="each query twice more, with the result cache")
    arguments = parser.parse_args()

    database = oracle()
    database.execute(f"CALL dbgen(sf = {arguments.scale_factor})")
    tables = generate(database, arguments.folder, FILES)
    queries = database.execute("SELECT query_nr, query FROM tpch_queries() ORDER BY query_nr").fetchall()
    equal(len(queries), 22, "queries")
    questions = [question(database, number, sql) for number, sql in queries]

    runs = [(path, questions) for path in arguments.paths.split(",")]
    chosen = {int(number) for number in arguments.staged.split(",") if number}
    if chosen:
        runs.append(("staged", [question for question in questions if question.number in chosen]))
    report = Report()
    with connect(arguments.url) as connection:
        create_external(connection, arguments.folder, tables)
        if "managed" in arguments.tables:
            create_managed(connection, database, tables, SHARD_KEYS)
        check("SQLSTATE" in failure(connection, "SELECT l_nothing FROM external.lineitem"), "errors have a code")
    for schema in arguments.tables.split(","):
        for path, some in runs:
            run(arguments.url, some, path, schema, report, arguments)
    print(report.slowest(5))
    check(not report.differences, "\n".join(report.differences))


main()
