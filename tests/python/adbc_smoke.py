"""The first things anybody does with ADBC. Arguments: URL."""

import datetime
import decimal
import sys

import pyarrow

from support import check, connect, equal, failure, rows, update

UTC = datetime.timezone.utc


def statements(connection):
    equal(rows(connection, "SELECT 1"), [(1,)], "SELECT 1")
    update(connection, "DROP TABLE IF EXISTS smoke")
    update(
        connection,
        """CREATE TABLE smoke (
             id BIGINT PRIMARY KEY, name STRING, score DOUBLE, price DECIMAL(10, 2), paid BOOLEAN,
             day DATE, seen TIMESTAMP, tags ARRAY<STRING>, body JSON, small INT
           )""",
    )
    count = update(
        connection,
        """INSERT INTO smoke VALUES
             (1, 'one', 1.5, 12.34, true, DATE '2024-02-29', TIMESTAMP '2024-02-29 12:34:56.789012',
              ['a', 'b'], '{"k": [1, 2]}', 7),
             (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)""",
    )
    equal(count, 2, "rows inserted")
    # The way of a cursor: a prepared statement that is run as a query.
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO smoke (id, name) VALUES (3, 'three')")
        check(cursor.rowcount in (-1, 1), f"rowcount {cursor.rowcount}")
    equal(rows(connection, "SELECT count(*) FROM smoke"), [(3,)], "inserted once, by a cursor too")


def types(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM smoke ORDER BY id")
        table = cursor.fetch_arrow_table()
    expected = {
        "id": pyarrow.int64(),
        "name": pyarrow.string(),
        "score": pyarrow.float64(),
        "price": pyarrow.decimal128(10, 2),
        "paid": pyarrow.bool_(),
        "day": pyarrow.date32(),
        "seen": pyarrow.timestamp("us", "UTC"),
        "body": pyarrow.string(),
        "small": pyarrow.int32(),
    }
    for name, expected_type in expected.items():
        equal(table.schema.field(name).type, expected_type, f"the type of {name}")
    tags = table.schema.field("tags").type
    check(pyarrow.types.is_list(tags) and tags.value_type == pyarrow.string(), f"the type of tags: {tags}")
    first, second, _ = table.to_pylist()
    equal(
        first,
        {
            "id": 1,
            "name": "one",
            "score": 1.5,
            "price": decimal.Decimal("12.34"),
            "paid": True,
            "day": datetime.date(2024, 2, 29),
            "seen": datetime.datetime(2024, 2, 29, 12, 34, 56, 789012, UTC),
            "tags": ["a", "b"],
            "body": '{"k": [1, 2]}',
            "small": 7,
        },
        "the first row",
    )
    equal({name for name, value in second.items() if value is not None}, {"id"}, "what is not NULL")


def parameters(connection):
    equal(rows(connection, "SELECT name FROM smoke WHERE id = ?", (1,)), [("one",)], "one parameter")
    equal(
        rows(connection, "SELECT id FROM smoke WHERE id > $1 AND name IS NOT DISTINCT FROM $2", (1, None)),
        [(2,)],
        "a NULL parameter",
    )
    many = ", ".join("?" for _ in range(12))
    equal(
        rows(connection, f"SELECT id FROM smoke WHERE id IN ({many}) ORDER BY id", tuple(range(2, 14))),
        [(2,), (3,)],
        "more than nine parameters, in order",
    )
    equal(
        rows(connection, "SELECT '?' || ? -- ?", ("x",)), [("?x",)], "question marks in texts and comments are none"
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO smoke (id, name, score) VALUES (?, ?, ?)", [(10, "ten", 0.1), (11, None, None)]
        )
        equal(cursor.rowcount, 2, "rows of executemany")
    equal(
        rows(connection, "SELECT id, name, score FROM smoke WHERE id >= 10 ORDER BY id"),
        [(10, "ten", 0.1), (11, None, None)],
        "rows of executemany",
    )


def metadata(connection):
    schema = connection.adbc_get_table_schema("smoke", db_schema_filter="public")
    equal(schema.names[:3], ["id", "name", "score"], "columns of the table")
    equal(schema.field("price").type, pyarrow.decimal128(10, 2), "the type of price")
    check(not schema.field("id").nullable, "a primary key is not nullable")
    check(schema.field("name").nullable, "other columns are")
    objects = connection.adbc_get_objects(
        depth="all", db_schema_filter="public", table_name_filter="smoke"
    ).read_all()
    [table] = [
        table
        for catalog in objects.to_pylist()
        for schema in catalog["catalog_db_schemas"] or []
        for table in schema["db_schema_tables"] or []
    ]
    equal((table["table_name"], table["table_type"]), ("smoke", "TABLE"), "the table among the objects")
    equal([column["column_name"] for column in table["table_columns"]], schema_names(connection), "its columns")
    check(set(connection.adbc_get_table_types()) >= {"TABLE", "VIEW"}, "table types")
    info = connection.adbc_get_info()
    check("atershed" in info["vendor_name"], f"vendor {info['vendor_name']}")


def schema_names(connection):
    return [name for (name, *_) in rows(connection, "DESCRIBE smoke")]


def errors(connection):
    for sql, code in [
        ("SELEC 1", "42601"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT nothing FROM smoke", "42703"),
        ("SELECT 1 / 0", "22012"),
    ]:
        text = failure(connection, sql)
        check(f"SQLSTATE {code}" in text, f"{sql}: {text}")
    equal(rows(connection, "SELECT 2"), [(2,)], "the connection after errors")


def sessions(connection, url):
    update(connection, "SET watershed.execution = 'local'")
    equal(rows(connection, "SHOW watershed.execution")[0][-1], "local", "a setting")
    with connect(url) as other:
        equal(rows(other, "SHOW watershed.execution")[0][-1], "auto", "a setting of another session")


def main(url):
    with connect(url) as connection:
        statements(connection)
        types(connection)
        parameters(connection)
        metadata(connection)
        errors(connection)
        sessions(connection, url)
        update(connection, "DROP TABLE smoke")
        check("SQLSTATE 42P01" in failure(connection, "SELECT * FROM smoke"), "the table is gone")


main(*sys.argv[1:])
