"""A partial answer as drivers see it. Arguments: URL, the process of an executor, and what is to be told of the
shards that are missing, as JSON."""

import json
import os
import signal
import sys
import time

import pyarrow
from pyarrow import flight

import support
from messages import command
from support import equal

QUESTION = "SELECT k, count(*), sum(v), count(DISTINCT v) FROM pairs GROUP BY k ORDER BY k"
SETTINGS = [
    "SET watershed.execution = 'pipelined'",
    "SET watershed.hedging = 'off'",
    "SET watershed.result_cache = 'off'",
    "SET watershed.partial_results = 'allow'",
    "SET watershed.deadline = '1500ms'",
]


class Frozen:
    """An executor that does nothing meanwhile."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)
        time.sleep(2)


def main(url, pid, told):
    frozen, told = Frozen(int(pid)), json.loads(told)
    with support.connect(url) as connection:
        for setting in SETTINGS:
            support.update(connection, setting)
        whole = support.rows(connection, QUESTION)
        with frozen:
            part = support.rows(connection, QUESTION)
        support.check(part != whole, "an answer without some of its rows, read as any other")
        equal(support.rows(connection, QUESTION), whole, "the next answer")

        # The session is a token's: plain Flight calls under it see its settings.
        client = flight.FlightClient(support.location(url))
        token = client.authenticate_basic_token(b"somebody", b"")
        options = flight.FlightCallOptions(headers=[token])

        def reader(sql):
            descriptor = flight.FlightDescriptor.for_command(command("CommandStatementQuery", {1: sql}))
            info = client.get_flight_info(descriptor, options)
            return client.do_get(info.endpoints[0].ticket, options)

        for setting in SETTINGS:
            descriptor = flight.FlightDescriptor.for_command(command("CommandStatementUpdate", {1: setting}))
            writer, answers = client.do_put(descriptor, pyarrow.schema([]), options)
            answers.read()
            writer.close()
        with frozen:
            chunks = [*reader(QUESTION)]
        last = chunks[-1]
        equal(last.data.num_rows, 0, "rows of the last chunk")
        equal(json.loads(last.app_metadata.to_pybytes()), told, "what it tells")
        rows = [tuple(row.values()) for chunk in chunks for row in chunk.data.to_pylist()]
        equal(rows, part, "the rows")
        with frozen:
            table = reader(QUESTION).read_all()
        equal(table.num_rows, len(part), "all at once")


main(*sys.argv[1:])
