"""Random statements of a user with random grants: a statement gives rows if all that it reads is granted, and else none.

The generator knows what a statement reads: names of common table expressions and of temporary objects hide tables, and a
view is read with the rights of its owner."""

import os
import random
import sys

from support import connect, rows, update

STATEMENTS = int(os.environ.get("WATERSHED_TEST_STEPS", "600"))
SEED = int(os.environ.get("WATERSHED_TEST_SEED", "1"))
SCHEMAS = ["hr", "pub"]
TABLES = ["t0", "t1", "t2"]
VIEWS = ["v0", "v1", "v2", "v3"]


class World:
    """Objects, whose they are, what views read, and who was granted SELECT on what."""

    def __init__(self, rng):
        self.rng = rng
        self.secrets = {}
        self.reads = {}
        self.owners = {}
        self.granted = {"bob": set(), "ada": set()}

    def name(self, schema, name):
        return f"{schema}.{name}"

    def may(self, user, full):
        """Whether a user may read an object, with the rights of the owners of views as they are now."""
        return (user == "admin" or full in self.granted[user]) and self.works(full)

    def works(self, full):
        return all(self.may(self.owners[full], read) for read in self.reads.get(full, ()))

    def secrets_of(self, full):
        if full in self.secrets:
            return {self.secrets[full]}
        return set().union(*(self.secrets_of(read) for read in self.reads[full]))


class Generator:
    def __init__(self, rng, schema, temporary):
        self.rng, self.schema, self.temporary = rng, schema, temporary

    def relation(self, scope):
        """A name, and what it reads."""
        name = self.rng.choice(TABLES + VIEWS)
        if self.rng.random() < 0.3:
            schema = self.rng.choice(SCHEMAS)
            return f"{schema}.{name}", {f"{schema}.{name}"}
        if name in scope:
            return name, set()
        return name, self.temporary.get(name, {f"{self.schema}.{name}"})

    def query(self, depth, scope):
        """A query of one column `a`, and what it reads."""
        rng = self.rng
        if depth == 0:
            relation, reads = self.relation(scope)
            return f"SELECT a FROM {relation}", reads
        inner, reads = self.query(depth - 1, scope)
        other, others = self.query(rng.randrange(depth), scope)
        relation, named = self.relation(scope)
        kind = rng.randrange(16)
        if kind < 3:
            name = rng.choice(TABLES + VIEWS)
            body, of_body = self.query(depth - 1, scope | {name})
            if body.startswith("WITH"):
                body = f"SELECT w.a FROM ({body}) AS w"
            return f"WITH {name} AS ({inner}) {body}", reads | of_body
        forms = {
            3: f"SELECT max(q.a) AS a FROM ({inner}) AS q",
            4: f"SELECT [(SELECT max(a) FROM ({inner}) AS q)][1] AS a",
            5: f"SELECT ARRAY[(SELECT max(a) FROM ({inner}) AS q)][1] AS a",
            6: f"SELECT max(x) AS a FROM (SELECT unnest(ARRAY({inner})) AS x) AS q",
            7: f"SELECT named_struct('z', (SELECT max(a) FROM ({inner}) AS q))['z'] AS a",
            8: f"SELECT CASE WHEN EXISTS ({inner}) THEN 1 ELSE (SELECT max(a) FROM ({inner}) AS q) END AS a",
            9: f"SELECT * FROM (VALUES ((SELECT max(a) FROM ({inner}) AS q))) AS q(a)",
            10: f"SELECT coalesce((SELECT max(a) FROM ({inner}) AS q), list_sum([1, 2])) AS a",
        }
        if kind in forms:
            return forms[kind], reads
        if kind == 11:
            return f"SELECT r.a FROM {relation} AS r WHERE r.a IN ({inner})", reads | named
        if kind == 12:
            return f"{inner} UNION ALL {other}" if "WITH" not in inner + other else f"({inner}) UNION ALL ({other})", reads | others
        if kind == 13:
            return f"SELECT r.a FROM {relation} AS r JOIN ({inner}) AS q ON r.a >= q.a", reads | named
        if kind == 14:
            return f"SELECT q.a FROM {relation} AS r, LATERAL (SELECT max(z.a) AS a FROM ({inner}) AS z WHERE z.a >= r.a) AS q", reads | named
        return f"SELECT (SELECT max(z.a) FROM ({inner}) AS z WHERE z.a >= r.a) AS a FROM {relation} AS r", reads | named


