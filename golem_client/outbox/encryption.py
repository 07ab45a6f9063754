"""Payloads at rest: Fernet, where the outbox has keys."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from golem_client import OutboxError
from golem_client.outbox.tables import Hidden

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


class Cipher:
    """Encrypts with the first key, and decrypts with all of them. Without keys it does nothing.

    Attributes:
        is_on: Whether it encrypts.
    """

    def __init__(self, keys: Sequence[str | bytes]) -> None:
        self._fernet = _fernet_of(keys) if keys else None
        self.is_on = self._fernet is not None

    def encrypt(self, payload: bytes) -> Hidden:
        """Return what is stored."""
        return Hidden(payload if self._fernet is None else self._fernet.encrypt(payload))

    def decrypt(self, stored: bytes, *, is_encrypted: bool) -> bytes:
        """Return what was encrypted; an OutboxError says that no key fits."""
        if not is_encrypted:
            return bytes(stored)
        if self._fernet is None:
            raise OutboxError("the payload is encrypted, and this outbox was opened without keys=")
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - optional

        with suppress(InvalidToken):
            return self._fernet.decrypt(bytes(stored))
        raise OutboxError("the payload is encrypted with a key that is not among keys=")


def _fernet_of(keys: Sequence[str | bytes]) -> MultiFernet:
    try:
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415 - optional
    except ImportError:
        raise ImportError(
            'keys= needs cryptography: pip install "golem-client[outbox-encryption]"'
        ) from None
    if isinstance(keys, str | bytes):
        raise TypeError("keys= takes a list of keys, also for one of them")
    fernets: list[Fernet] = []
    for number, key in enumerate(keys, 1):
        with suppress(ValueError, TypeError):
            fernets.append(Fernet(key))
        if len(fernets) < number:
            raise ValueError(
                f"key {number} of keys= is not a Fernet key: Fernet.generate_key() makes one"
            )
    return MultiFernet(fernets)
