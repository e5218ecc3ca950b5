"""A campaign: rounds of random tables, and random statements over each of them."""

import collections
import dataclasses
import random
import re
import sys
import time

from . import minimizer, rules, types
from .comparison import difference
from .engines import Duck, Failure, Ours
from .judge import Finding, Judge
from .schemas import OWN, Field, Table, layout, random_table
from .statements import Built, Statements
from .storage import Store
from .tree import DUCK, OURS, Node, query, render

PATHS = {
    # Results are cached on the path "auto" alone, so that each other path computes its own.
    "auto": {"watershed.local_limit": "128KiB"},
    "local": {"watershed.execution": "local", "watershed.result_cache": "off"},
    "pipelined": {"watershed.execution": "pipelined", "watershed.result_cache": "off"},
    "staged": {"watershed.execution": "staged", "watershed.result_cache": "off"},
}


ZONES = ["UTC", "UTC", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]


class Campaign:
    def __init__(self, url, folder, seed, known, out=sys.stdout, minimizing=25.0):
        self.url, self.seed, self.known, self.out, self.minimizing = url, seed, known, out, minimizing
        self.store = Store(folder, known)
        self.counts = collections.Counter()
        self.seen = collections.Counter()
        self.reported = set()
        sessions = {}
        for path, settings in PATHS.items():
            settings = {**settings, "statement_timeout": "60s"}
            sessions[path] = Ours(url, path, settings)
        if not known.allows("staged"):
            sessions.pop("staged").close()
        self.admin = Ours(url, "admin", {})
        self.ducks = [Duck(), Duck()]
        self.judge = Judge(sessions, self.ducks, known)
        # When no further statement starts, on the monotonic clock.
        self.end = None

    def say(self, *lines):
        print(*lines, sep="\n", file=self.out, flush=True)

    def round(self, number, statements, only=None):
        """One schema and its statements."""
        rng = random.Random(f"{self.seed}/{number}")
        self.zone(rng.choice(ZONES))
        tables = []
        for index in range(rng.choice([4, 5, 6])):
            table = random_table(rng, self.known, f"tab{self.seed}_{number}_{index}")
            if self.create(table):
                tables.append(table)
        if not tables:
            return
        for table in tables:
            self.whole(table, number)
        if self.known.allows("writes"):
            tables += self.written(rng, tables, number)
        recent = []
        for n in range(statements):
            if self.end and time.monotonic() > self.end:
                break
            own = random.Random(f"{self.seed}/{number}/{n}")
            if n % 20 == 19:
                self.append(own, own.choice([table for table in tables if table.storage != "view"]))
                for earlier in own.sample(recent, min(2, len(recent))) if only is None else ():
                    self.check(*earlier[:2], own, earlier[2] + " again")
            if only is None or only == n:
                found = self.one(own, tables, f"{self.seed}/{number}/{n}")
                recent = (recent + [found])[-40:] if found else recent
        # Views first.
        for table in reversed(tables):
            self.drop(table.name, table.storage)
        counts = {name: count for name, count in self.counts.items() if not name.startswith("duckdb")}
        print(f"round {number}: {counts}", file=sys.stderr, flush=True)

    def zone(self, name):
        """Sets the time zone of all sessions but the one that writes literals."""
        self.zone_name = name
        for session in self.judge.sessions.values():
            session.run(f"SET TIME ZONE '{name}'")
        for duck in self.ducks:
            duck.zone(name)

    def written(self, rng, tables, number):
        """Tables that a query fills, on any path, and views."""
        found = []
        for index, kind in enumerate(["TABLE", "TABLE", "VIEW"]):
            wanted = [types.BIGINT, types.STRING] + [types.random_scalar(rng) for _ in range(rng.choice([0, 2]))]
            built = Statements(rng, self.known, tables).select(1, wanted)
            name = f"made{self.seed}_{number}_{index}"
            sql = {dialect: f"CREATE {kind} {name} AS {cast(built, wanted, dialect)}" for dialect in (OURS, DUCK)}
            path = rng.choice(["local", "pipelined"])
            try:
                for duck in self.ducks:
                    duck.execute(sql[DUCK])
            except Exception as error:
                self.counts[f"duckdb: {type(error).__name__} in CREATE {kind} AS"] += 1
                continue
            fields = [Field(f"c{n}", type, False, 30, 0.2) for n, type in enumerate(wanted)]
            table = Table(name, "plain" if kind == "TABLE" else "view", fields, [], numbered=False)
            layout(rng, table)
            try:
                self.judge.sessions[path].run(f"DROP {kind} IF EXISTS {name}")
                self.judge.sessions[path].run(sql[OURS])
            except Failure as error:
                if rules.refusal(error, []) or self.known.message(error.message):
                    continue
                self.report_error("create as " + error.kind(), f"{path}: {sql[OURS]}: {error.message[:500]}")
                continue
            columns = [column.to_pylist() for column in self.ducks[0].arrow(f"SELECT * FROM {name}").columns]
            table.rows = [list(row) for row in zip(*columns)]
            self.whole(table, number)
            found.append(table)
        return found

    def create(self, table):
        try:
            self.store.create(table, self.admin, self.ducks)
            return True
        except Failure as error:
            switch = self.known.message(error.message)
            if switch:
                self.judge.known_errors[switch] += 1
                self.drop(table.name)
                return False
            self.report_error("create " + error.kind(), f"{table.storage} {table.ddl()}: {error.message[:500]}")
            self.drop(table.name)
            return False

    def drop(self, name, storage="plain"):
        kind = "VIEW" if storage == "view" else "TABLE"
        for duck in self.ducks:
            duck.execute(f"DROP {kind} IF EXISTS {name}")
        try:
            self.admin.run(f"DROP {kind} IF EXISTS {name}")
        except Failure as error:
            self.report_error("drop " + error.kind(), error.message[:300])

    def append(self, rng, table):
        """Appends rows; now and then a column before them."""
        if table.storage in OWN and rng.random() < 0.2:
            field = Field(f"c{len(table.fields) + 20}", types.random_scalar(rng), rng.random() < 0.6, 10, 0.3)
            try:
                self.store.widen(table, field, self.admin, self.ducks)
            except Failure as error:
                self.report_error("add column " + error.kind(), f"{table.ddl()}: {error.message[:500]}")
        rows = table.draw(rng, self.known, rng.choice([1, 3, 40]), len(table.rows))
        try:
            self.store.append(table, rows, self.admin, self.ducks, rng.choice(["values", "load"]))
        except Failure as error:
            self.report_error("append " + error.kind(), f"{table.storage} {table.ddl()}: {error.message[:500]}")

    def whole(self, table, number):
        """SELECT * of a table: what was written is what is read."""
        node = query(f"SELECT * FROM {table.name}")
        built = Built(node, [], None, len(table.rows))
        self.check(built, [table], random.Random(0), f"{self.seed}/{number}/whole {table.name}")

    def one(self, rng, tables, label):
        """One statement; returns it, so that it can run again after rows were appended."""
        generator = Statements(rng, self.known, tables)
        try:
            built = generator.statement()
        except RecursionError:
            return None
        used = [table for table in tables if table.name in render(built.node, OURS)]
        self.check(built, used, rng, label)
        return built, used, label

    def check(self, built, tables, rng, label):
        self.counts["statements"] += 1
        started = time.monotonic()
        findings = self.judge.judge(built, rng)
        if findings is None:
            self.counts["not judged"] += 1
            error = getattr(self.judge, "last_duck_error", None)
            if error:
                self.counts["duckdb: " + error.kind()[:100]] += 1
                self.judge.last_duck_error = None
            return
        if time.monotonic() - started > 20:
            self.counts["slow"] += 1
            self.say(f"-- slow, {time.monotonic() - started:.0f} s, {label}", render(built.node, OURS))
        if not findings:
            self.counts["same"] += 1
            return
        # A path that shows it without caches is the simplest to look at.
        findings.sort(key=lambda finding: ["local", "pipelined", "staged", "auto"].index(finding.path))
        first = findings[0]
        expected = self.judge.expected(built.node)
        if first.kind == "rows" and not (
            expected is not None and self.judge.stable(built.node, expected, built.ordered)
        ):
            self.counts["unstable"] += 1
            return
        self.counts["different"] += 1
        self.seen[first.kind] += 1
        if first.kind != "rows" and self.seen[first.kind] > 1:
            return
        self.minimize(built, tables, findings, label)

    def minimize(self, built, tables, findings, label):
        finding = findings[0]
        paths = ", ".join(sorted({found.path for found in findings}))

        def fails(node):
            return self.judge.fails(node, finding, built.ordered)

        if built.ordered and self.judge.fails(built.node, finding, False):
            # The rows differ, whatever their order.
            built = dataclasses.replace(built, ordered=False)
        if not fails(built.node):
            self.counts["not repeated"] += 1
            self.say(f"-- not repeated, {label} on {paths}: {finding.detail}", render(built.node, OURS), "")
            return
        node = minimizer.minimize(built.node, fails, self.minimizing)
        shape = f"{finding.kind} {shape_of(render(node, OURS))}"
        self.seen[shape] += 1
        if shape in self.reported:
            return
        self.reported.add(shape)
        script = Script(self, dataclasses.replace(built, node=node), tables, finding)
        self.say(f"== {label} on {paths}", *script.lines(), "")

    def report_error(self, kind, detail):
        self.counts["different"] += 1
        self.seen[kind] += 1
        if kind not in self.reported:
            self.reported.add(kind)
            self.say(f"== {kind}", detail, "")

    def close(self):
        for session in (*self.judge.sessions.values(), self.admin):
            session.close()


