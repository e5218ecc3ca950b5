"""Another writer of the same tables: reads commands, a JSON object a line, and answers each with a line.

{"table": FOLDER, "do": "append", "rows": N, "from": ID, "at": SECONDS} | {"do": "delete", "where": SQL}
| {"do": "update", "set": {COLUMN: SQL}, "where": SQL} | {"do": "compact"}

The answer is {"version": N}, the version of the table that the command left, or {"error": TEXT}.
"""

import datetime
import json
import sys

import deltalake
import pyarrow

EDGES = ["ams1", "fra2", "gru1", "iad3", None]
UTC = datetime.timezone.utc


def generated(schema, command):
    """Rows whose every value depends on their number alone; what the schema has besides is null."""
    numbers = range(command["from"], command["from"] + command["rows"])
    at = command["at"]
    known = {
        "id": [number % 500 for number in numbers],
        # Other writers cut the bounds of a file to milliseconds.
        "happened_at": [
            datetime.datetime.fromtimestamp(at - number % 360 * 30, UTC) + datetime.timedelta(microseconds=number % 1000)
            for number in numbers
        ],
        "edge": [EDGES[number % len(EDGES)] for number in numbers],
        "bytes": [number * 13 % 10_007 for number in numbers],
        "ms": [number * 7 % 997 for number in numbers],
        "score": [number % 101 / 8 for number in numbers],
        # A shard that another writer names says nothing: its rows are looked for everywhere.
        "_shard": [number % 2 for number in numbers],
    }
    columns = [
        pyarrow.array(known.get(field.name, [None] * len(numbers)), pyarrow.field(field).type) for field in schema
    ]
    return pyarrow.table(columns, schema=schema)


def obey(command):
    table = deltalake.DeltaTable(command["table"])
    match command["do"]:
        case "append":
            rows = generated(pyarrow.schema(table.schema().to_arrow()), command)
            deltalake.write_deltalake(table, rows, mode="append")
        case "delete":
            table.delete(command["where"])
        case "update":
            table.update(updates=command["set"], predicate=command["where"])
        case "compact":
            table.optimize.compact()
        case other:
            raise ValueError(f"unknown command {other!r}")
    return deltalake.DeltaTable(command["table"]).version()


for line in sys.stdin:
    try:
        answer = {"version": obey(json.loads(line))}
    except Exception as error:  # Whatever it is, the test decides what it means.
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
