"""flightsql-dbapi and its SQLAlchemy dialect: reflection, queries, the ORM, parameters. Arguments: URL."""

import os
import sys
import urllib.parse
import warnings

import flightsql
import flightsql.sqlalchemy  # registers the dialect
import sqlalchemy
from flightsql.client import TableRef
from sqlalchemy import func, orm, select, types

from support import authorities, check, credentials, equal, raised

TABLES = [
    "CREATE SCHEMA library",
    """CREATE TABLE library.books (
         isbn BIGINT PRIMARY KEY, title STRING, price DECIMAL(8, 2), weight DOUBLE, pages INT,
         printed DATE, added TIMESTAMP, cover BINARY, lent BOOLEAN
       )""",
    "CREATE TABLE library.readers (id BIGINT, name STRING)",
    "CREATE VIEW library.cheap AS SELECT isbn, title FROM library.books WHERE price < 10",
    """INSERT INTO library.books VALUES
         (1, 'Solaris', 9.50, 0.3, 204, '1961-01-01', '2024-02-29 12:00:00', X'00ff', true),
         (2, 'Roadside Picnic', 12, NULL, NULL, NULL, NULL, NULL, false),
         (3, 'Ubik', 8, 0.2, 202, '1969-05-01', NULL, NULL, NULL)""",
]

PREPARED, PRIMARY_KEYS = "sqlalchemy-prepared-statements", "sqlalchemy-primary-keys"

Base = orm.declarative_base()


class Book(Base):
    __tablename__ = "books"
    __table_args__ = {"schema": "library"}
    isbn = sqlalchemy.Column(types.BigInteger, primary_key=True)
    title = sqlalchemy.Column(types.Text)
    price = sqlalchemy.Column(types.Numeric(8, 2))
    pages = sqlalchemy.Column(types.Integer)


def client(url, user=None, password=None, **features):
    """The library's own client; without a user it says `Bearer None`."""
    host = urllib.parse.urlsplit(url)
    return flightsql.FlightSQLClient(
        host=host.hostname,
        port=host.port,
        user=user,
        password=password,
        insecure=not url.startswith("https://"),
        tls_root_certs=authorities(),
        features=features,
    )


def engine(url, user=None, password=None, **features):
    """An engine as a URL describes it.

    Without prepared statements the dialect writes values into the compiled statement, which SQLAlchemy would then
    keep for other values as well: such an engine must not cache.
    """
    query = {f"feature-{name}": value for name, value in features.items()}
    if not url.startswith("https://"):
        query["insecure"] = "true"
    host = urllib.parse.urlsplit(url)
    place = sqlalchemy.engine.URL.create("datafusion+flightsql", user, password, host.hostname, host.port, query=query)
    return sqlalchemy.create_engine(place, **({} if PREPARED in features else {"query_cache_size": 0}))


def updates(url, who):
    connection = client(url, *who)
    counts = [connection.execute_update(sql) for sql in TABLES]
    equal(counts, [0, 0, 0, 0, 3], "rows that updates say they wrote")
    connection.close()


def reflection(bound):
    inspector = sqlalchemy.inspect(bound)
    check({"library", "public", "system"} <= set(inspector.get_schema_names()), "schemas")
    equal(sorted(inspector.get_table_names("library")), ["books", "cheap", "readers"], "tables and views")
    equal(inspector.get_table_names("nowhere"), [], "tables of a schema that is not there")
    check(inspector.has_table("books", "library"), "a table that is there")
    check(not inspector.has_table("nothing", "library"), "a table that is not")
    columns = {column["name"]: column for column in inspector.get_columns("books", "library")}
    expected = {
        "isbn": types.BIGINT,
        "title": types.TEXT,
        "price": types.DECIMAL,
        "weight": types.FLOAT,
        "pages": types.INTEGER,
        "printed": types.DATE,
        "added": types.TIMESTAMP,
        "cover": types.BINARY,
        "lent": types.BOOLEAN,
    }
    equal({name: type(column["type"]) for name, column in columns.items()}, expected, "types of columns")
    equal([name for name, column in columns.items() if not column["nullable"]], ["isbn"], "columns without NULL")


def primary_keys(url, who):
    inspector = sqlalchemy.inspect(engine(url, *who, **{PRIMARY_KEYS: "on"}))
    key = inspector.get_pk_constraint("books", "library")
    equal(key, {"constrained_columns": ["isbn"], "name": "books_pkey"}, "a primary key")
    equal(inspector.get_pk_constraint("readers", "library")["constrained_columns"], [], "none")


