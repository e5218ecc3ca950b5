"""Every function with no argument, with NULL and with one argument of each type, over a table, so that executors run it: it
gives a result or an error of its user, which names no type of a library, and it never fails as a mistake of the server."""

import queue
import re
import sys
import threading

from support import connect, rows, update

COLUMNS = {
    "b": "BOOLEAN",
    "i": "INT",
    "d": "DOUBLE",
    "de": "DECIMAL(10, 2)",
    "s": "STRING",
    "bin": "BINARY",
    "dt": "DATE",
    "ts": "TIMESTAMP",
    "l": "ARRAY<INT>",
    "st": "STRUCT<a INT>",
}
ARGUMENTS = ["", "NULL", *COLUMNS, "ts - ts", "NULL, NULL", "s, s", "i, i", "l, i", "s, ts"]
INTERNAL = re.compile(
    r"\b(Utf8|LargeUtf8|Utf8View|U?Int(8|16|32|64)|Float(16|32|64)|Date(32|64)|Decimal(32|64|128|256)|DataType|Expr)\b"
    r"|\b[A-Z]\w+Exec\b|\b(Timestamp|Struct|List|Interval|Duration|Union|FixedSizeBinary|Signature|UserDefined|TypeSignatureClass)\(|user-defined coercion"
)
# What waits.
LEFT_OUT = {"pg_sleep", "sleep"}


def judge(text):
    """What is wrong with an error."""
    if re.search(r"\bXX0", text):
        return "a mistake of the server"
    if INTERNAL.search(text):
        return "names of a library's types"
    if not re.search(r"\b[0-9A-Z]{2}[0-9A-Z]{3}\b", text):
        return "no SQLSTATE"
    return None


def work(url, calls, wrong):
    connection = connect(url)
    update(connection, "SET watershed.result_cache = 'off'")
    update(connection, "SET watershed.execution = 'pipelined'")
    update(connection, "SET statement_timeout = '30s'")
    while True:
        try:
            sql = calls.get_nowait()
        except queue.Empty:
            return
        try:
            rows(connection, sql)
        except (OverflowError, ValueError):
            # A time that Python has no value for.
            continue
        except Exception as error:
            fault = judge(str(error))
            if fault:
                wrong.append(f"{sql}\n  {fault}: {str(error)[:300]}")


def main(url, pattern=""):
    connection = connect(url)
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    update(connection, f"CREATE TABLE anything (k BIGINT, {columns}) CLUSTERED BY (k) INTO 2 BUCKETS")
    update(
        connection,
        "INSERT INTO anything SELECT k, k > 1, CAST(k AS INT), 2.5, 3.25, 'a', X'00ff', DATE '2024-02-29', "
        "TIMESTAMP '2024-02-29 12:34:56', ARRAY[1, 2], named_struct('a', 1) FROM (VALUES (1), (2)) t(k)",
    )
    names = [row[0] for row in rows(connection, "SELECT DISTINCT routine_name FROM information_schema.routines ORDER BY 1")]
    assert len(names) > 400, names
    calls, wrong = queue.Queue(), []
    for name in names:
        if name not in LEFT_OUT and re.search(pattern, name):
            quoted = name if re.fullmatch("[a-z_][a-z0-9_]*", name) else f'"{name}"'
            for argument in ARGUMENTS:
                # What is sorted by it, a sort has to recognize.
                calls.put(f"SELECT {quoted}({argument}) FROM anything ORDER BY 1")
    count = calls.qsize()
    threads = [threading.Thread(target=work, args=(url, calls, wrong)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{len(names)} functions, {count} calls")
    assert not wrong, f"{len(wrong)} calls:\n" + "\n".join(sorted(wrong))


if __name__ == "__main__":
    main(*sys.argv[1:])
