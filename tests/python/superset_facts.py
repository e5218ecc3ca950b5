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
        "page": lines(database.get_df("SELECT item FROM sales.items ORDER BY item")),
        "error": error(database),
    }


def main(uri):
    application = create_app()
    with application.app_context(), application.test_request_context():
        log_in()
        print(json.dumps(facts(uri)))


main(*sys.argv[1:])
