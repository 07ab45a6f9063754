"""Says so when a test blocks the event loop in which its FakeGolem runs."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import threading
from contextlib import suppress

from golem_client.testing.messages import Answer

_SLICE_SECONDS = 0.25
_PATIENCE = 10
"""Slices in which the loop does nothing before it counts as blocked: 2.5 seconds.

Slices are counted, and not the time, so that a process that was stopped for long is not blamed.
"""

_WORDS = (
    "The event loop of this FakeGolem is blocked, so that it cannot answer: a test that calls "
    "blocking code (requests, FastAPI's TestClient, Flask, Django, BlockingGolemClient) needs a "
    "fake in a thread of its own: FakeGolem.in_thread(), or the fixture blocking_fake_golem."
)

_log = logging.getLogger("golem_client.testing")


class StarvationWatch:
    """Answers new connections with the reason while the loop is blocked.

    Without it, the client waits for an answer that cannot come, and the test fails after all its
    time with a riddle. It runs in a daemon thread from its creation until `stop`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, listening: socket.socket) -> None:
        self._loop = loop
        self._listening = listening
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="FakeGolem watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread. The listening socket may be closed after that."""
        self._ended.set()
        self._thread.join()
        self._listening.close()

    def _run(self) -> None:
        beat = threading.Event()
        idle = 0
        with suppress(RuntimeError):  # the loop was closed without the fake's end
            self._loop.call_soon_threadsafe(beat.set)
            while not self._ended.wait(_SLICE_SECONDS):
                if beat.is_set():
                    beat.clear()
                    idle = 0
                    self._loop.call_soon_threadsafe(beat.set)
                    continue
                idle += 1
                if idle >= _PATIENCE:
                    self._answer_who_waits(beat)

    def _answer_who_waits(self, beat: threading.Event) -> None:
        while not beat.is_set() and select.select([self._listening], [], [], 0)[0]:
            with suppress(OSError):
                connection, _ = self._listening.accept()
                _log.error(_WORDS)
                with connection:
                    connection.settimeout(0.5)
                    connection.recv(65_536)
                    # 400: a client that repeats a 503 would go on until its time is up.
                    connection.sendall(Answer.text(400, _WORDS).wire())
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65_536):
                        pass
