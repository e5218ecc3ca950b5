"""An honest user beside hostile ones: while three users hold connections open, read nothing, log in without end and run
statements that are heavy, a fourth has its answers in time, and no process dies or grows without bound.

    WATERSHED_ADMIN_PASSWORD=secret watershed dev --executors 3 --require-login --ready-file ready.json
    hostile_load.py FLIGHT_URL HTTP_URL ADMIN_PASSWORD --minutes 10 --store-pid PID [PID ...]

The pids are those of the cluster's processes, as the ready file has them. The exit code is 1 if the 99th percentile of the
honest user's latency is a second or more, one of its statements failed or one of the administrator's, a process died, or
memory or open descriptors of a process grew by more than a quarter from the middle third of the time to the last.

Hostile clients run in processes of their own at a low priority: elsewhere, they would use the processors of other machines.
The number of statements that they run at a time is below --max-running, as users who take all places delay everyone.
"""

import argparse
import collections
import multiprocessing
import os
import pathlib
import queue
import random
import sys
import time

import hostile_clients
from adbc_driver_flightsql import DatabaseOptions
from hostile_clients import HONEST, MALLORIES, PASSWORD, Load
from support import connect, rows, update

ROWS = 200_000
LIMIT_SECONDS = 1.0
GROWTH = 1.25
# What a process may grow by anyway: a statement that happens to run, and its files.
SLACK_MIB, SLACK_DESCRIPTORS = 64, 48
SAMPLE_SECONDS = 10
# After that long, an honest statement has failed.
PATIENCE = 60
# What its GROUP BY finds in any 700 neighbours.
GROUPS = [(k, 100) for k in range(7)]

# The honest user, and the administrator.


def honest(load):
    connection = connect(load.flight, {"username": HONEST, "password": PASSWORD, **rpc_timeouts()})
    update(connection, "SET watershed.result_cache = 'off'")
    rng = random.Random(1)
    found, errors = collections.defaultdict(list), []
    while load.goes_on():
        key = rng.randrange(1, ROWS - 1000)
        for name, sql, expected in [
            ("SELECT 1", "SELECT 1", [(1,)]),
            ("point query", f"SELECT n FROM events WHERE id = {key}", [(key % 1000,)]),
            ("GROUP BY", f"SELECT k, count(*) FROM events WHERE id BETWEEN {key} AND {key + 699} GROUP BY k ORDER BY k", GROUPS),
        ]:
            start = time.perf_counter()
            try:
                answer = rows(connection, sql)
                if answer != expected:
                    errors.append(f"{sql}: {answer}")
            except Exception as error:
                errors.append(f"{sql}: {error}")
            found[name].append(time.perf_counter() - start)
            time.sleep(0.05)
    load.answers.put(("honest", (dict(found), errors)))


def rpc_timeouts():
    return {option.value: str(PATIENCE) for option in (DatabaseOptions.TIMEOUT_QUERY, DatabaseOptions.TIMEOUT_FETCH)}


def administrator(load):
    connection = connect(load.flight, {"username": "admin", "password": load.password, **rpc_timeouts()})
    latencies, errors, running = [], [], collections.Counter()
    while load.goes_on():
        start = time.perf_counter()
        try:
            sql = "SELECT state, count(*) FROM system.queries GROUP BY state"
            for state, count in rows(connection, sql):
                running[state] = max(running[state], count)
        except Exception as error:
            errors.append(str(error))
        latencies.append(time.perf_counter() - start)
        time.sleep(5)
    load.answers.put(("admin", ({"system.queries": latencies}, errors, running["running"])))


# What is measured, and what is made of it.


