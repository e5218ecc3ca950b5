"""The hostile clients of hostile_load.py: connections, streams, logins and statements that take a lot.

A client is a function that takes a Load, runs in a process of its own until the time is up, and answers with a Counter of what
happened to it."""

import asyncio
import collections
import os
import random
import re
import threading
import time
from urllib.parse import urlsplit

import pyarrow
from adbc_driver_flightsql import DatabaseOptions
from messages import command
from pyarrow import flight
from support import authorities, connect, location, rows, update

HONEST, MALLORIES = "honest", ["mallory1", "mallory2", "mallory3"]
PASSWORD = "a password of tests"
# After that long, a hostile client goes away.
HOSTILE_PATIENCE = 20

# Connections at a time; all of a machine may have three quarters of 4096 on each port.
SILENT, SLOW, PREFACE, SLOW_READERS = 300, 100, 100, 8
UNREAD_PER_USER, HEAVY_PER_USER, ABANDONED, LOGINS = 3, 6, 4, 4

# More than fits into buffers on the way: by the scheduler alone, and by executors.
LARGE = [
    "SELECT value, repeat('a', 1000) AS text FROM generate_series(1, 1000000) AS s(value)",
    "SELECT id, s, repeat(s, 100) AS text FROM events",
]
PLAN_OF_UNIONS = "WITH a0 AS (SELECT id FROM events WHERE id < 10)%s SELECT count(*) FROM a%d" % (
    "".join(f", a{n} AS (SELECT id FROM a{n - 1} UNION ALL SELECT id + 1 FROM a{n - 1})" for n in range(1, 11)),
    10,
)
HEAVY = {
    "sort": "SELECT count(*) FROM (SELECT * FROM events ORDER BY s, id LIMIT 199999)",
    "sort of wide rows": "SELECT count(*) FROM (SELECT repeat(s, 20) AS w, id FROM events ORDER BY w, id LIMIT 199999)",
    "cross join": "SELECT count(*) FROM events a CROSS JOIN events b WHERE (a.id * b.id) % 1009 = 3",
    "join of equal keys": "SELECT count(*), max(a.s || b.s) FROM events a JOIN events b ON a.k = b.k",
    "series": "SELECT count(*) FROM generate_series(1, 100000000000)",
    "cross series": "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000000) b",
    "regular expression": "SELECT count(*) FROM events WHERE regexp_like(repeat(s, 50), '(a|b|c)*d.*e[0-9]+f.*(0|1){9}')",
    "levenshtein": "SELECT max(levenshtein(repeat('a', 8000) || s, repeat('b', 8000))) FROM events",
    "levenshtein of constants": "SELECT levenshtein(repeat('a', 15000), repeat('b', 15000))",
    "repeat": "SELECT max(length(repeat(s, 3000))) FROM events",
    "one long value": "SELECT md5(repeat(s, 1000000)) FROM events WHERE id < 40",
    "string_agg": "SELECT length(string_agg(repeat(s, 10), ',')) FROM events",
    "recursive counter": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 100000) SELECT max(n) FROM r",
    "recursive growth": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + m FROM r, (VALUES (1), (1)) AS v(m) WHERE n < 40) "
    "SELECT count(*) FROM r",
    "wide GROUP BY": "SELECT count(*) FROM (SELECT id, k, n, s, left(s, 9), md5(s), count(*), sum(n) FROM events "
    "GROUP BY id, k, n, s, left(s, 9), md5(s))",
    "cube": "SELECT count(*) FROM (SELECT count(*) FROM events GROUP BY CUBE (k, n, id % 2, id % 3, id % 5, id % 7, id % 11))",
    "count distinct": "SELECT count(DISTINCT s), count(DISTINCT md5(s)), count(DISTINCT id) FROM events",
    "window": "SELECT max(x) FROM (SELECT sum(n) OVER (PARTITION BY k ORDER BY s ROWS BETWEEN 900 PRECEDING AND 900 FOLLOWING) "
    "AS x FROM events)",
    "window without a bound": "SELECT max(r) FROM (SELECT rank() OVER (ORDER BY s) AS r, lag(s) OVER (ORDER BY id) FROM events)",
    "plan of unions": PLAN_OF_UNIONS,
    "plan of a sum": f"SELECT max({'n + ' * 300} 0) FROM events",
    "plan of joins": "SELECT count(*) FROM events e0 "
    + " ".join(f"JOIN events e{n} ON e{n}.id = e{n - 1}.id" for n in range(1, 24))
    + " WHERE e0.id < 50",
    "long IN": f"SELECT count(*) FROM events WHERE id IN ({', '.join(str(7 * n) for n in range(5000))})",
    "long OR": f"SELECT count(*) FROM events WHERE {' OR '.join(f'(n = {n} AND k <> {n})' for n in range(1000))}",
    "an error late": "SELECT sum(1000000 / (id - 199000)) FROM events",
}
PATHS = ["auto", "auto", "local", "pipelined"]