def setup(admin, ada, world):
    secret = 700_000
    for schema in SCHEMAS:
        update(admin, f"CREATE SCHEMA {schema}")
        update(admin, f"GRANT CREATE ON SCHEMA {schema} TO ada")
        for table in TABLES:
            secret += 1
            full = world.name(schema, table)
            world.secrets[full] = secret
            update(admin, f"CREATE TABLE {full} AS SELECT {secret} AS a")
    for schema in SCHEMAS:
        for view in VIEWS:
            full = world.name(schema, view)
            owner = world.rng.choice(["admin", "ada"])
            read = world.rng.choice(sorted(world.secrets) + sorted(world.reads))
            world.reads[full], world.owners[full] = {read}, owner
            if owner == "ada":
                grant(admin, world, "ada", read)
                if not world.may("ada", read):
                    world.owners[full], owner = "admin", "admin"
            update(ada if owner == "ada" else admin, f"CREATE VIEW {full} AS SELECT a FROM {read}")


def grant(admin, world, user, full):
    update(admin, f"GRANT SELECT ON {full} TO {user}")
    world.granted[user].add(full)


def shuffle(admin, world):
    """Grants and revokes something."""
    for user, chance in (("bob", 0.8), ("ada", 0.9)):
        for full in world.rng.sample(sorted(world.secrets) + sorted(world.reads), 3):
            if world.rng.random() < chance:
                grant(admin, world, user, full)
            elif full in world.granted[user]:
                update(admin, f"REVOKE SELECT ON {full} FROM {user}")
                world.granted[user].discard(full)


def run(connection, rng, sql):
    """The text of what a statement shows, sent in one of several ways; None if it is refused."""
    form = rng.randrange(6)
    if form == 0:
        rows(connection, f"EXPLAIN {sql}")
        return ""
    if form == 1:
        update(connection, f"CREATE TEMPORARY TABLE made AS {sql}")
        found = rows(connection, "SELECT * FROM made")
        update(connection, "DROP TABLE temp.made")
        return str(found)
    if form == 2:
        update(connection, f"CREATE TEMPORARY VIEW made AS {sql}")
        try:
            return str(rows(connection, "SELECT * FROM made"))
        finally:
            update(connection, "DROP VIEW temp.made")
    if form == 3:
        update(connection, f"PREPARE p AS {sql}")
        try:
            return str(rows(connection, "EXECUTE p"))
        finally:
            update(connection, "DEALLOCATE p")
    return str(rows(connection, sql))


def main(url, password):
    rng = random.Random(SEED)
    admin = connect(url, {"username": "admin", "password": password})
    for user in ("bob", "ada"):
        update(admin, f"CREATE USER {user} PASSWORD 'hunter22'")
    ada = connect(url, {"username": "ada", "password": "hunter22"})
    world = World(rng)
    setup(admin, ada, world)
    wrong, given, denied, others = [], 0, 0, {}
    bob, temporary, schema = None, {}, None
    for number in range(STATEMENTS):
        if number % 40 == 0:
            shuffle(admin, world)
            if bob is not None:
                bob.close()
            bob = connect(url, {"username": "bob", "password": "hunter22"})
            schema, temporary = rng.choice(SCHEMAS), {}
            try:
                update(bob, f"USE {schema}")
            except Exception as error:
                # One in which bob may do nothing is as one that is not there.
                assert "SQLSTATE 3F000" in str(error), error
                schema = "public"
            if rng.random() < 0.5:
                name = rng.choice(TABLES)
                update(bob, f"CREATE TEMPORARY TABLE {name} AS SELECT 5 AS a")
                temporary[name] = set()
        sql, reads = Generator(rng, schema, temporary).query(rng.randrange(4), frozenset())
        allowed = all(world.may("bob", full) for full in reads)
        try:
            shown = run(bob, rng, sql)
        except Exception as error:
            text = str(error)
            if "SQLSTATE 42501" in text or "you have no privilege on it" in text:
                denied += 1
                if allowed:
                    wrong.append(f"refused: {sql}\n  {text[:300]}")
            else:
                others[text[:120]] = sql
            continue
        given += 1
        hidden = {
            str(world.secrets[full])
            for full in world.secrets
            if not any(world.secrets[full] in world.secrets_of(read) for read in reads)
        }
        if not allowed or any(secret in shown for secret in hidden):
            wrong.append(f"given: {sql}\n  {shown[:200]}; it reads {sorted(reads)}, granted {sorted(world.granted['bob'])}")
    print(f"{STATEMENTS} statements: {given} given, {denied} denied, {len(wrong)} wrong; other errors:")
    for text, sql in others.items():
        print(f"  {text}\n    {sql[:300]}")
    assert not wrong, "\n".join(wrong[:20])
    assert given > STATEMENTS / 10 and denied > STATEMENTS / 10, (given, denied)


main(*sys.argv[1:])