class Process:
    """A process of the cluster, as /proc shows it."""

    def __init__(self, pid):
        self.pid, self.samples, self.is_dead = pid, [], False

    def sample(self):
        folder = pathlib.Path(f"/proc/{self.pid}")
        try:
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
            memory = int(status["VmRSS"].split()[0]) >> 10
            self.samples.append((memory, int(status["Threads"]), len(os.listdir(folder / "fd"))))
        except (OSError, KeyError):
            # A zombie has no memory.
            self.is_dead = True

    def thirds(self, column):
        """What was measured in the middle third and in the last, on average, and the most of all."""
        values = [sample[column] for sample in self.samples] or [0]
        third = max(1, len(values) // 3)
        middle, last = values[-2 * third : -third] or values, values[-third:]
        return sum(middle) / len(middle), sum(last) / len(last), max(values)


def percentile(latencies, part):
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def print_latencies(name, latencies):
    figures = [percentile(latencies, part) * 1000 for part in (0.5, 0.99, 1)]
    print(f"{name:24} {len(latencies):7} {figures[0]:9.1f} {figures[1]:9.1f} {figures[2]:9.1f}")


def prepare(arguments, tokens):
    """Users, a table that all may read, and a token for each of the hostile ones."""
    admin = connect(arguments.flight, {"username": "admin", "password": arguments.password})
    for user in [HONEST, *MALLORIES]:
        update(admin, f"DROP USER IF EXISTS {user}")
        update(admin, f"CREATE USER {user} PASSWORD '{PASSWORD}'")
    update(admin, "CREATE OR REPLACE TABLE events (id BIGINT, k BIGINT, n BIGINT, s STRING) CLUSTERED BY (id) INTO 8 BUCKETS")
    made = f"SELECT v, v % 7, v % 1000, md5(CAST(v AS STRING)) FROM generate_series(1, {ROWS}) AS g(v)"
    update(admin, f"INSERT INTO events {made}")
    update(admin, "GRANT SELECT ON TABLE events TO public")
    for user in MALLORIES:
        tokens[user] = rows(admin, f"CREATE TOKEN load FOR {user} EXPIRES IN '1d'")[0][1]


def watch(processes, until):
    """Samples until the time is up."""
    start, busy = time.time(), []
    while time.time() < until:
        for process in processes:
            process.sample()
        busy.append(os.getloadavg()[0])
        figures = "  ".join("{} MiB/{} thr/{} fd".format(*process.samples[-1]) for process in processes if process.samples)
        print(f"{time.time() - start:6.0f} s  load {busy[-1]:5.1f}  {figures}", flush=True)
        time.sleep(min(SAMPLE_SECONDS, max(0.0, until - time.time())))
    return busy


def collect(answers, expected):
    found = {}
    deadline = time.time() + PATIENCE + 30
    while len(found) < expected and time.time() < deadline:
        try:
            name, answer = answers.get(timeout=1)
            found[name] = answer
        except queue.Empty:
            pass
    return found


def judge(found, processes):
    """Prints what was found, and gives what is wrong."""
    wrong = [f"process {process.pid} died" for process in processes if process.is_dead]
    print(f"\n{'':24} {'number':>7} {'p50 ms':>9} {'p99 ms':>9} {'max ms':>9}")
    for name in ("honest", "admin"):
        latencies, errors, *running = found.pop(name, ({}, [f"{name} gave no answer"]))
        for kind, values in latencies.items():
            print_latencies(f"{name}, {kind}", values)
        everything = [latency for values in latencies.values() for latency in values]
        if name == "honest" and everything:
            print_latencies(name, everything)
            if percentile(everything, 0.99) >= LIMIT_SECONDS:
                wrong.append(f"the honest user's 99th percentile is {percentile(everything, 0.99):.2f} s")
        kinds = collections.Counter(hostile_clients.code(error) for error in errors)
        wrong += [f"{name}: {len(errors)} failed, {dict(kinds)}, such as {errors[0][:400]}"] if errors else []
        print(*(f"{most} statements ran at a time" for most in running), end="\n" if running else "")
    columns = [("memory, MiB", 0, SLACK_MIB), ("threads", 1, None), ("descriptors", 2, SLACK_DESCRIPTORS)]
    print(f"\n{'pid':>8} {'':12} {'middle':>8} {'last':>8} {'most':>8}")
    for process in processes:
        for name, column, slack in columns:
            middle, last, most = process.thirds(column)
            print(f"{process.pid:8} {name:12} {middle:8.0f} {last:8.0f} {most:8}")
            if slack is not None and last > max(middle * GROWTH, middle + slack):
                wrong.append(f"{name} of process {process.pid} grew from {middle:.0f} to {last:.0f}")
    for name, counts in sorted(found.items()):
        print(f"\n{name}: " + ", ".join(f"{what} {count}" for what, count in counts.most_common()))
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flight")
    parser.add_argument("http")
    parser.add_argument("password")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--store-pid", type=int, nargs="+", required=True, help="pids of the cluster's processes")
    parser.add_argument("--roles", default="sockets,unread,logins,heavy,abandoned", help="the hostile clients that take part")
    parser.add_argument("--only", default="", help="a pattern of the names of heavy statements")
    arguments = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    tokens, answers = {}, spawn.Queue()
    prepare(arguments, tokens)
    load = Load(arguments, tokens, time.time() + 60 * arguments.minutes, answers)
    roles = [honest, administrator, *(getattr(hostile_clients, name) for name in arguments.roles.split(",") if name)]
    clients = []
    for role in roles:
        clients.append(spawn.Process(target=role, args=(load,), daemon=role is not hostile_clients.abandoned))
        clients[-1].start()
        # Both have their connections before logins begin to fail.
        time.sleep(3 if role is administrator else 0)
    processes = [Process(pid) for pid in arguments.store_pid]
    busy = watch(processes, load.until)
    found = collect(answers, len(roles))
    for process in processes:
        process.sample()
    for client in clients:
        client.kill()
    wrong = judge(found, processes)
    print(f"\nload average: {min(busy):.1f} to {max(busy):.1f}, {os.cpu_count()} processors")
    print("\n".join(wrong) if wrong else "all is well")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
