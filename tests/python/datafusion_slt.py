"""DataFusion's sqllogictest files, run by Watershed: what is equal, what differs, what is refused.

Arguments: FOLDER URL [--report FILE] [--path local] [--root CHECKOUT] [--only PATTERN] [--timeout SECONDS]

FOLDER is test_files of the crate datafusion-sqllogictest. Files of data that it names are looked up below CHECKOUT,
which is laid out as DataFusion's repository; without it, what needs them is refused. It ends with 1 if a result
differs, if a statement hangs or fails inside the engine, or if the server dies.
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import pathlib
import re
import sys
import time
from dataclasses import dataclass

from adbc_driver_flightsql import ConnectionOptions

import slt_copy
import slt_design
import slt_dialect
import slt_values
from slt_records import Control, FormatError, records
from support import connect, update

QUERY = re.compile(r"(?is)^[\s(]*(--[^\n]*\n\s*)*(select|with|values|show|explain|describe|desc|from|table|execute)\b")
NAME = re.compile(
    r"(?is)^\s*(?:create\s+(?:or\s+replace\s+)?(?:unbounded\s+)?(?:external\s+)?(?:temp(?:orary)?\s+)?(?:table|view)"
    r"\s+(?:if\s+not\s+exists\s+)?|insert\s+(?:into|overwrite)\s+(?:table\s+)?|delete\s+from\s+|update\s+|"
    r"alter\s+table\s+|truncate\s+(?:table\s+)?)(?:[\"\w]+\.)*\"?(\w+)\"?"
)

# Kinds that are findings, with what they mean.
FINDINGS = {
    "died": "the server is gone",
    "timeout": "no result in time",
    "internal": "an error inside the engine",
    "rows": "other rows",
    "order": "the same rows in another order, below an ORDER BY",
}


@dataclass
class Verdict:
    kind: str
    reason: str = ""
    record: object = None
    sql: str = ""
    found: str = ""


class Runner:
    """One file in a session and a schema of its own."""

    def __init__(self, arguments, file, name, schema):
        self.arguments, self.file, self.name, self.schema = arguments, file, name, schema
        self.connection = None
        self.lost = {}  # tables that are not as the file wants them, and why
        self.settings = {}
        self.verdicts, self.began = [], False

    def run(self):
        try:
            for record in records(self.file):
                if not isinstance(record, Control) and self.applies(record):
                    self.verdicts.append(self.judge(record))
                    if self.verdicts[-1].kind == "died":
                        break
        except FormatError as error:
            self.verdicts.append(Verdict("unread", str(error)))
        if self.connection:
            self.connection.close()
        return self.verdicts

    @staticmethod
    def applies(record):
        return all(
            (engine.lower() == "datafusion") == (condition == "onlyif") for condition, engine in record.labels
        )

    def judge(self, record):
        sql = self.located(record.sql)
        reason = None if slt_copy.source(sql) else slt_design.not_run(sql)
        change = slt_design.setting(sql)
        if change:
            name, value = change
            self.settings.pop(name, None) if value is None else self.settings.update({name: value})
        if reason:
            self.lose(record, sql, reason)
            return Verdict("not run", reason, record, sql)
        try:
            found = self.execute(sql)
            verdict = self.compared(record, sql, found)
        except Exception as error:  # of whatever kind: it is the server's answer
            verdict = self.failed(record, sql, error)
        if verdict.kind not in ("equal", "unordered", "order"):
            self.lose(record, sql, verdict.reason)
        elif re.match(r"(?is)\s*create\b", sql) and (name := NAME.match(sql)):
            self.lost.pop(name[1].lower(), None)
            if other := slt_design.other_table(sql):
                self.lose(record, sql, other)
        return verdict

    def execute(self, sql):
        """Rows of a query, the count of another statement; in other words if its own are refused."""
        if copy := slt_copy.source(sql):
            query, place, kind = copy
            with self.session().cursor() as cursor:
                cursor.execute(query)
                return slt_copy.write(cursor.fetch_arrow_table(), place, kind)
        if QUERY.match(sql):
            with self.session().cursor() as cursor:
                if self.arguments.result_cache == "on":
                    cursor.execute(sql)
                    cursor.fetch_arrow_table()
                cursor.execute(sql)
                return slt_values.table_rows(cursor.fetch_arrow_table())
        try:
            return update(self.session(), sql)
        except Exception as error:
            other = slt_dialect.rewritten(sql)
            if other is None or not re.search(r"SQLSTATE (0A|42|22)", str(error)):
                raise
            return update(self.session(), other)

    def session(self):
        if self.connection is None:
            limits = ("TIMEOUT_FETCH", "TIMEOUT_QUERY", "TIMEOUT_UPDATE")
            limits = {ConnectionOptions[limit].value: str(self.arguments.timeout) for limit in limits}
            self.connection = connect(self.arguments.url, conn_kwargs=limits)
            if not self.began:  # another run may have left it
                update(self.connection, f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
                self.began = True
            update(self.connection, f"CREATE SCHEMA IF NOT EXISTS {self.schema}")
            update(self.connection, f"USE {self.schema}")
            update(self.connection, f"SET watershed.execution = '{self.arguments.path}'")
            update(self.connection, f"SET watershed.result_cache = '{self.arguments.result_cache}'")
        return self.connection

    def located(self, sql):
        """The SQL with its files' places on this machine, and with its schema."""
        root = self.arguments.root / "datafusion/sqllogictest"

        def place(match):
            path = match[1]
            return f"'{(root / path).resolve()}{'/' if path.endswith('/') else ''}'"

        sql = re.sub(r"'((?:\.\./|test_files/|data/)[^'\n]*)'", place, sql)
        return re.sub(r"(?i)\b(?:datafusion\.)?public\.(?=\w)", f"{self.schema}.", sql)

    def compared(self, record, sql, found):
        if record.expects == "error":
            return self.explained(record, sql, "accepted", str(found)[:300])
        if record.expects == "count":
            if found == record.count or not re.match(r"(?i)\s*(insert|update|delete)\b", sql):
                return Verdict("equal", record=record, sql=sql)
            return self.explained(record, sql, "rows", str(found))
        if record.expects == "ok" or not isinstance(found, list):  # a count stands for what COPY wrote
            return Verdict("equal", record=record, sql=sql)
        what = slt_values.compare(record, found)
        if what is None:
            return Verdict("equal", record=record, sql=sql)
        if what == "order" and not re.search(r"(?i)\border\s+by\b", sql):
            return Verdict("unordered", record=record, sql=sql)
        return self.explained(record, sql, what, "\n".join(" ".join(row) for row in found[:40]))

    def failed(self, record, sql, error):
        message = str(error)
        if re.search(r"DEADLINE_EXCEEDED|deadline exceeded|TIMEOUT", message, re.I) and "SQLSTATE" not in message:
            self.connection = None
            return Verdict("timeout", "", record, sql, message)
        if "SQLSTATE" not in message:
            self.connection = None
            return Verdict("died", "", record, sql, message)
        if "there are no files" in message:
            return self.explained(record, sql, "no data", message)
        if re.search(r"SQLSTATE (XX|58)", message):
            return self.explained(record, sql, "internal", message)
        if record.expects == "error":
            return Verdict("equal", record=record, sql=sql)
        return self.explained(record, sql, "refused", message)

    def explained(self, record, sql, kind, found):
        """A verdict, or the reason why it says nothing."""
        reason = slt_design.reason(sql, found if kind in ("refused", "internal") else None)
        words = set(re.findall(r"\w+", sql.lower()))
        if kind == "rows" and slt_design.cut_anywhere(sql):
            reason = "LIMIT without ORDER BY keeps any rows"
        if reason:
            return Verdict("by design", reason, record, sql, found)
        if gone := words & self.lost.keys():
            name = sorted(gone)[0]
            return Verdict("follows", f"{name}: {self.lost[name]}", record, sql, found)
        if self.settings and kind in ("rows", "order", "accepted", "refused"):
            return Verdict("by design", f"settings of DataFusion: {sorted(self.settings)}", record, sql, found)
        return Verdict(kind, masked(found) if kind in ("refused", "internal") else "", record, sql, found)

    def lose(self, record, sql, reason):
        if record.expects != "error" and (name := NAME.match(sql)):
            self.lost.setdefault(name[1].lower(), reason[:100])


