"""COPY, which DataFusion's files use to make the files that they read: written here, from rows that Watershed gives."""

import json
import pathlib
import re

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

STATEMENT = re.compile(
    r"(?is)^\s*COPY\s+(?P<source>\(.*\)|[\w.\"]+)\s+TO\s+'(?P<place>[^']*)'\s*(?:STORED\s+AS\s+(?P<format>\w+))?\s*"
    r"(?P<partitioned>PARTITIONED\s+BY)?.*$"
)


def source(sql):
    """The query whose rows are written, the place and the format; None for what is not written here."""
    match = STATEMENT.match(sql.rstrip().rstrip(";"))
    if not match or match["partitioned"]:
        return None
    query = match["source"]
    query = query[1:-1] if query.startswith("(") else f"SELECT * FROM {query}"
    place = match["place"]
    kind = (match["format"] or pathlib.PurePath(place).suffix[1:]).lower()
    return (query, place, kind) if kind in ("parquet", "csv", "json") else None


def write(table, place, kind):
    """Writes a file, or one file in a folder."""
    file = pathlib.Path(place)
    if place.endswith("/") or not file.suffix:
        file = file / f"{len(list(file.glob('*'))) if file.exists() else 0}.{kind}"
    file.parent.mkdir(parents=True, exist_ok=True)
    if kind == "parquet":
        pyarrow.parquet.write_table(table, file)
    elif kind == "csv":
        pyarrow.csv.write_csv(table, file)
    else:
        file.write_text("".join(json.dumps(row, default=str) + "\n" for row in table.to_pylist()))
    return table.num_rows