def core(bound):
    metadata = sqlalchemy.MetaData()
    books = sqlalchemy.Table("books", metadata, schema="library", autoload_with=bound)
    with bound.connect() as connection:
        cheap = select(books.c.title).where(books.c.price < 10).order_by(books.c.title)
        equal([tuple(row) for row in connection.execute(cheap)], [("Solaris",), ("Ubik",)], "a query")
        # The dialect writes values into the statement when it compiles it, so a text has to have them by then.
        text = sqlalchemy.text("SELECT title, pages FROM library.books WHERE isbn = :isbn").bindparams(isbn=2)
        equal([tuple(row) for row in connection.execute(text)], [("Roadside Picnic", None)], "a text")
        grouped = select(books.c.lent, func.count()).group_by(books.c.lent).order_by(func.count(), books.c.lent)
        equal(len(connection.execute(grouped).all()), 3, "groups")
        for sql in ["SELECT 1 WHERE false", "SELECT title FROM library.books LIMIT 0"]:
            equal(connection.execute(sqlalchemy.text(sql)).all(), [], sql)
        error = raised(lambda: connection.execute(sqlalchemy.text("SELECT nothing")).all(), Exception, "an error")
        check("SQLSTATE 42703" in str(error), f"an error: {error}")


def objects(bound):
    """The ORM, over either way of sending values."""
    with orm.Session(bound) as session:
        for isbn, title, pages in [(1, "Solaris", 204), (2, "Roadside Picnic", None), (3, "Ubik", 202)]:
            book = session.scalars(select(Book).where(Book.isbn == isbn)).one()
            equal((book.title, book.pages), (title, pages), f"book {isbn}")
        equal(str(session.scalars(select(Book.price).order_by(Book.isbn)).first()), "9.50", "a decimal")
        titles = select(Book.title).where(Book.title.like("%i%")).order_by(Book.title.desc()).limit(2)
        equal(session.scalars(titles).all(), ["Ubik", "Solaris"], "a query of titles")
        listed = select(Book.title).where(Book.isbn.in_([1, 3])).order_by(Book.isbn)
        equal(session.scalars(listed).all(), ["Solaris", "Ubik"], "a list")
        equal(session.query(func.sum(Book.pages)).scalar(), 406, "an aggregate")


def prepared(url, who):
    """Parameters are dense unions, and the handle that binding gives is not read."""
    bound = engine(url, *who, **{PREPARED: "on"})
    objects(bound)
    with orm.Session(bound) as session:
        equal([session.get(Book, isbn).title for isbn in (3, 1)], ["Ubik", "Solaris"], "objects by their key")
        text = sqlalchemy.text("SELECT title FROM library.books WHERE isbn = :isbn")
        equal(session.execute(text, {"isbn": 2}).scalar(), "Roadside Picnic", "a text with a value")
    with flightsql.connect(client(url, *who)) as connection, connection.cursor() as cursor:
        for value in (1, 1.0, "1"):
            cursor.execute("SELECT title FROM library.books WHERE isbn = ?", (value,))
            equal(cursor.fetchall(), [["Solaris"]], f"isbn as {value!r}")
        cursor.execute("SELECT isbn FROM library.books WHERE lent = ? AND cover = ?", (True, b"\x00\xff"))
        equal(cursor.fetchall(), [[1]], "a flag and bytes")
        cursor.executemany("INSERT INTO library.readers VALUES (?, ?)", [(1, "Ada"), (2, "Bob")])
        cursor.execute("SELECT count(*) FROM library.readers")
        equal(cursor.fetchall(), [[2]], "rows of executemany")


def raw_metadata(url, who):
    connection = client(url, *who)
    ref = TableRef(db_schema="library", table="books")
    asked = {
        "catalogs": connection.get_catalogs(),
        "table types": connection.get_table_types(),
        "types": connection.get_xdbc_type_info(None),
        "exported keys": connection.get_exported_keys(ref),
        "imported keys": connection.get_imported_keys(ref),
        "cross reference": connection.get_cross_reference(ref, ref),
    }
    counts = {what: connection.do_get(info.endpoints[0].ticket).read_all().num_rows for what, info in asked.items()}
    equal((counts["catalogs"], counts["table types"]), (1, 3), "catalogs and table types")
    equal(sum(count for what, count in counts.items() if what.endswith(("keys", "reference"))), 0, "foreign keys")
    check(counts["types"] > 5, f"types: {counts}")


def main(url):
    if authorities():
        # A URL has no place for certificates; gRPC looks for them here.
        os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = os.environ["WATERSHED_TEST_CA"]
    warnings.simplefilter("ignore", sqlalchemy.exc.SAWarning)  # it says that decimals come by way of floats
    who = credentials() or (None, None)
    updates(url, who)
    bound = engine(url, *who)
    reflection(bound)
    primary_keys(url, who)
    core(bound)
    objects(bound)
    prepared(url, who)
    raw_metadata(url, who)
    if not credentials():
        # Whoever insists on a user is let in as well.
        reflection(engine(url, "somebody", "secret"))


main(*sys.argv[1:])