def masked(message):
    """An error's SQLSTATE and message without the names in it, so that alike ones are a group."""
    state = re.search(r"SQLSTATE (\w+)", message)
    line = re.sub(r"^\w+: \[FlightSQL\] ", "", message.split("\n")[0]).split(" (SQLSTATE")[0]
    return f"{state[1]} " + re.sub(r"\"[^\"]*\"|'[^']*'|\b\d[\d.]*\b", "…", line)[:160]


def write(file, verdicts, arguments):
    """Counts, then each kind with its groups, the largest first."""
    counts = collections.Counter(verdict.kind for verdict in verdicts)
    print(f"{len(verdicts)} records on {arguments.path}: {dict(counts.most_common())}", file=file)
    for kind in [*FINDINGS, "accepted", "refused", "unread", "no data", "follows", "by design", "not run"]:
        groups = collections.defaultdict(list)
        for verdict in verdicts:
            if verdict.kind == kind:
                groups[verdict.reason].append(verdict)
        if groups:
            print(f"\n## {kind}: {FINDINGS.get(kind, '')}", file=file)
        for reason, members in sorted(groups.items(), key=lambda group: -len(group[1])):
            print(f"\n### {len(members)} × {reason}", file=file)
            shown = members if kind in FINDINGS else members[:3] if kind in ("accepted", "refused", "unread") else []
            for verdict in shown:
                show(file, verdict, arguments)


