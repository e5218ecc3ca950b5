"""pandas and polars write: what they make of a frame, in every mode, comes back as it was. Arguments: URL."""

import datetime
import decimal
import sys

import pandas
import polars

from support import check, connect, equal, raised, rows, update

UTC = datetime.timezone.utc
AT = datetime.datetime(2024, 2, 29, 12, 34, 56, 789012, UTC)


def frame_of_pandas():
    return pandas.DataFrame(
        {
            "id": [1, 2],
            "score": [1.5, None],
            "name": ["ünï", None],
            "paid": [True, False],
            "at": pandas.to_datetime([AT, None], utc=True),
        }
    )


def frame_of_polars():
    return polars.DataFrame(
        {
            "id": [1, 2],
            "score": [1.5, None],
            "name": ["ünï", None],
            "price": [decimal.Decimal("12.34"), None],
            "day": [AT.date(), None],
            "at": [AT, None],
            "tags": [["a", "b"], None],
        }
    )


def pandas_writes(connection):
    frame = frame_of_pandas()
    equal(frame.to_sql("panda", connection, index=False), 2, "rows of pandas")
    back = pandas.read_sql("SELECT * FROM panda ORDER BY id", connection)
    equal(back["name"].tolist()[0], "ünï", "texts of pandas")
    equal(back["at"][0], pandas.Timestamp(AT), "instants of pandas")
    equal(back[["score", "name", "at"]].loc[1].isna().all(), True, "NULLs of pandas")
    raised(lambda: frame.to_sql("panda", connection, index=False), Exception, "a table that is there")
    frame.to_sql("panda", connection, index=False, if_exists="append")
    equal(rows(connection, "SELECT count(*) FROM panda"), [(4,)], "rows that pandas appended")
    frame.head(1).to_sql("panda", connection, index=False, if_exists="replace")
    equal(rows(connection, "SELECT count(*) FROM panda"), [(1,)], "rows that pandas replaced by others")
    frame.rename_axis("row").to_sql("panda", connection, schema="zoo", index=True)
    equal(rows(connection, "SELECT row, id FROM zoo.panda ORDER BY row"), [(0, 1), (1, 2)], "an index in a schema")


def polars_writes(connection):
    frame = frame_of_polars()

    def write(table="bear", **options):
        return frame.write_database(table, connection, engine="adbc", **options)

    equal(write(), 2, "rows of polars")
    back = polars.read_database("SELECT * FROM bear ORDER BY id", connection)
    equal(back.to_dicts(), frame.to_dicts(), "values of polars")
    raised(write, Exception, "a table that is there")
    equal(write(if_table_exists="append"), 2, "rows that polars appended")
    equal(rows(connection, "SELECT count(*) FROM bear"), [(4,)], "rows of both")
    equal(write(if_table_exists="replace"), 2, "rows that polars replaced by others")
    equal(rows(connection, "SELECT count(*) FROM bear"), [(2,)], "rows of the last")
    equal(write("zoo.bear"), 2, "rows of polars in a schema")
    check(connection.adbc_get_table_schema("bear", db_schema_filter="zoo").names == frame.columns, "columns there")


def main(url):
    with connect(url) as connection:
        update(connection, "CREATE SCHEMA zoo")
        pandas_writes(connection)
        polars_writes(connection)
        for table in ("panda", "bear", "zoo.panda", "zoo.bear"):
            update(connection, f"DROP TABLE {table}")
        update(connection, "DROP SCHEMA zoo")


main(*sys.argv[1:])
