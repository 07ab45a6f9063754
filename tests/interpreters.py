"""Child Pythons that begin with the package imported: after 10 ms, not after 250 to 450.

A server, one for each run of the tests, imports the package once, and forks for each child. Such a
child has streams, an environment and an end like any other interpreter's, and can be killed. How an
interpreter starts cannot be seen in it: those tests start one of their own.

The server lives as long as the run, however that ends: then it also ends a PostgreSQL that is left.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parent.parent
PIPE = subprocess.PIPE

_ADDRESS = "TESTS_INTERPRETERS"  # of the server, for the processes of the run
_LONGEST = 2**20
_IMPORTED = (
    "golem_client.blocking",
    "golem_client.cli.bulk",
    "golem_client.cli.complete",
    "golem_client.cli.group",
    "golem_client.cli.outbox",
    "golem_client.cli.parse",
    "golem_client.cli.serve",
    "golem_client.outbox.outbox",
    "golem_client.webhooks",
    "aiosqlite",
)


def start_server() -> None:
    """Start the server of this run, unless there is one; it ends with this process."""
    if _ADDRESS in os.environ:
        return
    address = os.path.join(tempfile.mkdtemp(), "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(100)
        number = str(listener.fileno())
        server = subprocess.Popen(
            [sys.executable, "-P", "-W", "error", __file__, number, address],
            stdin=PIPE,  # which nobody writes to, and which ends when this process does
            stdout=PIPE,  # for what looks into a stream before it is a child's own
            stderr=PIPE,
            pass_fds=[listener.fileno()],
            cwd=ROOT,
            start_new_session=True,
        )
    atexit.register(_stop, server)
    os.environ[_ADDRESS] = address


def _stop(server: subprocess.Popen[bytes]) -> None:
    _, complaints = server.communicate()
    sys.stderr.write(complaints.decode())


def folder() -> Path:
    """Return a folder that lasts as long as this run."""
    return Path(os.environ[_ADDRESS]).parent


class Child:
    """A Python process, as `subprocess.Popen` has them: with pipes, unless it is given others.

    Args:
        arguments: Those of Python: `-c` and a program or `-m` and a module, then their own.
        env: Its environment; that of this process by default.
        streams: Files, or their numbers, for `stdin`, `stdout` and `stderr`.
    """

    def __init__(
        self, *arguments: str, env: Mapping[str, str] | None = None, **streams: Any
    ) -> None:
        self.returncode: int | None = None
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(os.environ[_ADDRESS])
        given: list[int] = []
        ours: dict[str, IO[bytes] | None] = {}
        for name in ("stdin", "stdout", "stderr"):
            stream = streams.get(name, PIPE)
            ours[name] = None
            if stream == PIPE:
                reading, writing = os.pipe()
                mine, its = (writing, reading) if name == "stdin" else (reading, writing)
                ours[name] = os.fdopen(mine, "wb" if name == "stdin" else "rb")
                given.append(its)
            else:
                given.append(os.dup(stream if isinstance(stream, int) else stream.fileno()))
        self.stdin, self.stdout, self.stderr = ours.values()
        job = {
            "arguments": arguments,
            "env": dict(os.environ if env is None else env),
            "cwd": os.getcwd(),
        }
        message = json.dumps(job).encode() + b"\n"
        assert len(message) < _LONGEST
        socket.send_fds(self._socket, [message], given)
        for number in given:
            os.close(number)
        self._answers = self._socket.makefile("rb")
        self.pid = int(self._answers.readline())

    def poll(self) -> int | None:
        """Return how it ended; None while it runs."""
        if self.returncode is None and select.select([self._socket], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = 60) -> int:
        """Return how it ended: its exit code, or the number of the signal, negative."""
        if self.returncode is None:
            self._socket.settimeout(timeout)
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._socket.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        with suppress(ProcessLookupError):  # what waits for it may not have reported its end yet
            if self.poll() is None:
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, data: bytes = b"", timeout: float = 60) -> tuple[bytes, bytes]:
        """Write to it, and return all that it writes until its end."""
        read: dict[IO[bytes], bytes] = {}
        streams = [each for each in (self.stdout, self.stderr) if each is not None]
        threads = [
            threading.Thread(target=lambda each: read.__setitem__(each, each.read()), args=[stream])
            for stream in streams
        ]
        for thread in threads:
            thread.start()
        if self.stdin is not None:
            with self.stdin:
                self.stdin.write(data)
        self.wait(timeout)
        for thread in threads:
            thread.join(timeout)
        for stream in streams:
            stream.close()
        out, err = (read.get(each, b"") if each else b"" for each in (self.stdout, self.stderr))
        return out, err

    def close(self) -> None:
        """Kill it, and leave nothing of it open."""
        self.kill()
        self.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()


def _serve(listener: socket.socket) -> dict[str, Any] | None:
    """Fork for each connection. It returns what is to be run in a child, and None at the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return None
        connection, _ = listener.accept()
        for name in _IMPORTED:
            __import__(name)
        gc.freeze()  # else each child would walk through all that is imported when it ends
        if os.fork() == 0:
            listener.close()
            return _fork(connection)
        connection.close()


def _fork(connection: socket.socket) -> dict[str, Any]:
    """Fork once more; the parent reports the child's end."""
    message, streams, _, _ = socket.recv_fds(connection, _LONGEST, 3)
    while not message.endswith(b"\n"):
        message += connection.recv(_LONGEST)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        for number in streams:
            os.close(number)
        connection.sendall(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    connection.close()
    for standard, number in enumerate(streams):
        os.dup2(number, standard)
        os.close(number)
    job: dict[str, Any] = json.loads(message)
    return job


def _run(job: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())  # type: ignore[union-attr]
    kind, what, *arguments = job["arguments"]
    sys.path.insert(0, "")
    if kind == "-m":
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    sys.argv = [kind, *arguments]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(what, "<string>", "exec"), main.__dict__)


def _end(run: Path) -> None:
    """End each PostgreSQL of the run, at once, and leave no file."""
    for file in run.glob("*/postmaster.pid"):
        pid = int(file.read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
    shutil.rmtree(run)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        todo = _serve(listening)
    if todo is None:
        _end(Path(sys.argv[2]).parent)
    else:
        _run(todo)
