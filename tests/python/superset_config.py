"""How Superset is set up for Watershed: the dialect is known once it is imported, and times need their cuts."""

import os

import flightsql.sqlalchemy  # noqa: F401

SECRET_KEY = "only for tests, and long enough for Superset"
SQLALCHEMY_DATABASE_URI = f"sqlite:///{os.environ['SUPERSET_HOME']}/superset.db"

TIME_GRAIN_ADDON_EXPRESSIONS = {
    "base": {
        "PT1M": "date_trunc('minute', {col})",
        "PT1H": "date_trunc('hour', {col})",
        "P1D": "date_trunc('day', {col})",
        "P1W": "date_trunc('week', {col})",
        "P1M": "date_trunc('month', {col})",
        "P1Y": "date_trunc('year', {col})",
    }
}
