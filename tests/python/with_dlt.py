"""dlt: its SQLAlchemy destination over sqlalchemy-adbc, and a destination of its user's that ingests by ADBC. Arguments:
URL, the folder of an environment, made if this is the first to ask; without the folder, this is the environment."""

import datetime
import decimal
import json
import os
import sys
import tempfile

from checks import check, equal, raised
from environments import connect, engine_address, enter

UTC, Date, Decimal = datetime.timezone.utc, datetime.date, decimal.Decimal
QUIET = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL", "LOAD__RAISE_ON_MAX_RETRIES": "1"}


def teach_sqlalchemy():
    """What sqlalchemy-adbc lacks for dlt: a type for JSON, a name for bytes, and the dialect that dlt writes queries in."""
    import adbc_driver_flightsql.dbapi as flight_sql
    import sqlalchemy
    from dlt.destinations.impl.sqlalchemy.dialect import DialectCapabilities, register_dialect_capabilities
    from dlt.destinations.impl.sqlalchemy.type_mapper import SqlalchemyTypeMapper

    class Json(sqlalchemy.types.TypeDecorator):
        impl, cache_ok = sqlalchemy.Text, True

        def process_bind_param(self, value, dialect):
            return None if value is None else json.dumps(value)

        def process_result_value(self, value, dialect):
            return None if value is None else json.loads(value)

    class Types(SqlalchemyTypeMapper):
        def db_type_from_json_type(self, column, table):
            return Json()

    class Watershed(DialectCapabilities):
        sqlglot_dialect = "postgres"

        def type_mapper_class(self):
            return Types

    flight_sql.Binary = bytes
    register_dialect_capabilities("adbc", Watershed)