class Script:
    """The smallest script of a difference: its tables with the fewest rows, and the statement."""

    names = 0

    def __init__(self, campaign, built, tables, finding):
        self.campaign, self.built, self.finding = campaign, built, finding
        self.sql = {dialect: render(built.node, dialect) for dialect in (OURS, DUCK)}
        self.tables = [table for table in tables if re.search(rf"\b{table.name}\b", self.sql[OURS])]

    def lines(self):
        shrunk = self.shrink()
        if any(table.storage == "view" for table in shrunk):
            return ["-- it needs a view: replay it", self.sql[OURS], f"-- {self.finding.detail}"]
        tables = [self.fresh(table) for table in shrunk]
        node = rename(self.built.node, self.map(tables))
        lines = [line for table in tables for line in self.describe(table)]
        if self.campaign.zone_name != "UTC":
            lines.append(f"SET TIME ZONE '{self.campaign.zone_name}';")
        lines += [f"SET watershed.execution = '{self.finding.path}';", render(node, OURS) + ";"]
        expected, found = self.outcome(node, tables)
        parameters = []
        render(node, OURS, parameters)
        if parameters:
            lines.append(f"-- bound: {', '.join(render(parameter, OURS) for parameter in parameters)}")
        if render(node, DUCK) != render(node, OURS):
            lines.append(f"-- DuckDB:   {render(node, DUCK)}")
        if isinstance(expected, list) and isinstance(found, list):
            lines.append(f"-- {difference(expected, found, self.built.ordered)}")
        return [*lines, f"-- expected: {str(expected)[:400]}", f"-- found:    {str(found)[:600]}"]

    def shrink(self):
        """Copies of the tables with few columns and rows; the tables themselves if such copies show nothing."""
        tables = [self.copy(table) for table in self.tables]
        if not self.still(tables):
            return self.tables
        for index, table in enumerate(tables):
            plain = dataclasses.replace(table, storage="plain", shard_key=None, partition=None)
            trial = tables[:index] + [plain] + tables[index + 1 :]
            if self.still(trial):
                tables = trial
        for index in range(len(tables)):

            def fails(rows, index=index):
                trial = list(tables)
                trial[index] = dataclasses.replace(tables[index], rows=rows)
                return self.still(trial)

            rows = minimizer.fewer(list(tables[index].rows), fails, self.campaign.minimizing / 2)
            tables[index] = dataclasses.replace(tables[index], rows=rows)
        return tables

    def copy(self, table):
        """A table with the named columns alone, if the statement names its columns. Views become tables."""
        if table.storage == "view":
            table = dataclasses.replace(table, storage="plain")
        if re.search(r"SELECT \* FROM \w+$", self.sql[OURS]):
            return dataclasses.replace(table)
        named = set(re.findall(r"\.(c\d+)\b", self.sql[OURS])) | {"rid", "c0", table.shard_key, table.partition}
        kept = [index for index, field in enumerate(table.fields) if field.name in named]
        rows = [[row[index] for index in kept] for row in table.rows]
        return dataclasses.replace(table, fields=[table.fields[index] for index in kept], rows=rows)

    def still(self, tables):
        """Whether the difference shows with these tables, which are created for it."""
        campaign = self.campaign
        trial = [self.fresh(table) for table in tables]
        try:
            for table in trial:
                campaign.store.create(table, campaign.admin, campaign.ducks)
            return bool(
                campaign.judge.fails(rename(self.built.node, self.map(trial)), self.finding, self.built.ordered)
            )
        except Failure:
            return False
        finally:
            for table in trial:
                campaign.drop(table.name)

    def fresh(self, table):
        """The table under a name that no cache has seen."""
        Script.names += 1
        name = re.sub(r"^min\d+_", "", table.name)
        return dataclasses.replace(table, name=f"min{Script.names}_{name}", rows=list(table.rows))

    def map(self, tables):
        return {old.name: new.name for old, new in zip(self.tables, tables)}

    def outcome(self, node, tables):
        """What both engines return over the tables of the script."""
        campaign = self.campaign
        try:
            for table in tables:
                campaign.store.create(table, campaign.admin, campaign.ducks)
            expected = campaign.judge.expected(node)
            found = campaign.judge.run(self.finding.path, *campaign.judge.our_text(node))[-1]
            found = found.message if isinstance(found, Failure) else found
            return expected, found
        except Failure as error:
            return "", error.message
        finally:
            for table in tables:
                campaign.drop(table.name)

    def describe(self, table):
        store = self.campaign.store
        lines = []
        if table.storage in OWN:
            lines.append(table.ddl() + ";")
        else:
            lines.append(f"-- {table.storage}, {len(table.rows)} rows, {table.options}")
            lines.append(store.external_ddl(table) + ";  -- or own: " + table.ddl())
        if len(table.rows) <= 40:
            if table.rows:
                lines.append(store.insert_text(table, table.rows) + ";")
        else:
            lines.append(f"-- {len(table.rows)} rows")
        return lines


def cast(built, wanted, dialect):
    """A query with its columns brought to exactly the types that a table is to have."""
    kinds = [type.ours if dialect == OURS else type.duck for type in wanted]
    items = ", ".join(f"CAST(c{n} AS {kind}) AS c{n}" for n, kind in enumerate(kinds))
    return f"SELECT {items} FROM ({render(built.node, dialect)}) AS s"


def rename(node, names):
    """A tree with other names of tables."""

    def change(part):
        if isinstance(part, str):
            for old, new in names.items():
                part = re.sub(rf"\b{old}\b", new, part)
            return part
        return rename(part, names) if isinstance(part, Node) else part

    return node.with_parts([change(part) for part in node.parts])


def shape_of(sql):
    """A statement without its names and constants: what two statements of one kind share."""
    sql = re.sub(r"'[^']*'", "?", sql)
    sql = re.sub(r"\b(min\d+_)?(tab|made)\d+_\d+_\d+\b", "tab", sql)
    sql = re.sub(r"\bt\d+\.\w+", "x", sql)
    sql = re.sub(r"\b\d+\b", "?", sql)
    return re.sub(r"\b([tcvq])\d+\b", r"\1", sql)


__all__ = ["Campaign", "Finding"]
