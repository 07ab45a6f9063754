"""The blocking client and outbox: threads, forks, interrupts, the end of the interpreter."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from golem_client import GolemClient, GolemError, InsecureTransportWarning, Outcome
from golem_client.blocking import BlockingGolemClient, BlockingOutbox
from golem_client.outbox import Key, Outbox
from golem_client.testing import BlockingFakeGolem, FakeGolem
from golem_client.threads import LoopThread, ProcessLoop
from tests.interpreters import Child
from tests.tracebacks import assert_nothing_shows

SECRET = "tok-5e8dd6a4c0ffee11"


@pytest.fixture
def golem() -> Iterator[BlockingFakeGolem]:
    with FakeGolem.in_thread() as fake:
        yield fake


@pytest.fixture
def client(golem: BlockingFakeGolem) -> Iterator[BlockingGolemClient]:
    with BlockingGolemClient(golem.url, token=golem.token) as made:
        yield made


def names_of(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


class TestNames:
    """The blocking classes have what the asyncio ones have."""

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [(BlockingGolemClient, GolemClient), (BlockingOutbox, Outbox)],
        ids=["client", "outbox"],
    )
    def test_the_names_are_the_same(self, ours: type, theirs: type) -> None:
        """But for `close`, and what an instance has."""
        expected = names_of(theirs) - {"aclose"} | {"close"}
        assert expected == names_of(ours) - {"engine"}

    @pytest.mark.parametrize(
        ("ours", "theirs"), [(BlockingGolemClient, GolemClient), (BlockingOutbox, Outbox)]
    )
    def test_signatures_and_docstrings_are_the_same(self, ours: type, theirs: type) -> None:
        """help() of one is help() of the other."""
        for name in names_of(ours) & names_of(theirs):
            mine, its = getattr(ours, name), getattr(theirs, name)
            if not callable(mine):
                continue
            parameters = [[*inspect.signature(each).parameters] for each in (mine, its)]
            assert parameters[0] == parameters[1], name
            assert inspect.getdoc(mine) == inspect.getdoc(its), name

    def test_the_constructor_shows_its_options(self) -> None:
        """Also in help()."""
        assert "attempt_timeout" in str(inspect.signature(BlockingGolemClient))


class TestCalls:
    """A call blocks until it has ended, and returns and raises what the asyncio one does."""

    def test_each_method_completes(
        self, golem: BlockingFakeGolem, client: BlockingGolemClient
    ) -> None:
        ids = [golem.create_promise() for _ in range(4)]
        done = [
            client.complete_json(ids[0], {"a": 1}),
            client.complete_text(ids[1], "text"),
            client.complete_bytes(ids[2], b"bytes", timeout=5.0),
            client.promise(ids[3], int).complete(3),
        ]
        assert [Outcome.FULFILLED] * 4 == [each.outcome for each in done]
        assert [b'{"a":1}', b"text", b"bytes", b"3"] == [golem.payload(each) for each in ids]

    def test_with_options_shares_the_client(
        self, golem: BlockingFakeGolem, client: BlockingGolemClient
    ) -> None:
        """And closing one closes both."""
        quick = client.with_options(timeout=3.0)
        assert (30.0, 3.0) == (client.timeout, quick.timeout)
        assert quick.complete_json(golem.create_promise(), 1).by_this_call
        assert quick.pressure.open
        quick.close()
        with pytest.raises(RuntimeError, match="closed"):
            client.complete_json(golem.create_promise(), 1)

    def test_other_constructors(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each returns a blocking client."""
        monkeypatch.setenv("GOLEM_URL", "http://localhost:1")
        made = [
            BlockingGolemClient.local(timeout=2.0),
            BlockingGolemClient.cloud("a-token-of-sixteen"),
            BlockingGolemClient.from_env(),
            BlockingGolemClient.from_profile("local"),
        ]
        assert {BlockingGolemClient} == {type(each) for each in made}
        assert made[0].timeout == 2.0
        assert "localhost:1" in repr(made[2])

    def test_a_subclass_is_made_by_its_own_constructor(self) -> None:
        """As one of GolemClient's is; `with_options` keeps what it has set."""

        class Named(BlockingGolemClient):
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                self.name = "ada"

        for made in (Named.local(), Named.cloud("a-token-of-sixteen"), Named.from_profile("local")):
            changed = made.with_options(timeout=2.0)
            assert isinstance(made, Named)
            assert isinstance(changed, Named)
            assert ("ada", 2.0, 30.0) == (changed.name, changed.timeout, made.timeout)

    def test_what_could_not_be_made_has_a_repr(self) -> None:
        """Reporters of errors show `self` in the frame of a subclass's constructor."""
        for cls in (BlockingGolemClient, BlockingOutbox, GolemClient):
            assert f"<{cls.__name__} not made>" == repr(cls.__new__(cls))

    def test_the_warning_points_at_the_callers_line(self) -> None:
        """As GolemClient's does."""
        with pytest.warns(InsecureTransportWarning) as caught:
            BlockingGolemClient("http://golem.example", token="t")
        assert __file__ == caught[0].filename

    def test_the_warning_of_a_subclass_points_at_the_callers_line(self) -> None:
        """And not into its constructor."""
        program = compile(
            "class Sub(Blocking):\n    def __init__(self, *args, **options):\n"
            "        super().__init__(*args, **options)\n",
            "sub.py",
            "exec",
        )
        names: dict[str, Any] = {"Blocking": BlockingGolemClient, "__name__": "theirs"}
        exec(program, names)
        with pytest.warns(InsecureTransportWarning) as caught:
            names["Sub"]("http://golem.example", token="t")
        assert __file__ == caught[0].filename

    async def test_in_a_running_loop_a_call_is_a_runtime_error(self) -> None:
        """It would stop the loop; nothing is sent."""
        client = BlockingGolemClient("http://localhost:1")
        with pytest.raises(RuntimeError, match=r"await a GolemClient .*asyncio\.to_thread"):
            client.complete_json("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/1", 1)

    def test_thirty_two_threads_share_a_client(
        self, golem: BlockingFakeGolem, client: BlockingGolemClient
    ) -> None:
        """Each has its own answer."""
        ids = [golem.create_promise() for _ in range(128)]
        with ThreadPoolExecutor(32) as pool:
            done = [*pool.map(lambda n: client.complete_json(ids[n], n), range(128))]
        assert {Outcome.FULFILLED} == {each.outcome for each in done}
        assert [b"%d" % n for n in range(128)] == [golem.payload(each) for each in ids]


