"""SQLAlchemy 2 with sqlalchemy-adbc, and pandas over it, in an environment of their own. Arguments: URL, the folder of
the environment; without the folder, this is the environment."""

import datetime
import decimal
import sys

from checks import check
from environments import engine_address, enter


def main(url):
    import pandas
    import sqlalchemy as sa
    from sqlalchemy import case, func, literal, select

    engine = sa.create_engine(engine_address(url))
    books = sa.Table(
        "books2",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("name", sa.String(20)),
        sa.Column("price", sa.Numeric(10, 2)),
        sa.Column("at", sa.DateTime),
        sa.Column("day", sa.Date),
        sa.Column("weight", sa.Float),
        sa.Column("lent", sa.Boolean),
        sa.Column("body", sa.Text),
    )

    def rows(statement):
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(statement)]

    def equal(statement, expected):
        found = rows(statement)
        check(found == expected, f"{statement}: {found}, not {expected}")

    books.create(engine)
    with engine.begin() as connection:
        day = datetime.date(2024, 1, 1)
        first = {"id": 1, "name": "a", "price": decimal.Decimal("1.50"), "at": datetime.datetime(2024, 1, 1), "day": day}
        connection.execute(books.insert().values(**first, weight=1.5, lent=True, body="x"))
        more = [{"id": number, "name": str(number), "price": decimal.Decimal(number)} for number in range(2, 5)]
        connection.execute(books.insert(), more)
    id_, weight = books.c.id, books.c.weight
    kind = case((id_ > 1, "many"), else_="one")
    equal(select(id_).where(books.c.name == "a"), [(1,)])
    equal(select(id_).where(id_.in_([1, 2])).order_by(id_), [(1,), (2,)])
    equal(select(id_).order_by(id_).limit(2).offset(1), [(2,), (3,)])
    equal(select(kind.label("k"), func.count()).group_by(kind).order_by("k"), [("many", 3), ("one", 1)])
    equal(select((id_ / 2).label("k"), func.count()).group_by(id_ / 2).where(id_ < 2), rows(select(id_ / 2, 1).where(id_ < 2)))
    equal(select(func.sum(case((id_ > 1, 1), else_=0))), [(3,)])
    for condition, count in [
        (books.c.name == "2", 1),
        (books.c.name.in_(["2.0", "03"]), 0),
        (books.c.at >= datetime.datetime(2024, 1, 1), 1),
        (books.c.lent == sa.true(), 1),
        (books.c.lent == literal(True), 1),
    ]:
        equal(select(func.sum(case((condition, 1), else_=0))), [(count,)])
    equal(select(func.round(weight / 4, 2)).where(id_ == 1), [(0.38,)])
    equal(select(func.coalesce(books.c.body, "none")).where(id_ == 2), [("none",)])
    equal(select(func.substr(books.c.name, 1, 1)).where(id_ == 1), [("a",)])
    equal(select(literal(1).label("x")).union_all(select(literal(2))).order_by("x"), [(1,), (2,)])
    equal(select(sa.extract("year", books.c.at)).where(id_ == 1), [(2024,)])
    equal(select(id_).where(books.c.price.between(1, 2)).order_by(id_), [(1,), (2,)])
    equal(select(books.c.price).where(id_ == 1), [(decimal.Decimal("1.50"),)])
    pairs = sa.values(sa.column("a", sa.Integer), sa.column("b", sa.String), name="v").data([(1, "x"), (2, "y")])
    equal(select(pairs).order_by(pairs.c.a), [(1, "x"), (2, "y")])
    try:
        with engine.begin() as connection:
            connection.execute(books.insert().values(id=9, name="x" * 21))
    except sa.exc.DBAPIError as error:
        check("22001" in str(error), f"a text that is too long: {error}")
    else:
        raise AssertionError("a text that is too long was written")
    reflected = sa.Table("books2", sa.MetaData(), schema="public", autoload_with=engine)
    check(list(reflected.columns.keys()) == list(books.columns.keys()), f"columns: {reflected.columns.keys()}")
    frame = pandas.read_sql(select(id_, books.c.name).order_by(id_), engine)
    check(frame["id"].tolist() == [1, 2, 3, 4], f"a frame: {frame}")


enter("sqlalchemy2.txt")
main(sys.argv[1])
