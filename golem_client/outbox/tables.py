"""The two tables, on SQLAlchemy Core, for SQLite and PostgreSQL.

Times are whole microseconds since 1970 by the database's clock: machines disagree, and the
database is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    false,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

SCHEMA_VERSION = 1

SCHEMA_KEY = ""
"""The row of the keys' table that holds the schema's version: no Key is empty."""

MICROSECONDS = 1_000_000


class Hidden(bytes):
    """Bytes that no repr shows: SQLAlchemy prints bound values in errors and with `echo=True`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<payload of {len(self)} bytes>"


class Payload(TypeDecorator[bytes]):
    """Bytes that are bound as `Hidden`, on every driver."""

    impl = LargeBinary
    cache_ok = True

    def bind_processor(
        self,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> Any:
        """Return what wraps a value.

        The driver's own wrapper, which SQLAlchemy would use, shows the bytes with psycopg.
        """
        return _hidden


def _hidden(value: bytes | None) -> Hidden | None:
    return value if value is None or isinstance(value, Hidden) else Hidden(value)


class Now(FunctionElement[int]):
    """The database's time, in microseconds since 1970."""

    type = BigInteger()
    inherit_cache = True


@compiles(Now, "sqlite")
def _now_in_sqlite(*_: object, **__: object) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) * 1000 AS INTEGER)"


@compiles(Now, "postgresql")
def _now_in_postgresql(*_: object, **__: object) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


def golem_outbox(metadata: MetaData) -> tuple[Table, Table]:
    """Add the outbox's tables to a MetaData, for migrations of the user's own.

    With Alembic, call it on the `target_metadata` of `env.py`: autogenerate then writes the
    tables, and what a later version of golem-client adds to them.

    Args:
        metadata: The MetaData. Its naming convention applies.

    Returns:
        The tables `golem_outbox_entries` and `golem_outbox_keys`.
    """
    entries = Table(
        "golem_outbox_entries",
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("slot", Text, nullable=False, unique=True),
        Column("promise_id", Text),
        Column("key", Text),
        Column("state", Text, nullable=False),
        Column("payload", Payload),
        Column("is_encrypted", Boolean, nullable=False, server_default=false()),
        Column("outcome", Text),
        Column("attempts", Integer, nullable=False, server_default=text("0")),
        Column("failures", Integer, nullable=False, server_default=text("0")),
        Column("error", Text),
        Column("may_have_stored", Boolean, nullable=False, server_default=false()),
        Column("is_claimed", Boolean, nullable=False, server_default=false()),
        Column("lease", Text),
        Column("accepted_at", BigInteger, nullable=False),
        Column("counted_from", BigInteger, nullable=False),
        Column("due_at", BigInteger),
        Column("settled_at", BigInteger),
        Column("trace", Text),
        Index("golem_outbox_entries_due", "state", "due_at"),
        Index("golem_outbox_entries_key", "key"),
        sqlite_autoincrement=True,  # a number is never used again: entries come in their order
    )
    keys = Table(
        "golem_outbox_keys",
        metadata,
        Column("key", Text, primary_key=True),
        Column("promise_id", Text),
        Column("noted_at", BigInteger, nullable=False),
    )
    return entries, keys


ENTRIES, KEYS = golem_outbox(MetaData())
