"""Creates tables in both engines, and appends rows to them."""

import csv
import datetime
import json
import pathlib
import random
import shutil

import deltalake
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from .schemas import OWN
from .tree import Alt
from .values import literal_text


def arrow_table(table, rows):
    """Rows as Arrow has them."""
    columns = list(zip(*rows)) if rows else [[] for _ in table.fields]
    schema = pyarrow.schema(
        [pyarrow.field(field.name, field.type.arrow, nullable=not field.required) for field in table.fields]
    )
    arrays = [pyarrow.array(list(values), type=field.type.arrow) for values, field in zip(columns, table.fields)]
    return pyarrow.Table.from_arrays(arrays, schema=schema)


class Store:
    """Where tables of a campaign live."""

    def __init__(self, folder, known):
        self.folder, self.known = pathlib.Path(folder), known

    def create(self, table, ours, ducks):
        """Creates a table with its rows. `ducks` are DuckDB databases; those after the first get rows in reverse."""
        for number, duck in enumerate(ducks):
            duck.execute(f"DROP TABLE IF EXISTS {table.name}")
            duck.execute(table.duck_ddl())
            self.fill_duck(table, table.rows if number == 0 else table.rows[::-1], duck)
        ours.run(f"DROP TABLE IF EXISTS {table.name}")
        for statement in self.prepare(table):
            ours.run(statement)

    def append(self, table, rows, ours, ducks, way):
        """Appends rows to a table in both engines."""
        table.rows.extend(rows)
        for duck in ducks:
            self.fill_duck(table, rows, duck)
        if table.storage in ("csv", "json", "parquet", "duckdb_parquet", "delta", "hive"):
            self.write_files(table, [rows])
            return
        if way == "values":
            ours.run(self.insert_text(table, rows))
        else:
            for statement in self.load(table, rows):
                ours.run(statement)

    def widen(self, table, field, ours, ducks):
        """Adds a column, which is NULL in the rows that are there."""
        for duck in ducks:
            duck.execute(f"ALTER TABLE {table.name} ADD COLUMN {field.name} {field.type.duck}")
        table.fields.append(field)
        for row in table.rows:
            row.append(None)
        ours.run(f"ALTER TABLE {table.name} ADD COLUMN {field.name} {field.type.ours}")

    def fill_duck(self, table, rows, duck):
        if rows:
            data = arrow_table(table, rows)
            duck.register("incoming", data)
            duck.execute(f"INSERT INTO {table.name} SELECT * FROM incoming")
            duck.unregister("incoming")

    def prepare(self, table):
        """The statements that make a table of ours. Files of external tables are written on the way."""
        location = self.folder / table.name
        shutil.rmtree(location, ignore_errors=True)
        if table.storage in OWN:
            yield table.ddl()
            parts = table.options["files"] if len(table.rows) >= 4 else 1
            for rows in split(table.rows, parts):
                if len(rows) <= 12:
                    if rows:
                        yield self.insert_text(table, rows)
                elif rows:
                    yield from self.load(table, rows)
            return
        location.mkdir(parents=True)
        self.write_files(table, split(table.rows, table.options["files"]))
        yield self.external_ddl(table)

    def external_ddl(self, table):
        """CREATE EXTERNAL TABLE, with columns or without."""
        columns = ""
        if table.storage in ("csv", "json") or not table.options["inferred"]:
            columns = "(" + ", ".join(f"{field.name} {field.type.ours}" for field in table.fields) + ") "
        if table.storage == "hive":
            kept = [field for field in table.fields if field.name != table.partition]
            columns = "(" + ", ".join(f"{field.name} {field.type.ours}" for field in kept) + ") " if columns else ""
        if table.storage == "delta" or any(not field.type.signed for field in table.fields):
            columns = ""
        kind = {"csv": "CSV", "json": "JSON", "delta": "DELTA"}.get(table.storage, "PARQUET")
        text = f"CREATE EXTERNAL TABLE {table.name} {columns}STORED AS {kind}"
        if table.storage == "hive" and columns:
            partition = next(field for field in table.fields if field.name == table.partition)
            text += f" PARTITIONED BY ({partition.name} {partition.type.ours})"
        text += f" LOCATION '{self.folder / table.name}'"
        return text + (" OPTIONS (has_header 'true')" if table.storage == "csv" else "")

    def load(self, table, rows):
        """INSERT … SELECT from a Parquet file."""
        file = self.folder / f"load_{table.name}.parquet"
        pyarrow.parquet.write_table(arrow_table(table, rows), file)
        columns = ", ".join(f"{field.name} {field.type.ours}" for field in table.fields)
        yield f"DROP TABLE IF EXISTS load_{table.name}"
        yield f"CREATE EXTERNAL TABLE load_{table.name} ({columns}) STORED AS PARQUET LOCATION '{file}'"
        yield f"INSERT INTO {table.name} SELECT {', '.join(field.name for field in table.fields)} FROM load_{table.name}"
        yield f"DROP TABLE load_{table.name}"

    def insert_text(self, table, rows):
        """INSERT … VALUES."""
        values = ", ".join(
            "(" + ", ".join(self.ours(field, value) for field, value in zip(table.fields, row)) + ")" for row in rows
        )
        return f"INSERT INTO {table.name} ({', '.join(field.name for field in table.fields)}) VALUES {values}"

    def ours(self, field, value):
        found = literal_text(field.type, value, self.known)
        return found.ours if isinstance(found, Alt) else found

    def write_files(self, table, parts):
        """Adds one file for each list of rows to the folder of an external table."""
        location = self.folder / table.name
        for rows in parts:
            number = len(list(location.iterdir()))
            data = arrow_table(table, rows)
            if table.storage == "delta":
                folders = [table.partition] if table.partition else None
                deltalake.write_deltalake(str(location), data, mode="append", partition_by=folders)
            elif table.storage == "hive":
                self.write_folders(table, data, location, number)
            elif table.storage == "parquet":
                keys = (
                    "row_group_size",
                    "write_statistics",
                    "use_dictionary",
                    "data_page_version",
                    "store_schema",
                    "write_page_index",
                    "compression",
                )
                if table.options["vary"]:
                    data = varied(data, random.Random(f"{table.name}/{number}"), number > 0)
                pyarrow.parquet.write_table(
                    with_strings(data, table.options["strings"]),
                    location / f"f{number}.parquet",
                    **{key: table.options[key] for key in keys},
                )
            elif table.storage == "duckdb_parquet":
                self.write_by_duckdb(table, data, location / f"f{number}.parquet")
            elif table.storage == "csv":
                write_csv(table, rows, location / f"f{number}.csv")
            else:
                write_json(table, rows, location / f"f{number}.json")

    def write_folders(self, table, data, location, number):
        """One file in each folder that a value of the partition column names."""
        name = table.partition
        for value in data[name].unique().to_pylist():
            word = "__HIVE_DEFAULT_PARTITION__" if value is None else str(value)
            folder = location / f"{name}={word}"
            folder.mkdir(exist_ok=True)
            equal = pyarrow.compute.is_null(data[name]) if value is None else pyarrow.compute.equal(data[name], value)
            rows = data.filter(equal).drop_columns([name])
            pyarrow.parquet.write_table(rows, folder / f"f{number}_{len(list(folder.iterdir()))}.parquet")

    def write_by_duckdb(self, table, data, file):
        import duckdb

        with duckdb.connect() as writer:
            writer.execute("SET TimeZone = 'UTC'")
            writer.register("incoming", data)
            size = max(2048, table.options["row_group_size"] // 2048 * 2048)
            writer.execute(f"COPY (SELECT * FROM incoming) TO '{file}' (FORMAT parquet, ROW_GROUP_SIZE {size})")


def split(rows, parts):
    """Rows in so many parts, some of which may be empty."""
    size = -(-len(rows) // parts) if rows else 1
    found = [rows[start : start + size] for start in range(0, len(rows), size)]
    return found or [[]]


def varied(data, rng, order):
    """A file of the same rows with narrower integers, other units of time and, if `order`, another order of columns."""
    for number, field in enumerate(data.schema):
        if field.type == pyarrow.int64():
            kinds = [pyarrow.int16(), pyarrow.int32(), pyarrow.int64()]
        elif pyarrow.types.is_timestamp(field.type):
            kinds = [pyarrow.timestamp(unit, field.type.tz) for unit in ("ms", "us", "ns")]
        else:
            continue
        kind = rng.choice(kinds)
        try:
            column = data.column(number).cast(kind)
        except pyarrow.ArrowInvalid:
            # The values need the wider type.
            continue
        data = data.set_column(number, field.with_type(kind), column)
    names = data.column_names
    return data.select(rng.sample(names, len(names))) if order else data


def with_strings(data, how):
    """A table whose strings have another Arrow type."""
    kinds = {"large": pyarrow.large_string(), "dictionary": pyarrow.dictionary(pyarrow.int32(), pyarrow.string())}
    if how not in kinds:
        return data
    fields = [field.with_type(kinds[how]) if field.type == pyarrow.string() else field for field in data.schema]
    return data.cast(pyarrow.schema(fields))


def write_csv(table, rows, file):
    with open(file, "w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow([field.name for field in table.fields])
        for row in rows:
            writer.writerow(["" if value is None else plain(value) for value in row])


def write_json(table, rows, file):
    names = [field.name for field in table.fields]
    lines = [json.dumps({name: plain(value) for name, value in zip(names, row)}) for row in rows]
    file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def plain(value):
    """A value as CSV and JSON have it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value if isinstance(value, (int, float, str, list)) or value is None else str(value)
