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

LEAP_DAY, NEW_YEAR = "2024-02-29", "2025-01-01"
BY_HOUR = ["2024-02-28 23:00", f"{LEAP_DAY} 10:00", f"{LEAP_DAY} 16:00", f"{NEW_YEAR} 16:00"]

CHARTS = {
    "aggregates": [["14.00", "3.5", "2.50", "4", "3"]],
    "having": [["pie", "5.00"], ["tea", "5.00"]],
    "best series": [["tea", "2"]],
    "second page": [["pie", "5.00"]],
    "expression": [["CAKE", "1"], ["PIE", "1"], ["TEA", "2"]],
    "rows": [["1", "tea"], ["2", "tea"], ["3", "cake"], ["4", "pie"]],
    "==": [["2"]],
    "!=": [["2"]],
    "NOT IN": [["2"]],
    "LIKE": [["2"]],
    "ILIKE": [["2"]],
    "IS NULL": [["0"]],
    "IS NOT NULL": [["4"]],
    "range of time": [["2"]],
    "PT1M": [[f"{hour}:00+00:00", "1"] for hour in BY_HOUR],
    "PT1H": [[f"{hour}:00+00:00", "1"] for hour in BY_HOUR],
    "P1D": [[f"{day} 00:00:00+00:00", count] for day, count in [("2024-02-28", "1"), (LEAP_DAY, "2"), (NEW_YEAR, "1")]],
    "P1W": [[f"{day} 00:00:00+00:00", count] for day, count in [("2024-02-26", "3"), ("2024-12-30", "1")]],
    "P1M": [[f"{day} 00:00:00+00:00", count] for day, count in [("2024-02-01", "3"), (NEW_YEAR, "1")]],
    "P1Y": [[f"{day} 00:00:00+00:00", count] for day, count in [("2024-01-01", "3"), (NEW_YEAR, "1")]],
}


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
    for name, expected in CHARTS.items():
        equal(found["charts"][name], expected, f"rows of a chart, {name}")
    equal(set(found["charts"]), set(CHARTS), "charts")
    equal(found["saved"], [["cake", "1"], ["pie", "1"], ["tea", "2"]], "rows of a query as a dataset")
    equal(found["choices"], ["cake", "pie", "tea"], "values to filter by")
    equal(found["page"], [["cake"], ["pie"], ["tea"]], "rows of the SQL editor")
    check("SQLSTATE 42703" in found["error"], f"an error: {found['error']}")


main(*sys.argv[1:])
