"""Files of sqllogictest, read into records."""

import pathlib
from dataclasses import dataclass, field

SORT_MODES = ("nosort", "rowsort", "valuesort")


@dataclass
class Record:
    """A statement or query, and what its file expects of it."""

    file: pathlib.Path
    line: int
    kind: str  # statement, query
    expects: str  # ok, error, count, rows
    sql: str
    types: str = ""
    sort: str = "nosort"
    count: int | None = None
    error: str = ""
    rows: list = field(default_factory=list)
    labels: list = field(default_factory=list)  # (skipif or onlyif, engine)


@dataclass
class Control:
    """A line that is about the run: halt, hash-threshold, control sortmode."""

    words: list


class FormatError(Exception):
    """A file that is no sqllogictest."""


def records(path):
    """The records and controls of a file and of what it includes, in order."""
    lines = path.read_text().split("\n")
    at, labels, sort = 0, [], "nosort"
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        words = line.split()
        if not words or line.startswith("#"):
            continue
        match words:
            case ["include", pattern]:
                included = sorted(path.parent.glob(pattern.removeprefix("./")))
                if not included:
                    raise FormatError(f"{path}:{number}: there is no {pattern}")
                for file in included:
                    yield from records(file)
            case ["halt"]:
                yield Control(words)
                return
            case ["skipif" | "onlyif" as condition, engine, *_]:
                labels.append((condition, engine))
            case ["control", "sortmode", mode]:
                sort = mode
            case ["hash-threshold" | "control", *_]:
                yield Control(words)
            case ["subtest" | "sleep" | "connection", *_]:
                pass
            case ["statement" | "query" as kind, *heading]:
                record, at = body(Record(path, number, kind, "ok", "", sort=sort, labels=labels), heading, lines, at)
                labels = []
                yield record
            case _:
                raise FormatError(f"{path}:{number}: unknown record {line!r}")


def body(record, heading, lines, at):
    """Fills in a record, and gives the line after it."""
    match heading:
        case ["error", *words]:
            record.expects, record.error = "error", " ".join(words)
        case ["count", count, *_] if record.kind == "statement":
            record.expects, record.count = "count", int(count)
        case ["ok", *_] if record.kind == "statement":
            record.expects = "ok"
        case [] if record.kind == "query":
            record.expects = "ok"
        case [types, *options] if record.kind == "query":
            record.expects, record.types = "rows", types
            record.sort = next((word for word in options if word in SORT_MODES), record.sort)
        case _:
            raise FormatError(f"{record.file}:{record.line}: unknown heading {heading}")
    sql = []
    while at < len(lines) and lines[at] != "" and lines[at] != "----":
        sql.append(lines[at])
        at += 1
    record.sql = "\n".join(sql)
    if at < len(lines) and lines[at] == "----":
        at += 1
        several = record.expects == "error"  # its text may have single empty lines: two end it
        while at < len(lines) and (lines[at] != "" or (several and at + 1 < len(lines) and lines[at + 1] != "")):
            (record.rows if not several else []).append(lines[at])
            at += 1
    return record, at
