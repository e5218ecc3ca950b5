"""Runs one statement in both engines, and says whether they differ."""

import collections
import concurrent.futures
import dataclasses

import pyarrow

from . import rules
from .comparison import difference
from .engines import Failure
from .tree import DUCK, OURS, render

# How often a statement runs on a path; it always runs on one that is not named, and on one path at least.
SHARES = {"local": 0.6, "pipelined": 0.6, "staged": 0.15, "auto": 0.35}


@dataclasses.dataclass
class Finding:
    """A difference: `kind` names its class, `path` where it showed."""

    kind: str
    path: str
    detail: str


@dataclasses.dataclass
class Judge:
    """The sessions of a campaign. `ducks` hold the same tables, with rows in different order."""

    sessions: dict
    ducks: list
    known: object

    def __post_init__(self):
        self.last_duck_error = None
        self.known_errors = collections.Counter()
        self.pool = concurrent.futures.ThreadPoolExecutor(len(self.sessions))

    def judge(self, built, rng, shares=SHARES):
        """Findings on each path; None if the statement cannot be judged. `shares` says how often a path is taken."""
        expected = self.expected(built.node)
        if expected is None:
            return None
        sql, parameters = self.our_text(built.node)
        paths = [path for path in self.sessions if rng.random() < shares.get(path, 1)] or ["pipelined"]
        futures = {path: self.pool.submit(self.run, path, sql, parameters) for path in paths}
        findings = []
        for path, future in futures.items():
            for found in future.result():
                finding = self.compare(expected, found, path, built.ordered)
                if finding:
                    findings.append(finding)
                    break
        return findings

    def expected(self, node):
        """The rows that DuckDB gives whatever the order of rows in its tables; None if there are none to compare."""
        sql = render(node, DUCK)
        try:
            first = self.ducks[0].rows(sql)
        except Failure as error:
            self.last_duck_error = error
            return None
        return first

    def stable(self, node, expected, ordered):
        """Whether DuckDB gives the same for other orders of the same rows."""
        try:
            other = self.ducks[1].rows(render(node, DUCK))
        except Failure:
            return False
        return other is not None and difference(expected, other, ordered) is None

    def our_text(self, node):
        parameters = []
        sql = render(node, OURS, parameters)
        return sql, batch(parameters)

    def run(self, path, sql, parameters):
        """What our engine gives on a path: once cold, and once more where results are cached."""
        found = []
        for _ in range(2 if path == "auto" else 1):
            try:
                found.append(self.sessions[path].rows(sql, parameters))
            except Failure as error:
                found.append(error)
        return found

    def compare(self, expected, found, path, ordered):
        if isinstance(found, Failure):
            if rules.busy(found):
                self.known_errors[f"busy, {found.state}"] += 1
                return None
            switch = self.known.message(found.message)
            if switch:
                self.known_errors[switch] += 1
                return None
            if rules.refusal(found, expected) or (path == "staged" and rules.staged_refusal(found)):
                self.known_errors[f"refused on {path}: {found.kind()[:90]}"] += 1
                return None
            return Finding("error " + found.kind(), path, found.message[:600])
        differs = difference(expected, found, ordered)
        return Finding("rows", path, differs) if differs else None

    def fails(self, node, finding, ordered):
        """Whether a statement shows the same kind of difference on the same path."""
        ordered = ordered and any(isinstance(part, str) and " ORDER BY " in part for part in node.parts)
        expected = self.expected(node)
        if expected is None:
            return None
        sql, parameters = self.our_text(node)
        for found in self.run(finding.path, sql, parameters):
            again = self.compare(expected, found, finding.path, ordered)
            if again and again.kind == finding.kind:
                if again.kind == "rows" and not self.stable(node, expected, ordered):
                    return None
                return again
        return None


def batch(parameters):
    """Bound values as the driver takes them: a batch of one row."""
    if not parameters:
        return None
    arrays = [pyarrow.array([node.value], type=node.type.arrow) for node in parameters]
    return pyarrow.RecordBatch.from_arrays(arrays, names=[f"p{number}" for number in range(len(arrays))])