def show(file, verdict, arguments):
    record = verdict.record
    if record is None:
        return
    print(f"- {record.file.relative_to(arguments.folder)}:{record.line}\n  {verdict.sql[:1500]}", file=file)
    if record.expects == "rows":
        print("  expected: " + "\n            ".join(record.rows[:40]), file=file)
    else:
        print(f"  expected: {record.expects} {record.error or record.count or ''}", file=file)
    print("  found:    " + verdict.found[:3000].replace("\n", "\n            "), file=file)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("url")
    parser.add_argument("--report", type=pathlib.Path)
    parser.add_argument("--path", default="local")
    parser.add_argument("--result-cache", default="off", help="on runs each query twice")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path("/nonexistent"))
    parser.add_argument("--only", default="*", help="patterns of names of files, with commas between, in order")
    parser.add_argument("--timeout", type=float, default=30, help="seconds that a statement may take")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()

    patterns = arguments.only.split(",")
    files = [(file, str(file.relative_to(arguments.folder))) for file in sorted(arguments.folder.rglob("*.slt"))]
    files = dict.fromkeys((file, name) for one in patterns for file, name in files if fnmatch.fnmatch(name, one))
    chosen = [(file, name) for file, name in files if not slt_design.excluded(name)]
    print(f"{len(chosen)} of {len(files)} files", flush=True)

    def one(file, name):
        start = time.monotonic()
        schema = "slt_" + re.sub(r"\W", "_", name.removesuffix(".slt")) + "_" + arguments.path
        verdicts = Runner(arguments, file, name, schema).run()
        counts = collections.Counter(verdict.kind for verdict in verdicts)
        print(f"{time.monotonic() - start:7.1f} s {name}: {dict(counts.most_common())}", flush=True)
        return verdicts

    verdicts = []
    with concurrent.futures.ThreadPoolExecutor(arguments.workers) as pool:
        for found in pool.map(lambda file: one(*file), chosen):
            verdicts += found
            if arguments.report:  # a run takes long: what is known can be read
                with arguments.report.open("w") as file:
                    write(file, verdicts, arguments)
    if not arguments.report:
        write(sys.stdout, verdicts, arguments)
    counts = collections.Counter(verdict.kind for verdict in verdicts)
    print(dict(counts.most_common()))
    sys.exit(any(counts[kind] for kind in FINDINGS))


main()
