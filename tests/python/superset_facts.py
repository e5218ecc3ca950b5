"""Runs in Superset's own environment, and prints as JSON what Superset finds. Arguments: the database's address."""

import datetime
import json
import sys

from flask import g
from flask_appbuilder import Model
from superset.app import create_app
from superset.extensions import db, security_manager


def log_in():
    """An administrator; connections are tested for somebody."""
    Model.metadata.create_all(db.engine)
    role = security_manager.add_role("Admin")
    g.user = security_manager.add_user("admin", "Ada", "Admin", "admin@example.org", role, "admin")


def dataset(database):
    """A table as charts are made from it, its columns read from the database."""
    from superset.connectors.sqla.models import SqlaTable

    table = SqlaTable(table_name="orders", schema="sales", database=database, database_id=database.id)
    db.session.add(table)
    db.session.flush()
    table.fetch_metadata()
    db.session.flush()
    return table


def chart(table):
    """The sum of prices by day and item, of two items, in a year."""
    price = {"expressionType": "SIMPLE", "column": {"column_name": "price"}, "aggregate": "SUM", "label": "total"}
    return table.query(
        {
            "granularity": "at",
            "from_dttm": datetime.datetime(2024, 1, 1),
            "to_dttm": datetime.datetime(2025, 1, 1),
            "is_timeseries": True,
            "columns": ["item"],
            "groupby": ["item"],
            "metrics": [price],
            "filter": [{"col": "item", "op": "IN", "val": ["tea", "cake"]}],
            "extras": {"time_grain_sqla": "P1D"},
            "row_limit": 100,
        }
    )


def metric(aggregate, column="price"):
    return {"expressionType": "SIMPLE", "column": {"column_name": column}, "aggregate": aggregate, "label": aggregate}


def charts(table):
    """Rows of charts of every kind, by name."""
    count, total = metric("COUNT"), metric("SUM")
    kinds = {
        "aggregates": {"metrics": [total, metric("AVG"), metric("MIN"), count, metric("COUNT_DISTINCT", "item")]},
        "having": {"metrics": [total], "columns": ["item"], "extras": {"having": "sum(price) > 4"}},
        "best series": {"metrics": [count], "columns": ["item"], "series_columns": ["item"], "series_limit": 1, "series_limit_metric": count},
        "second page": {"metrics": [total], "columns": ["item"], "orderby": [("item", True)], "row_limit": 1, "row_offset": 1},
        "expression": {"metrics": [count], "columns": [{"expressionType": "SQL", "sqlExpression": "upper(item)", "label": "up"}]},
        "rows": {"columns": ["id", "item"], "orderby": [("id", True)]},
    }
    values = {"==": "tea", "!=": "tea", "NOT IN": ["tea"], "LIKE": "t%", "ILIKE": "T%", "IS NULL": None, "IS NOT NULL": None}
    for operator, value in values.items():
        kinds[operator] = {"metrics": [count], "filter": [{"col": "item", "op": operator, "val": value}]}
    between = {"col": "at", "op": "TEMPORAL_RANGE", "val": "2024-02-29 : 2024-03-01"}
    kinds["range of time"] = {"metrics": [count], "filter": [between]}
    for grain in ("PT1M", "PT1H", "P1D", "P1W", "P1M", "P1Y"):
        kinds[grain] = {"metrics": [count], "is_timeseries": True, "extras": {"time_grain_sqla": grain}}
    return {name: rows_of_chart(table, kind) for name, kind in kinds.items()}


def rows_of_chart(table, kind):
    years = {"granularity": "at", "from_dttm": datetime.datetime(2024, 1, 1), "to_dttm": datetime.datetime(2026, 1, 1)}
    nothing = {"is_timeseries": False, "columns": [], "groupby": [], "metrics": [], "filter": [], "extras": {}, "row_limit": 100}
    drawn = table.query({**years, **nothing, **kind})
    return drawn.error_message or lines(drawn.df)


def query_as_dataset(database):
    """A dataset that is a query, as SQL Lab saves one, and a chart over it."""
    from superset.connectors.sqla.models import SqlaTable

    sql = "SELECT item, count(*) AS n, max(at) AS last FROM sales.orders GROUP BY item -- saved"
    table = SqlaTable(table_name="saved", schema="sales", database=database, database_id=database.id, sql=sql)
    db.session.add(table)
    db.session.flush()
    table.fetch_metadata()
    db.session.flush()
    return rows_of_chart(table, {"granularity": "last", "metrics": [metric("SUM", "n")], "columns": ["item"]})


def lines(frame):
    return sorted([str(value) for value in row] for row in frame.values.tolist())


def error(database):
    try:
        database.get_df("SELECT nothing FROM sales.orders")
    except Exception as raised:
        return str(raised)
    return "none"


def facts(uri):
    # What defines encrypted columns can be loaded only once there is an application.
    from superset.commands.database.test_connection import TestConnectionDatabaseCommand
    from superset.models.core import Database

    TestConnectionDatabaseCommand({"sqlalchemy_uri": uri, "database_name": "watershed"}).run()
    database = Database(database_name="watershed", sqlalchemy_uri=uri)
    # As the form does it: the password goes where it is kept encrypted.
    database.set_sqlalchemy_uri(uri)
    db.session.add(database)
    db.session.flush()
    table = dataset(database)
    drawn = chart(table)
    return {
        "schemas": sorted(database.get_all_schema_names()),
        "tables": sorted(found[0] for found in database.get_all_table_names_in_schema(None, "sales")),
        "columns": [[column.column_name, str(column.type), bool(column.is_dttm)] for column in table.columns],
        "sql": drawn.query,
        "chart": lines(drawn.df),
        "charts": charts(table),
        "saved": query_as_dataset(database),
        "choices": sorted(table.values_for_column("item")),
        "page": lines(database.get_df("SELECT item FROM sales.items ORDER BY item")),
        "error": error(database),
    }


def main(uri):
    application = create_app()
    with application.app_context(), application.test_request_context():
        log_in()
        print(json.dumps(facts(uri)))


main(*sys.argv[1:])
