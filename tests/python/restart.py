"""What was committed is there after every process was killed. Arguments: URL write | URL read."""

import sys

from support import connect, equal, rows, update

DAYS = 3
ROWS = 600


def write(connection):
    update(
        connection,
        "CREATE TABLE kept (id BIGINT PRIMARY KEY, user_id BIGINT, name STRING, day DATE) "
        "PARTITIONED BY (day) CLUSTERED BY (user_id) INTO 4 BUCKETS",
    )
    update(connection, "CREATE SCHEMA archive")
    update(connection, "CREATE VIEW archive.per_day AS SELECT day, count(*) AS n, sum(id) AS ids FROM kept GROUP BY day")
    update(connection, "CREATE TABLE gone (id INT)")
    update(connection, "DROP TABLE gone")
    for day in range(DAYS):
        values = ", ".join(
            f"({id}, {id % 17}, 'name {id}', DATE '2024-05-0{day + 1}')" for id in range(day, ROWS, DAYS)
        )
        equal(update(connection, f"INSERT INTO kept VALUES {values}"), ROWS // DAYS, "rows inserted")
    update(connection, "CREATE TABLE copied AS SELECT user_id, count(*) AS n FROM kept GROUP BY user_id")
    update(connection, "ALTER TABLE kept ADD COLUMN note STRING")


def read(connection):
    equal(
        rows(connection, "SELECT count(*), count(DISTINCT id), sum(id), count(note) FROM kept"),
        [(ROWS, ROWS, ROWS * (ROWS - 1) // 2, 0)],
        "the rows",
    )
    ids = [sum(range(day, ROWS, DAYS)) for day in range(DAYS)]
    equal(
        rows(connection, "SELECT n, ids FROM archive.per_day ORDER BY day"),
        [(ROWS // DAYS, total) for total in ids],
        "the view",
    )
    equal(rows(connection, "SELECT count(*), sum(n) FROM copied"), [(17, ROWS)], "the copy")
    equal(
        rows(connection, "SELECT id, name FROM kept WHERE user_id = 5 AND id < 30 ORDER BY id"),
        [(5, "name 5"), (22, "name 22")],
        "a point query",
    )
    equal(
        rows(connection, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'gone'"),
        [(0,)],
        "what was dropped",
    )
    update(connection, "INSERT INTO kept (id, user_id, note) VALUES (100000, 1, 'after')")
    equal(rows(connection, "SELECT note FROM kept WHERE id = 100000"), [("after",)], "a row written afterwards")


def main(url, phase):
    with connect(url) as connection:
        {"write": write, "read": read}[phase](connection)


main(*sys.argv[1:])
