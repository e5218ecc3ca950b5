"""Every documented statement, verbatim and in order, twice. Arguments: URL FILE."""

import pathlib
import sys

from support import connect, equal, rows, statements, update

OBJECTS = {
    "batch_metrics",
    "cache_invalidation_events",
    "cache_layers",
    "cdn_logs",
    "content_shard_map",
    "data_residency_rules",
    "distributed_query_cache",
    "event_topics",
    "playback_quality_decisions",
    "raw_events",
    "realtime_metrics",
    "replication_status",
    "service_registry",
    "stream_jobs",
    "stream_state",
    "trace_events",
    "unified_metrics",
    "user_shard_map",
}


def main(url, file):
    documented = statements(pathlib.Path(file).read_text())
    equal(len(documented), len(OBJECTS), "documented statements")
    with connect(url) as connection:
        for _ in range(2):
            for sql in documented:
                update(connection, sql)
            # Applications that use a cursor send the same as a prepared query.
            with connection.cursor() as cursor:
                for sql in documented:
                    cursor.execute(sql)
        tables = {
            name
            for (name,) in rows(
                connection, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            )
        }
        equal(OBJECTS - tables, set(), "documented objects that are missing")
        for name in sorted(OBJECTS):
            rows(connection, f"SELECT * FROM {name} LIMIT 1")
            described = [column[0] for column in rows(connection, f"DESCRIBE {name}")]
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT * FROM {name} LIMIT 0")
                equal([column[0] for column in cursor.description], described, f"the columns of {name}")


main(*sys.argv[1:])
