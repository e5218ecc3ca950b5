"""Types of columns: how both engines and Arrow call them, and which values they take."""

import dataclasses

import pyarrow


@dataclasses.dataclass(frozen=True)
class Type:
    """family: bool, int, dec, float, str, bin, date, ts, json, list, struct."""

    family: str
    ours: str
    duck: str
    arrow: object = dataclasses.field(compare=False, hash=False)
    bits: int = 0
    signed: bool = True
    precision: int = 0
    scale: int = 0
    item: object = None
    fields: tuple = ()

    @property
    def sortable(self):
        return self.family not in ("list", "struct", "json")


BOOL = Type("bool", "BOOLEAN", "BOOLEAN", pyarrow.bool_())
TINYINT = Type("int", "TINYINT", "TINYINT", pyarrow.int8(), 8)
SMALLINT = Type("int", "SMALLINT", "SMALLINT", pyarrow.int16(), 16)
INT = Type("int", "INT", "INTEGER", pyarrow.int32(), 32)
BIGINT = Type("int", "BIGINT", "BIGINT", pyarrow.int64(), 64)
UTINYINT = Type("int", "TINYINT UNSIGNED", "UTINYINT", pyarrow.uint8(), 8, False)
USMALLINT = Type("int", "SMALLINT UNSIGNED", "USMALLINT", pyarrow.uint16(), 16, False)
UINT = Type("int", "INT UNSIGNED", "UINTEGER", pyarrow.uint32(), 32, False)
UBIGINT = Type("int", "BIGINT UNSIGNED", "UBIGINT", pyarrow.uint64(), 64, False)
FLOAT = Type("float", "FLOAT", "FLOAT", pyarrow.float32(), 32)
DOUBLE = Type("float", "DOUBLE", "DOUBLE", pyarrow.float64(), 64)
STRING = Type("str", "STRING", "VARCHAR", pyarrow.string())
BINARY = Type("bin", "BINARY", "BLOB", pyarrow.binary())
DATE = Type("date", "DATE", "DATE", pyarrow.date32())
TIMESTAMP = Type("ts", "TIMESTAMP", "TIMESTAMPTZ", pyarrow.timestamp("us", "UTC"))
JSON = Type("json", "JSON", "JSON", pyarrow.string())

SIGNED = (TINYINT, SMALLINT, INT, BIGINT)
UNSIGNED = (UTINYINT, USMALLINT, UINT, UBIGINT)
SCALARS = (BOOL, *SIGNED, FLOAT, DOUBLE, STRING, BINARY, DATE, TIMESTAMP)


def decimal(precision, scale):
    name = f"DECIMAL({precision},{scale})"
    return Type("dec", name, name, pyarrow.decimal128(precision, scale), precision=precision, scale=scale)


def array(item):
    return Type("list", f"ARRAY<{item.ours}>", f"{item.duck}[]", pyarrow.list_(item.arrow), item=item)


def struct(fields):
    """fields: pairs of a name and a type."""
    ours = ", ".join(f"{name} {type.ours}" for name, type in fields)
    duck = ", ".join(f"{name} {type.duck}" for name, type in fields)
    arrow = pyarrow.struct([(name, type.arrow) for name, type in fields])
    return Type("struct", f"STRUCT<{ours}>", f"STRUCT({duck})", arrow, fields=tuple(fields))


def random_decimal(rng):
    precision = rng.choice([1, 4, 5, 9, 10, 12, 18, 19, 25, 38])
    return decimal(precision, rng.choice([0, min(2, precision), precision // 2, precision, min(4, precision)]))


def random_scalar(rng, unsigned=False):
    """A type without parts."""
    kind = rng.random()
    if kind < 0.2:
        return random_decimal(rng)
    if kind < 0.3 and unsigned:
        return rng.choice(UNSIGNED)
    return rng.choice(SCALARS)


def random_type(rng, unsigned=False, json=False):
    kind = rng.random()
    if kind < 0.82:
        return random_scalar(rng, unsigned)
    if kind < 0.86 and json:
        return JSON
    if kind < 0.94:
        return array(rng.choice((INT, BIGINT, STRING, DOUBLE, decimal(10, 2), DATE, TIMESTAMP, BOOL)))
    return struct([("a", rng.choice((INT, BIGINT, DATE))), ("b", rng.choice((STRING, DOUBLE, TIMESTAMP)))])