class Load:
    """What every process of the load knows, and where it says what it has done."""

    def __init__(self, arguments, tokens, until, answers):
        self.flight, self.http, self.password = arguments.flight, arguments.http, arguments.password
        self.only = arguments.only
        self.tokens, self.until, self.answers = tokens, until, answers

    def goes_on(self):
        return time.time() < self.until

    def rest(self):
        return max(0.0, self.until - time.time())

    def by_token(self, user, patience):
        """A connection of a user by token: failed logins are counted against the address, and close it to passwords."""
        options = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {self.tokens[user]}"}
        for option in (DatabaseOptions.TIMEOUT_QUERY, DatabaseOptions.TIMEOUT_FETCH, DatabaseOptions.TIMEOUT_UPDATE):
            options[option.value] = str(patience)
        return connect(self.flight, options)

    def stream(self, user, sql, patience):
        """A connection of its own and the rows of a statement, none of them read."""
        client = flight.FlightClient(
            location(self.flight), tls_root_certs=authorities(), generic_options=[("grpc.use_local_subchannel_pool", 1)]
        )
        headers = [(b"authorization", f"Bearer {self.tokens[user]}".encode())]
        options = flight.FlightCallOptions(timeout=patience, headers=headers)
        descriptor = flight.FlightDescriptor.for_command(command("CommandStatementQuery", {1: sql}))
        [endpoint] = client.get_flight_info(descriptor, options).endpoints
        return client, client.do_get(endpoint.ticket, options)


def code(error):
    """What an error is counted as; the text of one that says it is the server's own mistake."""
    found = re.search(r"SQLSTATE (\w{5})", str(error))
    if "DeadlineExceeded" in str(error) or "timeout error" in str(error):
        return "gone away"
    name = found.group(1) if found else str(error).split("\n")[0][:60]
    return f"{name}: {str(error)[:400]}" if name.startswith("XX") else name


def in_threads(load, name, works):
    """Runs works side by side until the time is up; each takes a Counter of its own."""
    counts = [collections.Counter() for _ in works]

    def repeat(work, count):
        while load.goes_on():
            try:
                count[work(count)] += 1
            except Exception as error:
                count[code(error)] += 1
                time.sleep(0.1)

    for work, count in zip(works, counts):
        threading.Thread(target=repeat, args=(work, count), daemon=True).start()
    # Threads within a call are left behind.
    time.sleep(load.rest() + 1)
    load.answers.put((name, sum(map(collections.Counter.copy, counts), collections.Counter())))


