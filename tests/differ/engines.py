"""Sessions of our engine on every path, and DuckDB as the judge."""

import re
import threading

import adbc_driver_flightsql.dbapi as flight_sql
import duckdb
import pyarrow

from .comparison import canonical_arrow, canonical_rows


class Failure(Exception):
    """An error of an engine: its SQLSTATE where it has one, and its message."""

    def __init__(self, message, state=None):
        super().__init__(message)
        self.message, self.state = message, state

    def kind(self):
        """The message without what differs between statements of one kind."""
        plain = re.sub(r"^[A-Z_]+: \[FlightSQL\] |\(SQLSTATE.*", "", self.message.split("\n")[0])
        plain = re.sub(r"\"[^\"]*\"|'[^']*'|`[^`]*`", "…", plain)
        plain = re.sub(r"\b[a-z]*\d[\w.]*", "#", plain)
        return f"{self.state} {plain[:110]}"


class Ours:
    """One session on one path."""

    def __init__(self, url, path, settings):
        self.path, self.settings = path, settings
        self.connection = flight_sql.connect(url.replace("http://", "grpc://"), autocommit=True)
        for name, value in settings.items():
            self.run(f"SET {name} = '{value}'")

    def run(self, sql):
        """A statement for its effect."""
        try:
            with self.connection.cursor() as cursor:
                statement = cursor.adbc_statement
                statement.set_sql_query(sql)
                statement.execute_update()
        except flight_sql.Error as error:
            raise failure(error) from None

    def rows(self, sql, parameters=None):
        """The rows of a query in canonical form."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                data = cursor.fetch_arrow_table()
        except (flight_sql.Error, pyarrow.ArrowException, ValueError, OSError) as error:
            raise failure(error) from None
        try:
            return canonical_arrow(data)
        except (OverflowError, ValueError) as error:
            raise Failure(f"the driver cannot represent the result: {error}") from None

    def close(self):
        self.connection.close()


def failure(error):
    message = str(error)
    found = re.search(r"\(SQLSTATE ([0-9A-Z]{5})\)", message)
    return Failure(message, found and found.group(1))


class Duck:
    """DuckDB, set to what Watershed does by default."""

    def __init__(self):
        self.connection = duckdb.connect(config={"memory_limit": "1500MB", "threads": 1})
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
        self.connection.execute("SET integer_division = true")

    def execute(self, sql):
        self.connection.execute(sql)

    def register(self, name, data):
        self.connection.register(name, data)

    def unregister(self, name):
        self.connection.unregister(name)

    def rows(self, sql, limit_seconds=4.0, most=30000):
        """The rows of a query in canonical form; None if it takes too long or has too many rows to compare."""
        timer = threading.Timer(limit_seconds, self.connection.interrupt)
        timer.start()
        try:
            found = self.connection.execute(sql).fetchmany(most + 1)
        except duckdb.InterruptException:
            return None
        except (duckdb.Error, OverflowError, ValueError, UnicodeDecodeError, RuntimeError) as error:
            raise Failure(f"{type(error).__name__}: {error}") from None
        finally:
            timer.cancel()
        if len(found) > most:
            return None
        return canonical_rows(found)
