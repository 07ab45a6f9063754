"""The two tables, on SQLAlchemy Core, for SQLite and PostgreSQL.

Times are whole microseconds since 1970 by the database's clock: machines disagree, and the
database is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
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


class Payload(sa.TypeDecorator[bytes]):
    """Bytes that are bound as `Hidden`, on every driver."""

    impl = sa.LargeBinary
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

    type = sa.BigInteger()
    inherit_cache = True


@compiles(Now, "sqlite")
def _now_in_sqlite(*_: object, **__: object) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) * 1000 AS INTEGER)"


@compiles(Now, "postgresql")
def _now_in_postgresql(*_: object, **__: object) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


def golem_outbox(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """Add the outbox's tables to a MetaData, for migrations of the user's own.

    With Alembic, call it on the `target_metadata` of `env.py`: autogenerate then writes the
    tables, and what a later version of golem-client adds to them.

    Args:
        metadata: The MetaData. Its naming convention applies.

    Returns:
        The tables `golem_outbox_entries` and `golem_outbox_keys`.
    """
    entries = sa.Table(
        "golem_outbox_entries",
        metadata,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("slot", sa.Text, nullable=False, unique=True),
        sa.Column("promise_id", sa.Text),
        sa.Column("key", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("payload", Payload),
        sa.Column("is_encrypted", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("outcome", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("failures", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("error", sa.Text),
        sa.Column("may_have_stored", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("is_claimed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("lease", sa.Text),
        sa.Column("accepted_at", sa.BigInteger, nullable=False),
        sa.Column("counted_from", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("settled_at", sa.BigInteger),
        sa.Column("trace", sa.Text),
        sa.Index("golem_outbox_entries_due", "state", "due_at"),
        sa.Index("golem_outbox_entries_key", "key"),
        sqlite_autoincrement=True,  # a number is never used again: entries come in their order
    )
    keys = sa.Table(
        "golem_outbox_keys",
        metadata,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("promise_id", sa.Text),
        sa.Column("noted_at", sa.BigInteger, nullable=False),
    )
    return entries, keys


ENTRIES, KEYS = golem_outbox(sa.MetaData())