def sockets(load):
    """Connections that say nothing, or a byte a second."""
    os.nice(10)
    counts = collections.Counter()
    flight_port, http_port = (urlsplit(url.replace("grpc", "http")) for url in (load.flight, load.http))
    bearer = f"Authorization: Bearer {load.tokens[MALLORIES[0]]}\r\n".encode()
    request = b"GET /v1/results?sql=SELECT%201 HTTP/1.1\r\nHost: localhost\r\n" + bearer
    large = b"GET /v1/results?sql=SELECT%20repeat('a',100000)%20AS%20a%20FROM%20generate_series(1,100) HTTP/1.1\r\n"
    kinds = [
        # Name, port, how many, what is sent at once, what is sent by bytes, whether the answer is read.
        ("silent, Flight", flight_port, SILENT, b"", b"", True),
        ("silent, HTTP", http_port, SILENT, b"", b"", True),
        ("slow headers", http_port, SLOW, request + b"X-Slow: ", b"a" * 10_000, True),
        ("slow body", http_port, SLOW, request + b"Content-Length: 10000\r\n\r\n", b"a" * 10_000, True),
        ("slow preface", flight_port, SLOW, b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 10_000, True),
        # An empty frame of settings, and no request.
        ("no request", flight_port, PREFACE, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", b"", True),
        ("unread answer", http_port, SLOW_READERS, large + b"Host: localhost\r\n" + bearer + b"\r\n", b"", False),
    ]

    async def keep(kind, port, sent, dripped, is_read):
        while load.goes_on():
            counts[f"{kind}: opened"] += 1
            try:
                reader, writer = await asyncio.wait_for(asyncio.open_connection(port.hostname, port.port, limit=1024), 10)
                writer.write(sent)
                await talk(reader, writer, dripped, is_read)
                writer.close()
            except (OSError, asyncio.TimeoutError) as error:
                counts[f"{kind}: {type(error).__name__}"] += 1
                await asyncio.sleep(0.5)

    async def talk(reader, writer, dripped, is_read):
        for at in range(10_000):
            if dripped[at : at + 1]:
                writer.write(dripped[at : at + 1])
                await writer.drain()
            if not load.goes_on():
                return
            try:
                # A byte of the answer each second, where it is not to be read.
                if not await asyncio.wait_for(reader.read(65536 if is_read else 1), 1):
                    return
                await asyncio.sleep(1)
            except asyncio.TimeoutError:
                pass

    async def all_of_them():
        tasks = [asyncio.create_task(keep(kind, port, *how)) for kind, port, count, *how in kinds for _ in range(count)]
        await asyncio.wait(tasks, timeout=load.rest() + 5)

    asyncio.run(all_of_them())
    load.answers.put(("sockets", counts))


def unread(load):
    """Results that nobody reads after the first rows."""
    os.nice(10)

    def hold(user):
        def work(_):
            client, stream = load.stream(user, random.choice(LARGE), 3 * HOSTILE_PATIENCE)
            stream.read_chunk()
            time.sleep(min(load.rest(), random.uniform(1, 2 * HOSTILE_PATIENCE)))
            del stream
            client.close()
            return "held"

        return work

    in_threads(load, "unread streams", [hold(user) for user in MALLORIES for _ in range(UNREAD_PER_USER)])


def logins(load):
    """Names and passwords that are wrong, and some that are right."""
    os.nice(10)

    def work(_):
        user = random.choice([HONEST, "admin", "nobody", f"user{random.randrange(10**6)}", *MALLORIES])
        is_right = user in MALLORIES and random.random() < 0.5
        client = flight.FlightClient(
            location(load.flight), tls_root_certs=authorities(), generic_options=[("grpc.use_local_subchannel_pool", 1)]
        )
        time.sleep(0.02)
        try:
            client.authenticate_basic_token(user, PASSWORD if is_right else "wrong password")
        finally:
            client.close()
        return "let in" if is_right else "LET IN WITH A WRONG PASSWORD"

    in_threads(load, "logins", [work] * LOGINS)


def heavy(load):
    """Statements that take a lot. Each client waits for a while, and then goes away."""
    os.nice(10)
    names = [name for name in HEAVY if re.search(load.only, name)]

    def run(user):
        def work(count):
            name, path = random.choice(names), random.choice(PATHS)
            with load.by_token(user, HOSTILE_PATIENCE) as connection:
                update(connection, "SET watershed.result_cache = 'off'")
                update(connection, f"SET watershed.execution = '{path}'")
                try:
                    rows(connection, HEAVY[name])
                except Exception as error:
                    return f"{name}: {code(error)}"
            return f"{name}: finished"

        return work

    in_threads(load, "heavy statements", [run(user) for user in MALLORIES for _ in range(HEAVY_PER_USER)])


def abandoned(load):
    """Processes that end in the middle of a result, with their connections."""
    os.nice(10)

    def leave():
        # A child: nothing of gRPC has been started before the fork.
        _client, stream = load.stream(random.choice(MALLORIES), random.choice(LARGE), HOSTILE_PATIENCE)
        for _ in range(random.randrange(4)):
            stream.read_chunk()

    count = collections.Counter()
    while load.goes_on():
        children = []
        for _ in range(ABANDONED):
            child = os.fork()
            if child == 0:
                try:
                    leave()
                except (pyarrow.ArrowException, OSError):
                    os._exit(1)
                os._exit(0)
            children.append(child)
        for child in children:
            count["left" if os.waitpid(child, 0)[1] == 0 else "refused"] += 1
    load.answers.put(("abandoned connections", count))
