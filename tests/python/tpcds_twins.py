"""TPC-DS, answered twice: all 99 queries by Watershed and by DuckDB over the same files.

Arguments: URL FOLDER [--scale-factor N] [--paths local,pipelined] [--tables external,managed] [--queries 1,72]
           [--timeout SECONDS] [--cached]
"""

import argparse
import pathlib

from support import check, connect, equal, oracle
from twins import Report, create_external, create_managed, generate, question, run

# The tables that grow are several files, so that there is something to share out.
FILES = {"store_sales": 6, "catalog_sales": 4, "web_sales": 3, "inventory": 3, "store_returns": 2, "customer": 2}

# A sale and its return are in the same shard, with the item.
SHARD_KEYS = {
    "store_sales": "ss_item_sk",
    "store_returns": "sr_item_sk",
    "catalog_sales": "cs_item_sk",
    "catalog_returns": "cr_item_sk",
    "web_sales": "ws_item_sk",
    "web_returns": "wr_item_sk",
    "inventory": "inv_item_sk",
    "item": "i_item_sk",
    "customer": "c_customer_sk",
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--scale-factor", default="0.01")
    parser.add_argument("--paths", default="local,pipelined")
    parser.add_argument("--tables", default="external,managed")
    parser.add_argument("--queries", default="", help="numbers of the queries; all of them by default")
    parser.add_argument("--timeout", type=float, default=120, help="seconds that a query may take")
    parser.add_argument("--cached", action="store_true", help="each query twice more, with the result cache")
    arguments = parser.parse_args()

    database = oracle()
    database.execute(f"CALL dsdgen(sf = {arguments.scale_factor})")
    tables = generate(database, arguments.folder, FILES)
    queries = database.execute("SELECT query_nr, query FROM tpcds_queries() ORDER BY query_nr").fetchall()
    equal(len(queries), 99, "queries")
    chosen = {int(number) for number in arguments.queries.split(",") if number}
    questions = [question(database, number, sql) for number, sql in queries if not chosen or number in chosen]
    unsure = [question.number for question in questions if question.peers is None]
    empty = [question.number for question in questions if not question.expected]
    print(f"without a known order: {unsure}\nwithout rows: {empty}", flush=True)

    report = Report()
    with connect(arguments.url) as connection:
        create_external(connection, arguments.folder, tables)
        if "managed" in arguments.tables:
            create_managed(connection, database, tables, SHARD_KEYS)
    for schema in arguments.tables.split(","):
        for path in arguments.paths.split(","):
            run(arguments.url, questions, path, schema, report, arguments)
    print(report.slowest(10))
    check(not report.differences, "\n".join(report.differences))


main()