def outbox() -> BlockingOutbox:
    return BlockingOutbox(create_async_engine("sqlite+aiosqlite://"))


NOWHERE = "http://localhost:1"
ID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/1"


@pytest.mark.parametrize(
    "call",
    [
        lambda: BlockingGolemClient(NOWHERE, token=secret(), timeout=0),
        lambda: BlockingGolemClient(NOWHERE, token=secret(), tiemout=1),  # type: ignore[call-arg]
        lambda: BlockingGolemClient.local(headers={"X-Api-Key": secret()}, timeout=0),
        lambda: BlockingGolemClient.cloud(secret(), timeout=0),
        lambda: BlockingGolemClient.from_env(NOWHERE, token=secret(), timeout=0),
        lambda: BlockingGolemClient.from_profile("none", token=secret()),
        lambda: BlockingGolemClient(NOWHERE, token=secret()).with_options(
            headers={"X-Api-Key": secret()}, timeout=0
        ),
        lambda: BlockingGolemClient(NOWHERE, token=secret(), timeout=0.1).complete_json(
            ID, {"card": secret()}
        ),
        lambda: BlockingGolemClient(NOWHERE).complete_json(ID, secret(), wrong=1),  # type: ignore[call-arg]
        lambda: BlockingGolemClient(NOWHERE).promise(ID, int).complete(secret()),  # type: ignore[arg-type]
        lambda: BlockingGolemClient(NOWHERE).call_webhook("ftp://" + secret(), secret()),
        lambda: BlockingOutbox(None, keys=[secret()]),  # type: ignore[arg-type]
        lambda: BlockingOutbox.open("/nowhere/golem.sqlite", keys=[secret()]),
        lambda: BlockingOutbox.open("/nowhere/golem.sqlite", lease=0, keys=[secret()]),
        lambda: outbox().statement(ID, [secret(), object()]),
        lambda: outbox().statement("oops", secret()),
        lambda: outbox().statement_text(ID, secret() + "\ud800"),
        lambda: outbox().statement_bytes(ID, secret()),  # type: ignore[arg-type]
        lambda: outbox().complete_json(ID, [secret(), object()]),
        lambda: outbox().promise(ID, int).complete(secret()),  # type: ignore[arg-type]
        lambda: outbox().deliver(secret()),  # type: ignore[arg-type]
        lambda: outbox().delivering(secret()),  # type: ignore[arg-type]
    ],
)
def test_no_frame_that_leaves_us_shows_a_secret(
    call: Callable[[], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No token, payload, key or header: reporters of errors send the locals of each frame."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises((GolemError, TypeError, ValueError, AttributeError)) as caught:
        call()
    assert_nothing_shows(caught.value, SECRET, but_for=__file__)


def test_only_a_blocking_client_delivers_from_a_blocking_outbox(tmp_path: Path) -> None:
    with BlockingOutbox.open(tmp_path / "golem.sqlite") as outbox:
        for deliver in (outbox.deliver, outbox.delivering):
            with pytest.raises(TypeError, match="BlockingGolemClient, not GolemClient"):
                deliver(GolemClient(NOWHERE))  # type: ignore[arg-type]


def secret() -> str:
    return SECRET


def complete_in_a_child(client: BlockingGolemClient, promise_id: Any, value: object) -> int:
    """Fork, complete in the child, and return the child's exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if client.complete_json(promise_id, value).by_this_call else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_it_works_in_a_forked_child_and_still_in_its_parent(
    golem: BlockingFakeGolem, client: BlockingGolemClient
) -> None:
    """The child has connections of its own: the parent's are not disturbed."""
    ids = [golem.create_promise() for _ in range(3)]
    client.complete_json(ids[0], 0)
    assert 0 == complete_in_a_child(client, ids[1], 1)
    assert client.complete_json(ids[2], 2).by_this_call
    assert [b"0", b"1", b"2"] == [golem.payload(each) for each in ids]


def run_script(source: str, *arguments: str) -> tuple[str, str, int]:
    """Return what a program writes to its two streams, and its exit code."""
    ignoring = "import warnings; warnings.filterwarnings('ignore', '.*multi-threaded')"  # 3.12
    process = Child("-c", f"{ignoring}\n{source}", *arguments)
    out, err = process.communicate()
    return out.decode(), err.decode(), process.wait()


SCRIPT = """
import sys
from golem_client.blocking import BlockingGolemClient
client = BlockingGolemClient(sys.argv[1], token=sys.argv[2])
print(client.complete_json(sys.argv[3], 1).outcome)
"""


def test_a_script_that_closes_nothing_ends_without_a_word(golem: BlockingFakeGolem) -> None:
    """Neither aiohttp nor asyncio writes to stderr, with every warning on."""
    arguments = (SCRIPT, golem.url, golem.token, str(golem.create_promise()))
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ("fulfilled\n", "", 0) == (ended.stdout, ended.stderr, ended.returncode)


LEFT_OPEN = {  # one that is dropped, and one that is kept
    "entries half read": "next(outbox.entries()); kept = outbox.entries(); next(kept)",
    "delivering entered and never left": """
outbox.delivering(client).__enter__(); kept = outbox.delivering(client); kept.__enter__()
def generator():
    with client, outbox, outbox.delivering(client):
        yield
left_at_the_end = generator(); next(left_at_the_end)
""",
}


@pytest.mark.parametrize("leaves", LEFT_OPEN.values(), ids=list(LEFT_OPEN))
def test_an_outbox_that_is_not_closed_ends_without_a_word(leaves: str, tmp_path: Path) -> None:
    """And without a hang, whatever is under way."""
    script = f"""
import sys
from golem_client.blocking import BlockingGolemClient, BlockingOutbox
client = BlockingGolemClient("{NOWHERE}")
outbox = BlockingOutbox.open(sys.argv[1])
for n in range(3):
    outbox.complete_json("{ID}" + str(n), n)
{leaves}
print("ends")
"""
    assert ("ends\n", "", 0) == run_script(script, str(tmp_path / "golem.sqlite"))


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@needs_fork
@pytest.mark.parametrize("does", ["client.complete_json(mine, 1)", "client.close()", "pass"])
def test_a_child_that_exits_disturbs_no_connection_of_its_parent(
    does: str, golem: BlockingFakeGolem
) -> None:
    """It shares the parent's sockets and epoll: collecting them would stop the parent's calls."""
    script = f"""
import gc, os, sys
from golem_client.blocking import BlockingGolemClient
client = BlockingGolemClient(sys.argv[1], token=sys.argv[2])
first, mine, second = sys.argv[3:]
client.complete_json(first, 1)
if (pid := os.fork()) == 0:
    {does}
    del client
    gc.collect()
    sys.exit()
os.waitpid(pid, 0)
done = client.complete_json(second, 1)
print(done.outcome, done.attempts)
"""
    ids = [str(golem.create_promise()) for _ in range(3)]
    assert ("fulfilled 1\n", "", 0) == run_script(script, golem.url, golem.token, *ids)
    assert golem.requests[0].connection == golem.requests[-1].connection


@needs_fork
def test_a_child_that_exits_does_not_close_its_parents_outbox(tmp_path: Path) -> None:
    """It would wait for a delivery that goes on in the parent alone."""
    script = f"""
import os, signal, sys
from golem_client import threads
from golem_client.blocking import BlockingGolemClient, BlockingOutbox
threads._GRACE = 60.0
outbox = BlockingOutbox.open(sys.argv[1])
with outbox.delivering(BlockingGolemClient("{NOWHERE}", timeout=0.1)):
    if (pid := os.fork()) == 0:
        signal.alarm(30)
        outbox.complete_json("{ID}/1", 1)
        sys.exit()
    print(os.waitpid(pid, 0)[1])
"""
    out, err, code = run_script(script, str(tmp_path / "golem.sqlite"))
    assert ("0\n", 0) == (out, code), err


SPAWN = """
import multiprocessing, sys
from golem_client.blocking import BlockingGolemClient

def complete(promise_id):
    with BlockingGolemClient(sys.argv[1], token=sys.argv[2]) as client:
        return str(client.complete_json(promise_id, 1).outcome)

if __name__ == "__main__":
    complete(sys.argv[3])
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(*pool.map(complete, sys.argv[4:6] if method == "fork" else sys.argv[6:8]))
"""


@needs_fork
def test_it_works_under_multiprocessing(golem: BlockingFakeGolem, tmp_path: Path) -> None:
    """With fork and with spawn."""
    program = tmp_path / "program.py"
    program.write_text(SPAWN)
    ids = [str(golem.create_promise()) for _ in range(5)]
    command = [sys.executable, str(program), golem.url, golem.token, *ids]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "fulfilled fulfilled\n" * 2 == ended.stdout, ended.stderr


FLASK = """
import os
from flask import Flask, request
from golem_client.blocking import BlockingGolemClient

client = BlockingGolemClient(os.environ["GOLEM_URL"], token=os.environ["GOLEM_TOKEN"])
client.complete_json(os.environ["FIRST"], 1)  # in the parent, before any fork
app = Flask(__name__)

@app.post("/approve")
def approve():
    done = client.complete_json(request.json["promise"], {"pid": os.getpid()})
    return {"outcome": done.outcome, "pid": os.getpid()}
"""


@needs_fork
def test_it_works_in_flask_under_gunicorn_with_preload(
    golem: BlockingFakeGolem, tmp_path: Path
) -> None:
    """Threads in forked workers, with a client that their parent had used."""
    (tmp_path / "app.py").write_text(FLASK)
    environment = {
        **os.environ,
        "GOLEM_URL": golem.url,
        "GOLEM_TOKEN": golem.token,
        "FIRST": str(golem.create_promise()),
    }
    options = ["--preload", "-k", "gthread", "-w", "2", "--threads", "4", "-b", "127.0.0.1:0"]
    command = [sys.executable, "-m", "gunicorn", *options, "--chdir", str(tmp_path), "app:app"]
    ids = [golem.create_promise() for _ in range(16)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            address = next(
                found[1] for line in server.stderr if (found := re.search("at: (\\S+)", line))
            )

            def approve(promise_id: object) -> dict[str, Any]:
                body = json.dumps({"promise": str(promise_id)}).encode()
                headers = {"Content-Type": "application/json"}
                request = urllib.request.Request(f"{address}/approve", body, headers)
                with urllib.request.urlopen(request, timeout=30) as answer:
                    found: dict[str, Any] = json.load(answer)
                    return found

            with ThreadPoolExecutor(8) as pool:
                answers = [*pool.map(approve, ids)]
        finally:
            server.terminate()
            rest = server.stderr.read()
    assert {"fulfilled"} == {each["outcome"] for each in answers}
    assert [json.loads(golem.payload(each) or b"")["pid"] for each in ids] == [
        each["pid"] for each in answers
    ]
    assert server.pid not in {each["pid"] for each in answers}
    assert "Traceback" not in rest
    assert "Unclosed" not in rest


def test_ctrl_c_ends_the_call_that_waits(golem: BlockingFakeGolem) -> None:
    """KeyboardInterrupt leaves the call; the client can be used afterwards."""
    promise_id = golem.create_promise()
    golem.stall_next(applied=True)
    client = BlockingGolemClient(golem.url, token=golem.token)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            client.complete_json(promise_id, 1)
    finally:
        signal.signal(signal.SIGINT, previous)
        timer.join()
    assert client.complete_json(promise_id, 1).outcome is not None
    client.close()


class Token:
    """A token callable that takes a minute, and says when it has begun and is cancelled."""

    def __init__(self) -> None:
        self.has_begun, self.is_cancelled = threading.Event(), threading.Event()

    async def __call__(self) -> str:
        self.has_begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.is_cancelled.set()
            raise
        return "never"


def test_ctrl_c_cancels_what_runs_in_the_thread() -> None:
    """It does not go on there, unseen."""
    token = Token()

    def interrupt() -> None:
        token.has_begun.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupting = threading.Thread(target=interrupt)
    try:
        with BlockingGolemClient(NOWHERE, token=token) as client:
            interrupting.start()
            with pytest.raises(KeyboardInterrupt):
                client.complete_json(ID, 1)
            assert token.is_cancelled.wait(30)
    finally:
        signal.signal(signal.SIGINT, previous)
        interrupting.join()


def test_ctrl_c_right_after_the_start_cancels_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The coroutine runs already when the thread that started it is interrupted."""
    token, interrupts = Token(), [KeyboardInterrupt]
    schedule = asyncio.BaseEventLoop.call_soon_threadsafe

    def interrupted(*args: Any, **kwargs: Any) -> asyncio.Handle:
        handle = schedule(*args, **kwargs)
        if interrupts:
            assert token.has_begun.wait(30)
            raise interrupts.pop()
        return handle

    with BlockingGolemClient(NOWHERE, token=token) as client:
        monkeypatch.setattr(asyncio.BaseEventLoop, "call_soon_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.complete_json(ID, 1)
        assert token.is_cancelled.wait(30)


class TestThread:
    """What runs in the client's thread."""

    def test_a_token_callable_that_kills_it_is_an_error(self, golem: BlockingFakeGolem) -> None:
        """sys.exit() in the loop ends the thread: the call fails, and the next has a new one."""
        is_bad = True

        async def token() -> str:
            if is_bad:
                sys.exit(3)
            return golem.token

        with BlockingGolemClient(golem.url, token=token) as client:
            with pytest.raises((SystemExit, RuntimeError)):
                client.complete_json(golem.create_promise(), 1)
            is_bad = False
            assert client.complete_json(golem.create_promise(), 1).by_this_call

    def test_when_it_dies_every_call_of_every_thread_ends(self, golem: BlockingFakeGolem) -> None:
        """Each is completed, or an error that says that the outcome is unknown; none hangs."""
        deadly: list[int] = []

        async def token() -> str:
            if deadly:
                sys.exit(deadly.pop())
            return golem.token

        def call(_: int) -> str:
            starting.wait(30)
            try:
                return str(client.complete_json(golem.create_promise(), 1).outcome)
            except RuntimeError as error:
                return str(error)

        starting = threading.Barrier(8)
        lost = "the event loop's thread ended during the call, whose outcome is unknown"
        with BlockingGolemClient(golem.url, token=token) as client, ThreadPoolExecutor(8) as pool:
            for _ in range(5):
                deadly.append(3)
                ended = {*pool.map(call, range(8), timeout=60)}
                assert lost in ended
                assert ended <= {lost, "fulfilled"}
                assert {"fulfilled"} == {*pool.map(call, range(8), timeout=60)}

    def test_a_token_callable_that_calls_the_client_is_an_error(
        self, golem: BlockingFakeGolem
    ) -> None:
        """It would wait for itself for ever."""

        async def token() -> str:
            shared.complete_json(golem.create_promise(), 1)
            return golem.token

        with (
            BlockingGolemClient(golem.url, token=token) as shared,
            pytest.raises(RuntimeError, match="event loop that runs in this thread"),
        ):
            shared.complete_json("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/1", 1)

    def test_it_sees_the_callers_context(self, golem: BlockingFakeGolem) -> None:
        """So the spans of a call are below the span of the thread that makes it."""
        who = contextvars.ContextVar("who", default="nobody")

        async def token() -> str:
            seen.append(who.get())
            return golem.token

        seen: list[str] = []
        with BlockingGolemClient(golem.url, token=token) as client:
            who.set("ada")
            client.complete_json(golem.create_promise(), 1)
        assert ["ada"] == seen

    def test_a_client_that_is_dropped_is_closed(self, golem: BlockingFakeGolem) -> None:
        """Without a word about it; its connection ends."""
        client = BlockingGolemClient(golem.url, token=golem.token)
        client.complete_json(golem.create_promise(), 1)
        inner = weakref.ref(client._delegate())
        del client
        for _ in range(200):
            gc.collect()
            if inner() is None:
                break
            time.sleep(0.005)
        assert inner() is None

    def test_a_client_lives_as_long_as_what_was_made_of_it(self, golem: BlockingFakeGolem) -> None:
        """Options and promises hold it, too."""
        quick = BlockingGolemClient(golem.url, token=golem.token).with_options(timeout=5.0)
        promise = quick.promise(golem.create_promise(), int)
        quick.complete_json(golem.create_promise(), 1)
        del quick
        gc.collect()
        assert promise.complete(3).by_this_call

    def test_an_asyncio_client_in_several_threads_says_so_every_time(
        self, golem: BlockingFakeGolem
    ) -> None:
        """One loop has it, and each other one is told; nothing is half done."""
        client = GolemClient(golem.url, token=golem.token)
        ids = [golem.create_promise() for _ in range(40)]
        has_begun, may_end = threading.Event(), threading.Event()

        async def hold() -> None:
            await client.complete_json(ids[0], 0)
            has_begun.set()
            while not may_end.is_set():  # noqa: ASYNC110 - it is set in another thread
                await asyncio.sleep(0.005)
            await client.aclose()

        async def use(promise_id: Any) -> str:
            try:
                await client.complete_json(promise_id, 1)
            except RuntimeError as error:
                return str(error)
            return "completed"

        with ThreadPoolExecutor(9) as pool:
            holding = pool.submit(asyncio.run, hold())
            has_begun.wait(30)
            told = {*pool.map(lambda each: asyncio.run(use(each)), ids[1:])}
            may_end.set()
            holding.result()
        (words,) = told
        assert "golem_client.blocking" in words
        assert 1 == len(golem.requests)


class TestLoopThread:
    """One loop in one thread."""

    def test_a_thread_that_has_ended_is_an_error(self) -> None:
        """Not a hang."""
        thread = LoopThread("a test's")
        thread.stop()
        thread.stop()
        with pytest.raises(RuntimeError, match="has ended"):
            thread.run(asyncio.sleep(0))

    def test_what_runs_when_it_ends_is_an_error(self) -> None:
        """Its caller does not wait for ever."""
        thread = LoopThread("a test's")
        threading.Timer(0.05, thread.stop).start()
        with pytest.raises(RuntimeError, match="outcome is unknown"):
            thread.run(asyncio.sleep(60))

    def test_a_process_whose_thread_has_died_gets_a_new_one(self) -> None:
        """At the next use."""
        process = ProcessLoop("a test's")
        first = process.get()
        first.stop()
        second = process.get()
        assert second is not first
        assert 3 == second.run(asyncio.sleep(0, 3))
        second.stop()


class TestOutbox:
    """The outbox, made blocking."""

    def test_accept_deliver_and_look_after(self, golem: BlockingFakeGolem, tmp_path: Path) -> None:
        """By a client that nothing else holds."""
        ids = [golem.create_promise() for _ in range(3)]
        with BlockingOutbox.open(tmp_path / "golem.sqlite") as outbox:
            assert outbox.complete_json(ids[0], {"a": 1}).is_new
            outbox.promise(ids[1], int).complete(7)
            outbox.complete_text(Key("order-17"), "late")
            assert 3 == len([*outbox.entries()])
            assert ["waiting"] == [each.state for each in outbox.entries(state="waiting")]
            outbox.bind("order-17", ids[2])
            with outbox.delivering(BlockingGolemClient(golem.url, token=golem.token)):
                ended = [outbox.wait(each, timeout=30) for each in ids]
            assert ["completed"] * 3 == [each.state for each in ended]
            assert outbox.entry(ids[0]) is not None
        assert [b'{"a":1}', b"7", b"late"] == [golem.payload(each) for each in ids]

    def test_a_sigterm_ends_a_delivery_when_its_calls_are_settled(
        self, golem: BlockingFakeGolem, tmp_path: Path
    ) -> None:
        """As that of `Outbox.deliver`: the process is not killed in the middle of a call."""
        script = """
import sys
from golem_client.blocking import BlockingGolemClient, BlockingOutbox
url, token, promise_id, path = sys.argv[1:]
with BlockingOutbox.open(path) as outbox, BlockingGolemClient(url, token=token) as client:
    outbox.complete_json(promise_id, 1)
    outbox.deliver(client)
    print(outbox.entry(promise_id).outcome)
"""
        golem.latency(0.3)
        promise_id = golem.create_promise()
        arguments = [golem.url, golem.token, str(promise_id), str(tmp_path / "golem.sqlite")]
        delivering = Child("-c", script, *arguments)
        deadline = time.monotonic() + 60
        while not golem.requests and time.monotonic() < deadline:
            time.sleep(0.005)
        delivering.terminate()
        assert (b"fulfilled\n", b"") == delivering.communicate()
        assert 0 == delivering.returncode

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_a_forked_child_accepts_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Over a connection of its own, also where its parent was writing when it forked.

        It is the same file, also where the child has gone to another folder, as daemons do.
        """
        monkeypatch.chdir(tmp_path)
        (tmp_path / "elsewhere").mkdir()
        is_over = threading.Event()

        def accept(outbox: BlockingOutbox) -> None:
            while not is_over.is_set():
                outbox.complete_json(f"{ID}{time.monotonic_ns()}", 1)

        def accept_in_a_child(outbox: BlockingOutbox, promise_id: str) -> int:
            pid = os.fork()
            if pid == 0:
                code = 1
                os.chdir("elsewhere")
                try:
                    code = 0 if outbox.complete_json(promise_id, 1).is_new else 2
                finally:
                    os._exit(code)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        with (
            BlockingOutbox.open("golem.sqlite") as outbox,
            ThreadPoolExecutor(1) as pool,
        ):
            accepting = pool.submit(accept, outbox)
            codes = [accept_in_a_child(outbox, f"{ID}/{n}") for n in range(3)]
            is_over.set()
            accepting.result()
            assert [0] * 3 == codes
            assert all(outbox.entry(f"{ID}/{n}") for n in range(3))


@pytest.mark.parametrize("call", [lambda c: c.complete_json("x", 1)])
def test_a_wrong_id_is_an_error_before_anything_is_sent(
    call: Callable[[Any], Any], golem: BlockingFakeGolem, client: BlockingGolemClient
) -> None:
    with pytest.raises(GolemError, match="not"):
        call(client)
    assert 0 == len(golem.requests)