class Lake:
    """A server, and the folder where pipelines keep their state."""

    def __init__(self, url, folder):
        self.url = url
        self.folder = folder
        self.connection = connect(url)

    def pipeline(self, name, state="first"):
        import dlt

        # dlt wants a database in the address; the dialect ignores it.
        destination = dlt.destinations.sqlalchemy(engine_address(self.url, "watershed"))
        folder = f"{self.folder}/{state}"
        return dlt.pipeline(name, destination=destination, dataset_name="lake", pipelines_dir=folder)

    def rows(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else None


def person(number):
    return {
        "id": number,
        "name": f"Zoë {number}",
        "price": Decimal("1.50") * number,
        "at": datetime.datetime(2024, 1, number, 12, tzinfo=UTC),
        "day": Date(2024, 2, number),
        "ok": number % 2 == 0,
        "weight": 1.5 * number,
        "raw": b"\x00\xff",
        "tags": ["a", "b"],
        "place": {"city": f"c{number}"},
        "data": {"k": [number]},
    }


def append(lake):
    pipeline = lake.pipeline("people")
    pipeline.run([person(1), person(2)], table_name="people", columns={"data": {"data_type": "json"}})
    columns = "id, name, price, at, day, ok, weight, raw, place__city, data"
    expected = [
        (
            number,
            f"Zoë {number}",
            Decimal("1.5") * number,
            datetime.datetime(2024, 1, number, 12, tzinfo=UTC),
            Date(2024, 2, number),
            number % 2 == 0,
            1.5 * number,
            b"\x00\xff",
            f"c{number}",
            f'{{"k": [{number}]}}',
        )
        for number in (1, 2)
    ]
    equal(lake.rows(f"SELECT {columns} FROM lake.people ORDER BY id"), expected, "rows that were appended")
    tags = """SELECT id, value FROM lake.people__tags AS t JOIN lake.people AS p ON t._dlt_parent_id = p._dlt_id
              ORDER BY id, _dlt_list_idx"""
    equal(lake.rows(tags), [(1, "a"), (1, "b"), (2, "a"), (2, "b")], "a list as a table of its own")
    pipeline.run([{**person(3), "extra": "new"}], table_name="people")
    found = lake.rows("SELECT id, extra FROM lake.people ORDER BY id")
    equal(found, [(1, None), (2, None), (3, "new")], "a column that came later")
    listed = "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'lake' AND table_name = 'people'"
    types = dict(lake.rows(listed))
    wanted = {"id": "BIGINT", "price": "DECIMAL(38, 9)", "at": "TIMESTAMP", "day": "DATE", "weight": "DOUBLE", "raw": "BINARY"}
    equal({name: types[name] for name in wanted}, wanted, "types of columns")
    reads(pipeline)


def reads(pipeline):
    """dlt's own way to read what it wrote."""
    dataset = pipeline.dataset()
    frame = dataset.people.select("id", "name").df().sort_values("id")
    equal(frame.values.tolist(), [[number, f"Zoë {number}"] for number in (1, 2, 3)], "a frame")
    equal(dataset("SELECT count(*) AS n, sum(price) AS s FROM people").arrow().to_pylist(), [{"n": 3, "s": Decimal(9)}], "a table")
    counts = dict(dataset.row_counts().fetchall())
    equal(counts, {"people": 3, "people__tags": 6}, "counts of rows")
    with pipeline.sql_client() as client:
        equal(client.execute_sql("SELECT count(*) FROM lake.people WHERE id > %s", 1)[0][0], 2, "a query with a value")


def incremental(lake):
    """New rows alone are loaded; the state is in the destination too, and comes back where the folder is lost."""
    import dlt

    def events(last):
        @dlt.resource(name="events", write_disposition="append")
        def resource(at=dlt.sources.incremental("at")):
            yield [{"id": number, "at": datetime.datetime(2024, 1, number, tzinfo=UTC)} for number in range(1, last + 1)]

        return resource()

    pipeline = lake.pipeline("events")
    for last, expected in [(3, [1, 2, 3]), (3, [1, 2, 3]), (5, [1, 2, 3, 4, 5])]:
        pipeline.run(events(last))
        equal([row[0] for row in lake.rows("SELECT id FROM lake.events ORDER BY id")], expected, f"events up to {last}")
    again = lake.pipeline("events", state="second")
    again.sync_destination()
    again.run(events(6))
    found = [row[0] for row in lake.rows("SELECT id FROM lake.events ORDER BY id")]
    equal(found, [1, 2, 3, 4, 5, 6], "events after the state was restored")
    equal(lake.rows("SELECT count(DISTINCT status) FROM lake._dlt_loads"), [(1,)], "loads")


def arrow(lake):
    import pyarrow

    count = 5000
    prices = pyarrow.array([Decimal(number) / 100 for number in range(count)], pyarrow.decimal128(12, 2))
    table = pyarrow.table({"id": range(count), "name": [str(number) for number in range(count)], "price": prices})
    lake.pipeline("arrow").run(table, table_name="many", loader_file_format="parquet")
    expected = [(count, sum(range(count)), Decimal(sum(range(count))) / 100)]
    equal(lake.rows("SELECT count(*), sum(id), sum(price) FROM lake.many"), expected, "a table of Arrow")


def refusals(lake):
    """`replace` and `merge` begin with DELETE, which tables that hold data refuse so far: nothing is loaded then."""
    for disposition in ("replace", "merge"):
        pipeline = lake.pipeline(f"refused_{disposition}")
        load = lambda: pipeline.run([{"id": 1}], table_name=disposition, write_disposition=disposition, primary_key="id")
        error = raised(load, Exception, disposition)
        check("DELETE is not supported yet" in str(error), f"{disposition}: {error}")
        equal(lake.rows(f"SELECT count(*) FROM lake.{disposition}"), [(0,)], f"rows after {disposition}")


def ingest(lake):
    """A destination that ingests each file as a whole. It knows `append` and `replace`; what is nested becomes JSON."""
    import dlt
    import pyarrow.parquet

    @dlt.destination(name="watershed", loader_file_format="parquet", batch_size=0, naming_convention="snake_case")
    def watershed(path, table):
        mode = "replace" if table["write_disposition"] == "replace" else "create_append"
        with connect(lake.url) as connection, connection.cursor() as cursor:
            rows = pyarrow.parquet.read_table(path)
            cursor.adbc_ingest(table["name"], rows, mode=mode, db_schema_name="ingested")

    lake.rows("CREATE SCHEMA ingested")
    pipeline = dlt.pipeline("ingest", destination=watershed, pipelines_dir=f"{lake.folder}/first")
    pipeline.run([person(1), person(2)], table_name="people")
    pipeline.run([person(3)], table_name="people")
    found = lake.rows("SELECT id, price, at, raw, tags FROM ingested.people ORDER BY id")
    at = [datetime.datetime(2024, 1, number, 12, tzinfo=UTC) for number in (1, 2, 3)]
    expected = [(number, Decimal("1.5") * number, at[number - 1], b"\x00\xff", '["a","b"]') for number in (1, 2, 3)]
    equal(found, expected, "rows that were ingested")
    for number in (7, 8):
        pipeline.run([{"id": number}], table_name="last", write_disposition="replace")
        equal(lake.rows("SELECT id FROM ingested.last"), [(number,)], "a table that was replaced")


def main(url):
    os.environ.update(QUIET)
    teach_sqlalchemy()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(url, folder)
        for part in (append, incremental, arrow, refusals, ingest):
            part(lake)


enter("with_dlt.txt")
main(sys.argv[1])
