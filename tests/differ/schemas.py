"""Random tables: their columns, how they are stored, and their rows."""

import dataclasses

from . import types
from .values import Values

OWN = ("plain", "sharded", "partitioned", "both")
EXTERNAL = ("parquet", "duckdb_parquet", "csv", "json", "delta", "hive")
# How Arrow schemas of files hold strings.
STRINGS = ("plain", "large", "dictionary")


@dataclasses.dataclass
class Field:
    """A column of a table. A tame column has small values that add up exactly."""

    name: str
    type: types.Type
    tame: bool
    domain: int
    nulls: float
    # Whether it is NOT NULL.
    required: bool = False


@dataclasses.dataclass
class Table:
    """A table in both engines, or a view. `rid` is its first column, which numbers its rows."""

    name: str
    storage: str
    fields: list
    rows: list
    shard_key: str = None
    shards: int = 4
    sorted: tuple = ()
    partition: str = None
    options: dict = dataclasses.field(default_factory=dict)
    # Whether there is a column rid, which differs in all rows.
    numbered: bool = True

    def ddl(self):
        """CREATE TABLE for our engine, of a table that it owns."""
        columns = ", ".join(
            f"{field.name} {field.type.ours}{' NOT NULL' if field.required else ''}" for field in self.fields
        )
        text = f"CREATE TABLE {self.name} ({columns})"
        if self.partition:
            text += f" PARTITIONED BY ({self.partition})"
        if self.shard_key:
            order = f" SORTED BY ({', '.join(self.sorted)})" if self.sorted else ""
            text += f" CLUSTERED BY ({self.shard_key}){order} INTO {self.shards} BUCKETS"
        return text

    def duck_ddl(self):
        columns = ", ".join(f"{field.name} {field.type.duck}" for field in self.fields)
        return f"CREATE TABLE {self.name} ({columns})"

    def draw(self, rng, known, count, first):
        """New rows, which are not yet in the table."""
        columns = []
        for field in self.fields:
            values = Values(rng, known, field.type, field.tame, field.domain)
            if field.name == "rid":
                columns.append([first + number for number in range(count)])
            else:
                columns.append([None if rng.random() < field.nulls else values.draw() for _ in range(count)])
        return [list(row) for row in zip(*columns)] if columns else []


def random_size(rng):
    kind = rng.random()
    if kind < 0.06:
        return rng.choice([0, 1])
    if kind < 0.5:
        return rng.randint(2, 30)
    if kind < 0.85:
        return rng.randint(100, 600)
    return rng.randint(9000, 24000)


def random_table(rng, known, name, storage=None):
    storage = storage or rng.choice(OWN * 2 + EXTERNAL)
    # A tree of folders needs a row.
    count = max(random_size(rng), 1 if storage == "hive" else 0)
    fields = [Field("rid", types.BIGINT, True, 10**6, 0, rng.random() < 0.5)]
    for number in range(rng.randint(3, 8)):
        nulls = rng.choice([0, 0.05, 0.2, 0.2, 1 if rng.random() < 0.2 else 0.5])
        type, tame = random_field(rng, storage, number)
        domain = rng.choice([3, 10, 30, max(30, count)])
        fields.append(Field(f"c{number}", type, tame, domain, nulls, nulls == 0 and rng.random() < 0.6))
    table = Table(name, storage, fields, [])
    layout(rng, table)
    table.rows = table.draw(rng, known, count, 0)
    return table


def random_field(rng, storage, number):
    """The type of a column, and whether its values are tame. The first ones are what joins and sums need."""
    if number == 0:
        return types.BIGINT, True
    if number == 1:
        return rng.choice([types.STRING, types.INT, types.DATE]), True
    if storage == "csv":
        # A file without quotes cannot tell NULL from an empty string, and has no binary values.
        return (
            rng.choice([types.BIGINT, types.DOUBLE, types.STRING, types.DATE, types.BOOL, types.decimal(12, 3)]),
            True,
        )
    if storage == "json":
        return rng.choice([types.BIGINT, types.DOUBLE, types.STRING, types.BOOL, types.array(types.BIGINT)]), True
    type = types.random_type(rng, unsigned=storage in ("parquet", "duckdb_parquet"), json=storage in OWN)
    return type, rng.random() < 0.6


def layout(rng, table):
    """Shard key, partition column, and how files are written."""
    if table.storage in ("sharded", "both"):
        keys = [
            field.name
            for field in table.fields
            if field.type.family in ("date", "ts", "str") or field.type in types.SIGNED
        ]
        table.shard_key, table.shards = rng.choice(keys), rng.choice([1, 2, 3, 8])
        if rng.random() < 0.4:
            names = [field.name for field in table.fields if field.type.sortable and field.type.family != "bin"]
            table.sorted = tuple(rng.sample(names, min(len(names), rng.choice([1, 2]))))
    if table.storage in ("partitioned", "both"):
        names = [
            f.name
            for f in table.fields
            if f.domain <= 10 and f.type.family in ("int", "str", "date", "bool") and f.tame
        ]
        names = [name for name in names if name != table.shard_key]
        if names:
            table.partition = rng.choice(names)
        elif table.storage == "partitioned":
            table.storage = "plain"
    table.options = {
        "files": rng.choice([1, 1, 2, 4]),
        "row_group_size": rng.choice([7, 100, 5000, 1 << 20]),
        "write_statistics": rng.random() < 0.8,
        "use_dictionary": rng.random() < 0.6,
        "data_page_version": rng.choice(["1.0", "2.0"]),
        "store_schema": rng.random() < 0.5,
        "write_page_index": rng.random() < 0.5,
        "compression": rng.choice(["snappy", "zstd", "none"]),
        "inferred": rng.random() < 0.5,
        "strings": rng.choice(STRINGS),
        "vary": rng.random() < 0.4,
    }
    if table.storage in ("hive", "delta"):
        fold(rng, table)


def fold(rng, table):
    """Chooses a column that makes folders. Files name it last, as they do not hold it."""
    kinds = (types.BIGINT, types.DATE) if table.storage == "hive" else (types.BIGINT, types.DATE, types.INT)
    fields = [field for field in table.fields if field.type in kinds and field.tame and field.name != "rid"]
    if not fields or table.storage == "delta" and rng.random() < 0.5:
        if table.storage == "hive":
            table.storage = "parquet"
        return
    field = rng.choice(fields)
    field.domain = min(field.domain, 10)
    table.partition = field.name
    if table.storage == "hive":
        table.fields = [other for other in table.fields if other is not field] + [field]
