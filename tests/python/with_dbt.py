"""dbt over its adapter dbt-qod: the project in `dbt_shop`, as its commands run it. Arguments: URL, the folder of an
environment, made if this is the first to ask; without the folder, this is the environment."""

import datetime
import decimal
import json
import os
import pathlib
import shutil
import sys
import tempfile
import urllib.parse

from checks import check, equal
from environments import connect, credentials, enter

PROJECT = pathlib.Path(__file__).parent / "dbt_shop"
Decimal, Date, UTC = decimal.Decimal, datetime.date, datetime.timezone.utc


def at(*parts):
    return datetime.datetime(*parts, tzinfo=UTC)


class Shop:
    """A copy of the project, its commands, and what its tables hold."""

    def __init__(self, url, folder):
        from dbt.cli.main import dbtRunner

        host = urllib.parse.urlsplit(url)
        secure = "true" if host.scheme == "https" else "false"
        variables = {"HOST": host.hostname, "PORT": str(host.port), "TLS": secure}
        variables.update({"USER" if name == "username" else "PASSWORD": value for name, value in credentials().items()})
        os.environ.update({f"WATERSHED_{name}": value for name, value in variables.items()})
        os.environ.update(DBT_PROFILES_DIR=str(folder), DBT_PROJECT_DIR=str(folder), DBT_LOG_LEVEL="none", DBT_QUIET="true")
        self.folder = folder
        self.runner = dbtRunner()
        self.connection = connect(url)

    def invoke(self, *arguments):
        """What a command says of each node: its state and its message."""
        done = self.runner.invoke(list(arguments))
        if done.exception:
            raise done.exception
        results = [result for result in getattr(done.result, "results", None) or [] if hasattr(result, "node")]
        broken = [result.message for result in results if result.node.resource_type == "operation" and result.status != "success"]
        check(not broken, f"hooks: {broken}")
        nodes = [result for result in results if result.node.resource_type != "operation"]
        return {result.node.name: (str(result.status), str(result.message)) for result in nodes}

    def succeed(self, *arguments):
        found = self.invoke(*arguments)
        wrong = {name: said for name, said in found.items() if said[0] not in ("success", "pass", "warn")}
        check(not wrong, f"dbt {' '.join(arguments)}: {wrong}")
        return found

    def rows(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def types(self, table):
        listed = f"""SELECT column_name, data_type FROM information_schema.columns
                     WHERE table_schema = 'shop' AND table_name = '{table}' ORDER BY ordinal_position"""
        return dict(self.rows(listed))


def seeds(shop):
    shop.succeed("seed")
    expected = {"id": "BIGINT", "order_id": "BIGINT", "method": "STRING", "amount": "DECIMAL(10, 2)"}
    equal(shop.types("raw_payments"), expected, "types of a seed")
    equal(shop.types("raw_customers")["joined"], "DATE", "a date in a seed")
    equal(shop.types("raw_orders")["ordered_at"], "TIMESTAMP", "an instant in a seed")
    names = [(1, "Ada"), (2, "O'Brien, Pat"), (3, "Zoë"), (4, None)]
    equal(shop.rows("SELECT id, name FROM shop.raw_customers ORDER BY id"), names, "rows of a seed")
    shop.succeed("seed")
    equal(shop.rows("SELECT count(*), sum(amount) FROM shop.raw_payments"), [(6, Decimal("142.90"))], "a seed made again")
    status, message = shop.invoke("seed", "--select", "raw_payments", "--vars", "{make_seeds_again: false}")["raw_payments"]
    check(status == "error" and "DELETE is not supported yet" in message, f"a seed that is emptied first: {status}, {message}")


def models(shop):
    shop.succeed("run", "--exclude", "portable")
    kinds = dict(shop.rows("SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'shop'"))
    check(all(kinds[name] == "VIEW" for name in ("stg_customers", "stg_orders", "stg_payments")), f"views: {kinds}")
    check(all(kinds[name] == "BASE TABLE" for name in ("customers", "orders", "typed")), f"tables: {kinds}")
    check(not [name for name in kinds if "__dbt" in name], f"what is left over: {kinds}")
    expected = [
        (3, "Zoë", 2, at(2024, 2, 29, 12), Decimal("100.00"), 1),
        (1, "Ada", 2, at(2024, 1, 6, 9, 30), Decimal("35.75"), 2),
        (2, "O'Brien, Pat", 2, at(2024, 2, 2), Decimal("7.15"), 3),
        (4, None, 0, None, None, 4),
    ]
    found = "SELECT customer_id, name, orders, first_order, amount, place FROM shop.customers ORDER BY place"
    equal(shop.rows(found), expected, "rows of a table")
    equal(shop.types("typed"), {"id": "BIGINT", "name": "STRING", "price": "DECIMAL(10, 2)"}, "types of a table")


def incremental(shop):
    orders = "SELECT order_id, amount FROM shop.orders ORDER BY order_id"
    first = [(1, Decimal("10.50")), (2, Decimal("25.25")), (3, Decimal("7.10")), (4, Decimal("100.00"))]
    equal(shop.rows(orders), first, "the first rows of an incremental model")
    later = ("run", "--select", "orders", "--vars", "{until: '2024-04-01'}")
    for _ in range(2):
        shop.succeed(*later)
        equal(shop.rows(orders), [*first, (5, None), (6, Decimal("0.05"))], "rows that were added")
    shop.succeed("run", "--select", "evolving")
    evolved = [("Ada", Date(2024, 1, 5)), ("Ada", None), ("O'Brien, Pat", Date(2024, 1, 20)), ("O'Brien, Pat", None)]
    equal(shop.rows("SELECT name, joined FROM shop_marts.evolving ORDER BY 1, 2"), evolved, "a column that came later")
    equal(shop.rows("SELECT model FROM shop.audit"), [("evolving",), ("evolving",)], "rows of a hook")
    shop.succeed("run", "--select", "orders", "--full-refresh")
    equal(shop.rows(orders), first, "a full refresh")
    # The strategy needs DELETE, and sends it together with the INSERT.
    status, message = shop.invoke("run", "--select", "orders_by_key")["orders_by_key"]
    check(status == "error" and "more than one statement" in message, f"delete+insert: {status}, {message}")
    equal(shop.rows("SELECT count(*) FROM shop.orders_by_key"), [(6,)], "rows after an error")
    shop.succeed("run", "--select", "orders_by_key", "--full-refresh")
    shop.succeed("run", "--exclude", "portable", "orders_by_key")


def judgements(shop):
    found = shop.succeed("test")
    states = sorted(status for status, _ in found.values())
    equal({state: states.count(state) for state in states}, {"pass": 11, "warn": 2}, f"tests: {found}")
    stored = "SELECT value_field, n_records FROM shop_dbt_test__audit.accepted_values_stg_payments_method__card__bank"
    equal(shop.rows(stored), [("gift", 1)], "failures that are stored")
    shop.rows("CREATE OR REPLACE TABLE shop.raw_payments AS SELECT id, order_id, method, amount + 1 AS amount FROM shop.raw_payments")
    status, _ = shop.invoke("test", "--select", "amounts_add_up")["amounts_add_up"]
    equal(status, "fail", "a test that fails")
    shop.succeed("seed", "--select", "raw_payments")


def snapshots(shop):
    names = "SELECT id, name, dbt_valid_to FROM shop.customer_names ORDER BY id"
    first = [(1, "Ada", None), (2, "O'Brien, Pat", None), (3, "Zoë", None), (4, None, None)]
    shop.succeed("snapshot")
    equal(shop.rows(names), first, "a first snapshot")
    status, message = shop.invoke("snapshot")["customer_names"]
    check(status == "error" and "MERGE is not supported yet" in message, f"a second snapshot: {status}, {message}")
    equal(shop.rows(names), first, "a snapshot after an error")


def documents(shop):
    shop.invoke("docs", "generate", "--exclude", "portable")
    nodes = json.loads((shop.folder / "target/catalog.json").read_text())["nodes"]
    listed = nodes["model.shop.orders"]
    equal((listed["metadata"]["schema"], listed["metadata"]["type"]), ("shop", "table"), "a table of the catalog")
    columns = {name: column["type"] for name, column in listed["columns"].items()}
    types = ["BIGINT", "BIGINT", "STRING", "TIMESTAMP", "DECIMAL(20, 2)"]
    equal(columns, dict(zip(["order_id", "customer_id", "status", "ordered_at", "amount"], types)), "columns of the catalog")
    equal(nodes["model.shop.stg_orders"]["metadata"]["type"], "view", "a view of the catalog")
    equal(list(shop.invoke("source", "freshness").values())[0][0], "pass", "freshness of a source")
    shown = shop.runner.invoke(["show", "--inline", "select max(order_id) as m from {{ ref('orders') }}"])
    equal(shown.result.results[0].agate_table.rows[0]["m"], 4, "dbt show")


def portable(shop):
    """The macros that every adapter has, by their default SQL."""
    shop.succeed("run", "--select", "portable")
    expected = {
        "month_of": at(2024, 2, 1),
        "next_day": at(2024, 2, 29, 12),
        "month_before": at(2024, 2, 29),
        "days": 2,
        "last_of_month": Date(2024, 2, 29),
        "part": "b",
        "last_part": "c",
        "place": 2,
        "tail": "ef",
        "replaced": "a+b",
        "characters": 3,
        "joined": "abc",
        "hashed": "0cc175b9c0f1b6a831c399e269772661",
        "safe": 12,
        "plain": 12,
        "flag": "true",
        "literal": "it's",
        "stamp": at(2024, 1, 1),
        "leap": Date(2024, 2, 29),
        "a_string": "1",
        "a_bigint": 1,
        "an_int": 1,
        "a_numeric": Decimal("1.5"),
        "a_float": 1.5,
        "a_boolean": True,
    }
    (found,) = shop.rows(f"SELECT {', '.join(expected)} FROM shop.portable")
    equal(dict(zip(expected, found)), expected, "macros")
    grouped = [(1, "completed,completed", 1, False), (2, "returned,placed", 2, True), (3, "completed,placed", 3, False)]
    found = "SELECT customer_id, statuses, any_customer, returned FROM shop.portable_groups ORDER BY customer_id"
    equal(shop.rows(found), grouped, "macros over groups")
    # A spine ends before its last day.
    days = [(Date(2024, 2, 28), 0), (Date(2024, 2, 29), 1), (Date(2024, 3, 1), 1), (Date(2024, 3, 2), 1)]
    equal(shop.rows("SELECT day, orders FROM shop.daily ORDER BY day"), days, "a model of days")
    equal(shop.types("customers")["place"], "BIGINT", "the type of row_number()")


def main(url):
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place) / "shop"
        shutil.copytree(PROJECT, folder)
        shop = Shop(url, folder)
        shop.invoke("debug")
        for part in (seeds, models, incremental, judgements, snapshots, documents, portable):
            part(shop)


enter("with_dbt.txt")
main(sys.argv[1])
