"""What the scripts share: connections, statements of a file, comparisons of rows."""

import datetime
import decimal
import importlib.util
import math
import os
import pathlib

import adbc_driver_flightsql.dbapi as flight_sql
import duckdb
from adbc_driver_flightsql import DatabaseOptions
from checks import check, equal, raised  # noqa: F401


def connect(url, db_kwargs=None, autocommit=True, **options):
    """A connection as applications make it. Whom to trust and who asks may be given by variables, so that
    every script runs against servers with TLS and with users, too."""
    user, password = credentials() or (None, None)
    given = {DatabaseOptions.TLS_ROOT_CERTS.value: authorities(), "username": user, "password": password}
    given = {name: value for name, value in given.items() if value is not None}
    return flight_sql.connect(location(url), db_kwargs={**given, **(db_kwargs or {})}, autocommit=autocommit, **options)


def location(url):
    """The ready file's URL as Flight's clients write it."""
    return url.replace("https://", "grpc+tls://").replace("http://", "grpc://")


def authorities():
    """The certificates to trust, as text; None to trust those that the machine does."""
    path = os.environ.get("WATERSHED_TEST_CA")
    return pathlib.Path(path).read_text() if path else None


def credentials():
    """Who asks, and the password; None for nobody in particular."""
    user = os.environ.get("WATERSHED_TEST_USER")
    return None if user is None else (user, os.environ.get("WATERSHED_TEST_PASSWORD", ""))


def rows(connection, sql, parameters=None):
    """All rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def update(connection, sql):
    """Runs a statement for its effect, and gives the number of rows it says it wrote."""
    with connection.cursor() as cursor:
        statement = cursor.adbc_statement
        statement.set_sql_query(sql)
        return statement.execute_update()


def failure(connection, sql):
    """The text of the error that a statement has to give."""
    return str(raised(lambda: rows(connection, sql), flight_sql.Error, sql))


def statements(text):
    """The statements of a file, without the comments between them."""
    found, current, at = [], [], 0
    while at < len(text):
        if text.startswith("--", at):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif text[at] in "'\"":
            end = text.index(text[at], at + 1) + 1
            current.append(text[at:end])
            at = end
        elif text[at] == ";":
            found.append("".join(current).strip())
            current, at = [], at + 1
        else:
            current.append(text[at])
            at += 1
    found.append("".join(current).strip())
    return [statement for statement in found if statement]


def oracle():
    """DuckDB with TPC-H and TPC-DS, loaded from their packages: nothing is fetched."""
    database = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    for name in ("tpch", "tpcds"):
        package = importlib.util.find_spec(f"duckdb_extension_{name}")
        folder = pathlib.Path(package.submodule_search_locations[0])
        file = folder / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        database.execute(f"LOAD '{file}'")
    database.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
    return database


def plain(value):
    """A value without what drivers disagree about: an instant is UTC, a decimal has no scale."""
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            return value.replace(tzinfo=datetime.timezone.utc)
        return value.astimezone(datetime.timezone.utc)
    if isinstance(value, decimal.Decimal):
        return value.normalize() if value else decimal.Decimal(0)
    return value


def same_value(expected, found):
    """Exact, but for floats: within 1e-9 of their size, or to the last digit of a decimal's scale."""
    if isinstance(expected, float) and isinstance(found, decimal.Decimal):
        last_digit = 10.0 ** found.as_tuple().exponent
        return math.isclose(expected, float(found), rel_tol=1e-9, abs_tol=last_digit)
    if isinstance(expected, float) or isinstance(found, float):
        if expected is None or found is None:
            return expected is found
        return math.isclose(float(expected), float(found), rel_tol=1e-9, abs_tol=1e-12)
    return plain(expected) == plain(found)


def order_key(row):
    """Sorts rows alike on both sides, floats by what two sums of them agree about."""
    return [
        (value is not None, f"{value:.6g}" if isinstance(value, (float, decimal.Decimal)) else str(plain(value)))
        for value in row
    ]


def difference(expected, found, ordered=False):
    """What differs between two lists of rows; None if nothing does."""
    if len(expected) != len(found):
        return f"{len(expected)} rows expected, {len(found)} found"
    if not ordered:
        expected, found = sorted(expected, key=order_key), sorted(found, key=order_key)
    for number, (left, right) in enumerate(zip(expected, found)):
        if len(left) != len(right) or not all(map(same_value, left, right)):
            return f"row {number}: {left} expected, {right} found"
    return None
