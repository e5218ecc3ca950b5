"""Data of an object store: other aggregates over the same files fetch none of it, wherever they run, and a file that
is overwritten in place is another at once."""

import io
import pathlib
import sys
import time

import boto3
import pyarrow
import pyarrow.parquet
import support

FILES = 4
ROWS = 20_000


def main():
    url, endpoint, log = sys.argv[1:]
    requests = pathlib.Path(log)
    store = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="tester",
        aws_secret_access_key="secret",
    )

    def put(number, first):
        """Numbers from `first` on; files of different ones have one size."""
        numbers = range(first, first + ROWS)
        table = pyarrow.table({"n": numbers, "half": [n / 2 for n in numbers]})
        file = io.BytesIO()
        pyarrow.parquet.write_table(table, file, compression="NONE", use_dictionary=False)
        store.put_object(Bucket="watershed", Key=f"others/{number}.parquet", Body=file.getvalue())
        return len(file.getvalue())

    def gets():
        """How often data was asked for so far."""
        lines = requests.read_text().splitlines()
        return sum(line.startswith("GET /watershed/others/") for line in lines)

    connection = support.connect(url)

    def ask(sql, path):
        """Its only row, what it fetched, and what the system says that it did."""
        before = gets()
        (row,) = support.rows(connection, sql)
        (ran,) = support.rows(
            connection,
            "SELECT execution, bytes_scanned, data_bytes_cached, fragments_cached FROM system.queries"
            f" WHERE statement = '{sql}' ORDER BY started_at DESC LIMIT 1",
        )
        assert ran[0] == path, ran
        return row, gets() - before, ran

    for number in range(FILES):
        put(number, number * ROWS)
    support.update(connection, "CREATE EXTERNAL TABLE others STORED AS PARQUET LOCATION 's3://watershed/others/'")
    support.update(connection, "SET watershed.result_cache = 'off'")

    total = FILES * ROWS
    for setting, path in [("pipelined", "gather"), ("local", "local"), ("staged", "staged")]:
        support.update(connection, f"SET watershed.execution = '{setting}'")
        row, fetched, _ = ask("SELECT sum(n), sum(half) FROM others WHERE n >= 0", path)
        # Stages run on the executor, too, which has it all.
        assert (fetched > 0) == (path != "staged"), (path, fetched)
        assert row == (total * (total - 1) // 2, total * (total - 1) / 4), row
        row, fetched, ran = ask("SELECT avg(n), max(half), count(*) FROM others WHERE n % 2 = 0", path)
        assert row == (total / 2 - 1, total / 2 - 1, total // 2), row
        assert fetched == 0, (path, fetched)
        # A staged plan's figures are not brought to the scheduler.
        assert path == "staged" or ran[1] == ran[2] > 0, ran

    # As often as it goes within a second: neither size nor time say that it is another file.
    support.update(connection, "SET watershed.execution = 'pipelined'")
    size = put(0, 0)
    for change in range(1, 8):
        first = change * 1_000_000
        assert put(0, first) == size
        row, fetched, ran = ask("SELECT max(n), min(n), sum(half) FROM others WHERE n >= 0 AND half >= 0", "gather")
        others = [n for number in range(1, FILES) for n in (number * ROWS, (number + 1) * ROWS - 1)]
        halves = sum((first + n) / 2 for n in range(ROWS)) + sum(n / 2 for n in range(ROWS, total))
        assert row == (first + ROWS - 1, min(others), halves), (change, row)
        # The other files are as they were.
        assert change == 1 or ran[3] > 0, ran

    # On request it is all forgotten.
    counts = "SELECT count(half), max(n) FROM others WHERE n > 17"
    ask(counts, "gather")
    support.update(connection, "SET watershed.fragment_cache = 'off'")
    assert ask(counts, "gather")[1] == 0
    support.update(
        connection,
        "INSERT INTO cache_invalidation_events (cache_key, invalidation_reason) VALUES ('*', 'a test')",
    )
    pending = "SELECT count(*) FROM cache_invalidation_events WHERE processed_at IS NULL"
    deadline = time.monotonic() + 30
    while support.rows(connection, pending) != [(0,)]:
        assert time.monotonic() < deadline, "not all have confirmed"
        time.sleep(0.05)
    assert ask(counts, "gather")[1] > 0


main()
