"""Replays a dashboard on another engine over Parquet files. Reads the task as JSON, prints what came of it.

Each query is due at a moment that does not depend on the others. As many run at a time as there are
processors; what is due waits for its turn, and what had none when the time was over was not done.
"""

import json
import os
import queue
import sys
import threading
import time


def percentiles(values):
    values = sorted(values)
    at = lambda share: values[min(len(values) - 1, int(len(values) * share))] if values else None
    return {"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0)}


def text(panel, source, now, minute, interval):
    """A panel's query in the words of an engine."""
    asked = minute(now) if panel["whole_minutes"] else now
    keys = [minute("ts") if key == "minute" else key for key in panel["keys"]]
    conditions = [f"ts > {asked} - {interval(panel['minutes'])}"] + [c for c in [panel["condition"]] if c]
    return (
        f"SELECT {', '.join(keys)}, count(*), sum(bytes), avg(ms), max(ts), {asked} FROM {source} "
        f"WHERE {' AND '.join(conditions)} GROUP BY {', '.join(str(n + 1) for n in range(len(keys)))}"
    )


class DuckDB:
    def __init__(self, files):
        import duckdb

        self.database = duckdb.connect(config={"threads": os.cpu_count()})
        # Files are never changed: what their footers say may be kept.
        self.database.execute("SET parquet_metadata_cache = true")
        self.database.execute("SET TimeZone = 'UTC'")
        self.version = duckdb.__version__
        self.source = f"read_parquet('{files}', hive_partitioning = false)"

    def sql(self, panel):
        minute = lambda value: f"date_trunc('minute', {value})"
        return text(panel, self.source, "now()", minute, lambda minutes: f"INTERVAL {minutes} MINUTE")

    def worker(self):
        cursor = self.database.cursor()
        return lambda sql: cursor.execute(sql).to_arrow_table()


class ChDB:
    def __init__(self, files):
        import chdb
        from chdb import session

        self.session = session.Session()
        self.version = chdb.__version__
        self.source = f"file('{files}', Parquet)"
        self.lock = threading.Lock()

    def sql(self, panel):
        minute = lambda value: f"toStartOfMinute({value})"
        return text(panel, self.source, "now64(6)", minute, lambda minutes: f"INTERVAL {minutes} MINUTE")

    def worker(self):
        def run(sql):
            # A session takes one query at a time, and uses all processors for it.
            with self.lock:
                return self.session.query(sql, "ArrowStream").bytes()

        return run


def main():
    task = json.load(sys.stdin)
    engine = {"duckdb": DuckDB, "chdb": ChDB}[task["engine"]](task["files"])
    texts = [engine.sql(panel) for panel in task["panels"]]
    warm = engine.worker()
    for sql in texts[:4]:
        warm(sql)
    gap = task["refresh"] / (len(texts) * task["viewers"])
    due = int(task["duration"] / gap)
    waiting, from_due, running, errors = queue.SimpleQueue(), [], [], []
    start = time.monotonic()
    end = start + task["duration"]

    def work():
        run = engine.worker()
        while (entry := waiting.get()) is not None:
            moment, sql = entry
            begin = time.monotonic()
            if begin > end:
                continue
            try:
                run(sql)
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
                continue
            now = time.monotonic()
            from_due.append((now - moment) * 1e3)
            running.append((now - begin) * 1e3)

    workers = [threading.Thread(target=work) for _ in range(os.cpu_count())]
    for worker in workers:
        worker.start()
    processor = time.process_time()
    for number in range(due):
        moment = start + number * gap
        time.sleep(max(0.0, moment - time.monotonic()))
        waiting.put((moment, texts[number % len(texts)]))
    time.sleep(max(0.0, end - time.monotonic()))
    for _ in workers:
        waiting.put(None)
    for worker in workers:
        worker.join()
    if errors and not running:
        sys.exit(errors[0])
    outcome = {
        "version": engine.version,
        "due": due,
        "done": len(running),
        "failed": len(errors),
        "milliseconds_from_due": percentiles(from_due),
        "milliseconds_running": percentiles(running),
        "cores": (time.process_time() - processor) / task["duration"],
    }
    print(json.dumps(outcome))


main()
