"""Superset, without its web pages: it tests a connection, reflects a table and asks what a chart asks.

Arguments: URL FOLDER, where an environment of Superset's own is made, once.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.parse

from environments import python_with
from support import authorities, check, connect, credentials, equal, update

HERE = pathlib.Path(__file__).parent


def create(url):
    with connect(url) as connection:
        update(connection, "CREATE SCHEMA sales")
        update(connection, "CREATE TABLE sales.orders (id BIGINT, item STRING, price DECIMAL(10, 2), at TIMESTAMP)")
        update(connection, "CREATE VIEW sales.items AS SELECT DISTINCT item FROM sales.orders")
        update(
            connection,
            """INSERT INTO sales.orders VALUES
                 (1, 'tea', 2.50, '2024-02-28 23:00:00'), (2, 'tea', 2.50, '2024-02-29 10:00:00'),
                 (3, 'cake', 4, '2024-02-29 16:00:00'), (4, 'pie', 5, '2025-01-01 16:00:00')""",
        )


def address(url):
    """What a person writes into Superset's form."""
    host = urllib.parse.urlsplit(url).netloc
    who = ":".join(map(urllib.parse.quote_plus, credentials())) + "@" if credentials() else ""
    return f"datafusion+flightsql://{who}{host}" + ("" if url.startswith("https://") else "?insecure=true")


def facts(python, uri):
    """What Superset found, as its own process tells it."""
    with tempfile.TemporaryDirectory() as home:
        variables = {"SUPERSET_HOME": home, "SUPERSET_CONFIG_PATH": str(HERE / "superset_config.py")}
        if authorities():
            variables["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = os.environ["WATERSHED_TEST_CA"]
        told = subprocess.run(
            [python, "-B", HERE / "superset_facts.py", uri],
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    return json.loads(told.stdout.splitlines()[-1])


def main(url, folder):
    python = python_with(folder, "superset.txt")
    create(url)
    found = facts(python, address(url))
    check({"sales", "public"} <= set(found["schemas"]), f"schemas: {found['schemas']}")
    equal(found["tables"], ["items", "orders"], "tables and views")
    columns = [["at", "TIMESTAMP", True], ["id", "BIGINT", False], ["item", "TEXT", False], ["price", "DECIMAL", False]]
    equal(sorted(found["columns"]), columns, "columns, and which of them are times")
    rows = [
        ["2024-02-28 00:00:00+00:00", "tea", "2.50"],
        ["2024-02-29 00:00:00+00:00", "cake", "4.00"],
        ["2024-02-29 00:00:00+00:00", "tea", "2.50"],
    ]
    equal(found["chart"], rows, f"rows of a chart, by {found['sql']}")
    equal(found["page"], [["cake"], ["pie"], ["tea"]], "rows of the SQL editor")
    check("SQLSTATE 42703" in found["error"], f"an error: {found['error']}")


main(*sys.argv[1:])
