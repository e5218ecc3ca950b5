"""Tables are Delta Lake tables: others read them, and rows that others append are found. Arguments: URL FOLDER."""

import pathlib
import sys

import deltalake
import pyarrow

from support import connect, equal, rows, update


def table_folder(folder):
    """The only Delta table below the store that has rows."""
    logs = [log for log in pathlib.Path(folder).rglob("_delta_log") if any(log.parent.rglob("*.parquet"))]
    equal(len(logs), 1, "tables with files")
    return str(logs[0].parent)


def main(url, folder):
    with connect(url) as connection:
        update(connection, "CREATE TABLE shared (id BIGINT, name STRING) CLUSTERED BY (id) INTO 4 BUCKETS")
        equal(update(connection, "INSERT INTO shared VALUES (1, 'ours'), (2, 'ours'), (NULL, 'ours')"), 3, "rows")
        location = table_folder(folder)
        table = deltalake.DeltaTable(location)
        found = table.to_pyarrow_table().sort_by("id").to_pydict()
        equal((found["id"], set(found["name"])), ([1, 2, None], {"ours"}), "what another reader sees")
        equal(table.metadata().partition_columns, ["_shard"], "the shard is a partition")

        shard = pyarrow.array([3, 0], pyarrow.int32()).cast(table.to_pyarrow_table().schema.field("_shard").type)
        theirs = pyarrow.table({"id": [1, 77], "name": ["theirs", "theirs"], "_shard": shard})
        deltalake.write_deltalake(location, theirs, mode="append")
        for path in ("local", "pipelined"):
            update(connection, f"SET watershed.execution = '{path}'")
            equal(rows(connection, "SELECT count(*) FROM shared"), [(5,)], f"rows on {path}")
            equal(rows(connection, "SELECT name FROM shared WHERE id = 77"), [("theirs",)], f"a foreign row on {path}")
            equal(
                rows(connection, "SELECT name FROM shared WHERE id = 1 ORDER BY name"),
                [("ours",), ("theirs",)],
                f"both rows of a key on {path}",
            )
            joined = "SELECT a.name FROM shared a JOIN shared b ON a.id = b.id WHERE b.name = 'ours' AND b.id = 1"
            equal(sorted(rows(connection, joined)), [("ours",), ("theirs",)], f"a join by the shard key on {path}")


main(*sys.argv[1:])
