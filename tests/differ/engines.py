"""Sessions of our engine on every path, and DuckDB as the judge."""

import re
import threading

import adbc_driver_flightsql.dbapi as flight_sql
import duckdb
import pyarrow

from .comparison import canonical_arrow


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


def in_utc(data):
    """A table whose instants have the zone UTC, in nested columns too. They stay the same instants."""
    return data.cast(pyarrow.schema([field.with_type(type_in_utc(field.type)) for field in data.schema]))


def type_in_utc(type):
    if pyarrow.types.is_timestamp(type) and type.tz:
        return pyarrow.timestamp(type.unit, "UTC")
    if pyarrow.types.is_list(type):
        return pyarrow.list_(type_in_utc(type.value_type))
    if pyarrow.types.is_struct(type):
        return pyarrow.struct([field.with_type(type_in_utc(field.type)) for field in type])
    return type


class Duck:
    """DuckDB, set to what Watershed does by default."""

    def __init__(self):
        self.connection = duckdb.connect(config={"memory_limit": "1500MB", "threads": 1})
        self.zone("UTC")
        self.connection.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
        self.connection.execute("SET integer_division = true")

    def zone(self, name):
        """Sets the session's time zone."""
        self.connection.execute(f"SET TimeZone = '{name}'")

    def execute(self, sql):
        self.connection.execute(sql)

    def register(self, name, data):
        self.connection.register(name, data)

    def unregister(self, name):
        self.connection.unregister(name)

    def rows(self, sql, limit_seconds=4.0, most=30000):
        """The rows of a query in canonical form; None if it takes too long or has too many rows to compare."""
        interrupted = threading.Event()

        def interrupt():
            interrupted.set()
            self.connection.interrupt()

        timer = threading.Timer(limit_seconds, interrupt)
        timer.start()
        try:
            data = self.arrow(sql, most)
            return None if data.num_rows > most else canonical_arrow(data)
        except (duckdb.Error, pyarrow.ArrowException, OverflowError, ValueError, OSError, RuntimeError) as error:
            if interrupted.is_set():
                return None
            raise Failure(f"{type(error).__name__}: {error}") from None
        finally:
            timer.cancel()

    def arrow(self, sql, most=None):
        """The rows of a query as Arrow has them, with instants in UTC; a few more than `most`, and no others."""
        reader = self.connection.execute(sql).to_arrow_reader(8192)
        batches, count = [], 0
        for batch in reader:
            batches.append(batch)
            count += batch.num_rows
            if most is not None and count > most:
                break
        return in_utc(pyarrow.Table.from_batches(batches, reader.schema))
