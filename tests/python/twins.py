"""What the benchmarks that run beside DuckDB share: tables as files and as our own, and comparison of results."""

import re
import time
from dataclasses import dataclass, field

import duckdb
from adbc_driver_flightsql import ConnectionOptions

from support import connect, difference, equal, order_key, rows, same_value, update

TYPES = {"VARCHAR": "STRING", "INTEGER": "INT"}
SHARDS = 4


def generate(database, folder, files):
    """Writes all tables of DuckDB as Parquet, a folder each; `files` says which tables are several files."""
    tables = [name for (name,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
    for table in tables:
        (folder / table).mkdir(parents=True)
        count = files.get(table, 1)
        for number in range(count):
            database.execute(
                f"COPY (SELECT * FROM {table} WHERE rowid % {count} = {number}) "
                f"TO '{folder / table}/{number}.parquet' (FORMAT parquet, ROW_GROUP_SIZE 4096)"
            )
    return tables


def create_external(connection, folder, tables):
    update(connection, "CREATE SCHEMA external")
    for table in tables:
        update(connection, f"CREATE EXTERNAL TABLE external.{table} STORED AS PARQUET LOCATION '{folder / table}'")


def create_managed(connection, database, tables, shard_keys):
    """Loads the files into tables of our own, sharded by their key if they have one, by INSERT … SELECT."""
    update(connection, "CREATE SCHEMA managed")
    for table in tables:
        columns = ", ".join(
            f"{name} {TYPES.get(kind, kind)}"
            for name, kind, *_ in database.execute(f"DESCRIBE {table}").fetchall()
        )
        key = shard_keys.get(table)
        sharding = f" CLUSTERED BY ({key}) INTO {SHARDS} BUCKETS" if key else ""
        update(connection, f"CREATE TABLE managed.{table} ({columns}){sharding}")
        [(expected,)] = database.execute(f"SELECT count(*) FROM {table}").fetchall()
        count = update(connection, f"INSERT INTO managed.{table} SELECT * FROM external.{table}")
        equal(count, expected, f"rows loaded into {table}")


@dataclass
class Question:
    """A query, the rows that DuckDB gives for it, and which rows may stand in each other's place."""

    number: int
    sql: str
    expected: list
    peers: list | None


def question(database, number, sql):
    """Rows that ORDER BY does not tell apart are peers: their order, and which of them LIMIT keeps, is open."""
    expected = database.execute(sql).fetchall()
    return Question(number, sql, expected, peers(database, sql))


def peers(database, sql):
    """All rows of a query without its LIMIT, in groups of equal sort keys; None if the keys cannot be selected.
    A query without ORDER BY has one group."""
    sql = re.sub(r"(?i)\bLIMIT\s+\d+\s*$", "", sql.strip().rstrip(";"))
    order = top_level(sql, r"ORDER\s+BY")
    if not order:
        return [database.execute(sql).fetchall()]
    body = sql[: order.start()]
    keys = positions(database, body, sql[order.end() :])
    rank = f"dense_rank() OVER (ORDER BY {keys})"
    source = top_level(body, "FROM")
    for ranked in (
        f"{body[: source.start()]}, {rank} {body[source.start() :]}",
        f"SELECT *, {rank} FROM ({body})",
    ):
        try:
            found = database.execute(ranked).fetchall()
        except duckdb.Error:  # this form cannot name the keys
            continue
        groups = {}
        for *row, key in found:
            groups.setdefault(key, []).append(tuple(row))
        return [groups[key] for key in sorted(groups)]
    return None


def top_level(sql, pattern):
    """Where a word of the outermost SELECT is; the last one is it, since WITH comes before."""
    depths, depth = [], 0
    for character in sql:
        depth += (character == "(") - (character == ")")
        depths.append(depth)
    found = [match for match in re.finditer(rf"(?i)\b{pattern}\b", sql) if depths[match.start()] == 0]
    return found[-1] if found else None


def positions(database, body, keys):
    """Sort keys in which a position is replaced by the column's name, since a window has no positions."""
    names = [name for name, *_ in database.execute(f"DESCRIBE {body}").fetchall()]

    def named(match):
        if keys.count("(", 0, match.start()) != keys.count(")", 0, match.start()):
            return match[0]
        return f'{match[1]}"{names[int(match[2]) - 1]}"'

    return re.sub(r"((?:^|,)\s*)(\d+)(?=\s*(?:,|$|ASC|DESC|NULLS))", named, keys)


def compared(question, found):
    """What differs; None if the rows are right and in an order that ORDER BY allows."""
    if len(found) != len(question.expected):
        return f"{len(question.expected)} rows expected, {len(found)} found"
    if question.peers is None or difference(question.expected, found, ordered=True) is None:
        return difference(question.expected, found)
    at = 0
    for group in question.peers:
        part = found[at : at + len(group)]
        at += len(part)
        what = missing(group, part)
        if what:
            return f"{what} is not among rows {at - len(part)} to {at}, {group[:3]} are"
        if at == len(found):
            break
    return None


def missing(group, part):
    """The first row that is not in the group as often."""
    if len(group) == len(part) and difference(group, part) is None:
        return None
    rest = sorted(group, key=order_key)
    for row in part:
        match = next((n for n, other in enumerate(rest) if all(map(same_value, other, row))), None)
        if match is None:
            return row
        rest.pop(match)
    return None


@dataclass
class Report:
    """What a run over all queries, paths and tables found."""

    differences: list = field(default_factory=list)
    times: list = field(default_factory=list)

    def slowest(self, count):
        return "\n".join(f"{seconds:8.2f} s  {what}" for seconds, what in sorted(self.times, reverse=True)[:count])


def run(url, questions, path, schema, report, limits):
    """Runs the queries on one path over one schema: computed, and then as the caches give them if `limits.cached`.
    A query that takes too long is a finding, as is an error; the other queries still run."""
    begin = time.monotonic()
    with session(url, path, schema, limits.timeout) as connection:
        [(started,)] = rows(connection, "SELECT now()")
    for question in questions:
        for caches in ("off", "on", "on") if limits.cached else ("off",):
            what = f"Q{question.number} on {path} over {schema}, result cache {caches}"
            start = time.monotonic()
            try:
                with session(url, path, schema, limits.timeout) as connection:
                    update(connection, f"SET watershed.result_cache = '{caches}'")
                    start = time.monotonic()
                    found = rows(connection, question.sql)
            except Exception as error:  # every driver error is a finding
                report.differences.append(f"{what} after {time.monotonic() - start:.1f} s: {error}")
                continue
            report.times.append((time.monotonic() - start, what))
            different = compared(question, found)
            if different:
                report.differences.append(f"{what}: {different}")
    print(f"{schema:9} {path:10} {len(questions):3} queries {time.monotonic() - begin:7.2f} s", flush=True)
    with session(url, path, schema, limits.timeout) as connection:
        print("         ", taken(connection, started), flush=True)


def taken(connection, since):
    """The ways that queries took, counted."""
    sql = (
        f"SELECT execution, count(*) FROM system.queries WHERE started_at >= TIMESTAMP '{since.isoformat()}' "
        "AND execution IS NOT NULL AND reason <> 'it reads no files' GROUP BY 1"
    )
    return dict(sorted(rows(connection, sql)))


def session(url, path, schema, timeout):
    """A connection on a path, in a schema, whose statements end after `timeout` seconds."""
    options = (ConnectionOptions.TIMEOUT_FETCH, ConnectionOptions.TIMEOUT_QUERY, ConnectionOptions.TIMEOUT_UPDATE)
    connection = connect(url, conn_kwargs={option.value: str(timeout) for option in options})
    update(connection, f"SET watershed.execution = '{path}'")
    update(connection, f"USE {schema}")
    return connection
