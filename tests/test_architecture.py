"""Who may import whom, what is public, and what an import of the package costs."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import golem_client

ROOT = Path(golem_client.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))

# Section 8 of the design. A package counts as one module, and may import itself.
PUBLIC_ONLY = frozenset({"the public names"})
MAY_IMPORT = {
    "errors": frozenset(),
    "ids": frozenset({"errors"}),
    "payload": frozenset({"ids", "errors"}),
    "wire": frozenset({"ids", "errors", "payload"}),
    "outcome": frozenset({"errors"}),
    "retry": frozenset({"errors", "outcome"}),
    "config": frozenset({"errors"}),
    "client": frozenset({"errors", "ids", "payload", "wire", "retry", "config", "outcome"}),
    "threads": frozenset(),
    "testing": frozenset({"ids", "threads"}),
    "bulk": PUBLIC_ONLY | {"outcome"},
    "outbox": PUBLIC_ONLY | {"ids", "payload", "outcome"},
    "answer": frozenset(),
    "links": PUBLIC_ONLY | {"answer", "ids", "payload", "outcome"},
    "webhooks": PUBLIC_ONLY | {"answer", "outbox"},
    "telemetry": PUBLIC_ONLY | {"client"},
    "blocking": PUBLIC_ONLY | {"client", "threads", "outbox"},
    # The two that are public by names of their own; and doctor says which setting came from where.
    "cli": PUBLIC_ONLY | {"bulk", "testing", "config", "outbox", "outcome"},
    "__main__": frozenset({"cli"}),
    "pytest_plugin": PUBLIC_ONLY | {"testing", "blocking"},  # which are public as well
    "version": frozenset(),
    "frames": frozenset(),
}

# Who may use which of our dependencies; whatever is not here is the standard library's.
DEPENDENCIES = {
    "errors": frozenset(),
    "ids": frozenset({"attrs"}),
    "payload": frozenset({"attrs", "cattrs", "typing_extensions"}),  # which cattrs depends on
    "wire": frozenset({"attrs"}),
    "outcome": frozenset({"attrs"}),
    "retry": frozenset({"attrs", "tenacity"}),
    "config": frozenset({"attrs", "yarl"}),  # yarl for the syntax of URLs; it does no I/O
    # typing_extensions for TypeForm: cattrs depends on it.
    "client": frozenset({"aiohttp", "attrs", "cattrs", "multidict", "typing_extensions", "yarl"}),
    # aioresponses for mocks and Hypothesis for strategies: both optional, imported when used.
    "testing": frozenset(
        {"aiohttp", "aioresponses", "attrs", "cattrs", "hypothesis", "multidict", "yarl"}
    ),
    "bulk": frozenset({"attrs", "typing_extensions"}),
    "threads": frozenset(),
    # Optional, and imported when used: SQLAlchemy's engines, Fernet, itsdangerous, OpenTelemetry.
    "outbox": frozenset({"attrs", "cattrs", "cryptography", "sqlalchemy", "typing_extensions"}),
    "answer": frozenset({"aiohttp", "attrs", "starlette"}),
    "links": frozenset({"attrs", "cattrs", "itsdangerous", "typing_extensions"}),
    "webhooks": frozenset({"aiohttp", "attrs", "multidict", "starlette", "twilio"}),
    "telemetry": frozenset({"attrs", "opentelemetry"}),
    "blocking": frozenset({"sqlalchemy", "typing_extensions"}),
    "cli": frozenset({"aiohttp", "attrs", "click", "sqlalchemy", "yarl"}),
    "__main__": frozenset(),
    "pytest_plugin": frozenset({"attrs", "pytest", "pytest_asyncio"}),
    "version": frozenset(),
    "frames": frozenset(),
}

# The network is `client`'s; the fake serves on it.
RUNS_A_LOOP = frozenset(
    {
        "answer",
        "blocking",
        "bulk",
        "cli",
        "client",
        "links",
        "outbox",
        "testing",
        "threads",
        "webhooks",
    }
)
NETWORK = frozenset({"aiohttp", "asyncio", "http", "requests", "socket", "ssl", "urllib3"})

PUBLIC = [
    "AgentId",
    "AnyPromiseId",
    "AttemptTimeoutError",
    "AuthenticationError",
    "BadLinkError",
    "BadRequestError",
    "BulkStoppedError",
    "Completion",
    "ComponentId",
    "ComponentNotFoundError",
    "ConnectionFailedError",
    "ConnectionLostError",
    "DeadlineExceededError",
    "DeliveryError",
    "DuplicateItemError",
    "ExpiredLinkError",
    "GolemClient",
    "GolemError",
    "InsecureTransportWarning",
    "InvalidIdError",
    "Item",
    "NotFoundError",
    "OplogIndex",
    "OutboxError",
    "Outcome",
    "PayloadError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "Promise",
    "PromiseId",
    "PromiseNotFoundError",
    "RateLimitedError",
    "ResponseError",
    "Result",
    "RetryPolicy",
    "ServerError",
    "TokenSource",
    "UnexpectedResponseError",
    "WorkerId",
    "WorkerNotFoundError",
    "complete_many",
    "make_converter",
]


@attrs.frozen
class Import:
    """One import that happens when a program runs: the module, and the name taken from it."""

    file: str
    module: str
    name: str = ""

    @property
    def owner(self) -> str:
        """Which of our modules imports; "" is the package itself."""
        return self.file.removesuffix(".py").partition("/")[0]

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    @property
    def ours(self) -> str | None:
        """Which of our modules is imported: its name, or "the public names", or None."""
        if self.top != "golem_client":
            return None
        inner = self.module.split(".")[1:]
        if inner:
            return inner[0]
        if (ROOT / self.name).is_dir() or (ROOT / f"{self.name}.py").is_file():
            return self.name
        return "the public names"


def is_for_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    )


def nodes_that_run(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is below a node, functions too, without what is for type checking alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and is_for_type_checking(child):
            for other in child.orelse:
                yield other
                yield from nodes_that_run(other)
            continue
        yield child
        yield from nodes_that_run(child)


def imports_in(source: str, file: str) -> Iterator[Import]:
    """Yield the imports of a source; `file` is its path below the package."""
    package = ["golem_client", *file.split("/")[:-1]]
    for node in nodes_that_run(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(file, module, alias.name)


def inside(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@functools.cache
def all_imports() -> list[Import]:
    return [found for file in SOURCES for found in imports_in(file.read_text(), inside(file))]


MODULES = sorted(
    {inside(file).removesuffix(".py").partition("/")[0] for file in SOURCES} - {"__init__"}
)


def test_every_module_has_its_place_in_the_table() -> None:
    """A new module is a decision: it gets a row, here and in the design."""
    assert set() == set(MODULES) - set(MAY_IMPORT)


def test_a_module_imports_of_ours_only_what_its_row_allows() -> None:
    """Imports for type checking alone are exempt; anybody may know the version and hide locals."""
    assert [] == [
        found
        for found in all_imports()
        if found.owner in MODULES
        and found.ours is not None
        and found.ours not in MAY_IMPORT[found.owner] | {found.owner, "version", "frames"}
    ]


def test_a_module_uses_only_its_dependencies() -> None:
    """Whatever else it needs is the standard library's; pydantic is optional."""
    everybody = sys.stdlib_module_names | {"golem_client"}
    optional = frozenset({"pydantic", "pydantic_core"})
    assert [] == [
        found
        for found in all_imports()
        if found.owner in MODULES
        and found.top not in DEPENDENCIES[found.owner] | everybody
        and not (found.owner in ("ids", "payload") and found.top in optional)
    ]


@pytest.mark.parametrize("module", sorted(set(MODULES) - RUNS_A_LOOP))
def test_a_pure_module_touches_no_network(module: str) -> None:
    """Only the client does, and the fake that it is tested with."""
    assert [] == [
        found for found in all_imports() if found.owner == module and found.top in NETWORK
    ]


@pytest.mark.parametrize("module", sorted(set(MODULES) & {"wire", "errors", "ids", "payload"}))
def test_a_pure_module_has_no_clock(module: str) -> None:
    """Judgements do not depend on when they are made."""
    assert [] == [found for found in all_imports() if found.owner == module and found.top == "time"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import golem_client.wire", ["wire"]),
        ("import golem_client.wire.words as words", ["wire"]),
        ("from golem_client import wire", ["wire"]),
        ("from golem_client import errors, GolemClient", ["errors", "the public names"]),
        ("from golem_client.wire.words import describe", ["wire"]),
        ("from .values import x", ["ids"]),
        ("from . import values", ["ids"]),
        ("from ..wire import x", ["wire"]),
        ("from .. import retry", ["retry"]),
        ("def f():\n    from golem_client import retry", ["retry"]),
        ("try:\n    import golem_client.retry\nexcept ImportError:\n    pass", ["retry"]),
        ("if TYPE_CHECKING:\n    from golem_client import retry", []),
        ("if typing.TYPE_CHECKING:\n    from golem_client import retry", []),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from golem_client import retry", ["retry"]),
        ("if not TYPE_CHECKING:\n    from golem_client import retry", ["retry"]),
    ],
)
def test_the_reader_of_imports_sees(source: str, expected: list[str]) -> None:
    """Every spelling of an import that happens, and none that does not."""
    assert expected == [found.ours for found in imports_in(source, "ids/some.py")]


def file_of(module: str, name: str) -> str | None:
    """Return the file of ours that an import runs; None where it is somebody else's."""
    path = ROOT.parent.joinpath(*module.split("."))
    for file in (path / f"{name}.py", path / name / "__init__.py", path.with_suffix(".py")):
        if name and file.is_file() and ROOT in file.parents:
            return inside(file)
    package = path / "__init__.py"
    return inside(package) if package.is_file() and ROOT in package.parents else None


def circle_in(arrows: dict[str, set[str]]) -> list[str]:
    """Return files that import one another in a circle; [] where there is none."""
    done: set[str] = set()

    def below(file: str, path: list[str]) -> list[str]:
        if file in path:
            return [*path[path.index(file) :], file]
        if file not in done:
            for other in sorted(arrows.get(file, ())):
                if circle := below(other, [*path, file]):
                    return circle
            done.add(file)
        return []

    return next((circle for file in sorted(arrows) if (circle := below(file, []))), [])


def test_no_files_import_one_another_in_a_circle() -> None:
    """Imports for type checking, and those that happen when a function runs, are exempt."""
    arrows: dict[str, set[str]] = {}
    for file in SOURCES:
        tree = ast.parse(file.read_text())
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                targets = {file_of(node.module, alias.name) for alias in node.names}
                arrows.setdefault(inside(file), set()).update(
                    each for each in targets if each and each != inside(file)
                )
    public = {"__init__.py"}  # the package itself runs first, whatever is imported of it
    assert len(arrows) > 50
    assert [] == circle_in({file: others - public for file, others in arrows.items()})


def test_a_circle_is_seen() -> None:
    """The search finds what it looks for."""
    assert ["a", "b", "c", "a"] == circle_in({"x": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_the_public_names_are_these() -> None:
    """What is public stays: a change of this list is a decision."""
    assert sorted(PUBLIC) == golem_client.__all__


def test_the_public_names_are_sorted() -> None:
    """By code point: classes first, as in their list."""
    assert sorted(golem_client.__all__) == golem_client.__all__


def test_the_package_defines_nothing_but_its_public_names() -> None:
    """Every name in it is public, or a module, or one of Python's own or of pytest's."""
    modules = {path.stem for path in ROOT.iterdir()}
    # pytest adds names with an @ to all modules of an installed wheel that has a plugin.
    own = {name for name in vars(golem_client) if not name.startswith(("__", "@"))}
    assert set() == own - set(golem_client.__all__) - modules


def test_every_public_name_can_be_imported() -> None:
    """From the package itself."""
    assert [] == [name for name in PUBLIC if not hasattr(golem_client, name)]


EXPORTING = [
    ".".join(["golem_client", *inside(file).removesuffix("__init__.py").split("/")[:-1]])
    for file in SOURCES
    if file.name == "__init__.py"
]


def exported() -> Iterator[tuple[str, Any]]:
    for package in EXPORTING:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", []):
            yield f"{package}.{name}", getattr(module, name)  # `from package import *` works


def test_what_a_package_exports_is_described() -> None:
    """Each class and function in an `__all__` has a docstring of its own."""
    assert [] == [
        name
        for name, value in exported()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and not (vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__)
    ]


def test_a_module_has_a_docstring() -> None:
    """It says in a sentence what the module is about."""
    assert [] == [
        inside(file) for file in SOURCES if not ast.get_docstring(ast.parse(file.read_text()))
    ]


def test_a_module_can_be_taken_in() -> None:
    """Every file that people found hard to navigate was longer; most are far shorter."""
    lines = {inside(file): len(file.read_text().splitlines()) for file in SOURCES}
    assert {} == {file: number for file, number in lines.items() if number > 440}


def test_a_module_is_named_after_the_thing() -> None:
    """None is a drawer for what has no other place."""
    drawers = {"util", "utils", "helper", "helpers", "common", "base", "types", "misc"}
    assert [] == [inside(file) for file in SOURCES if file.stem.strip("_") in drawers]


def test_no_module_hides() -> None:
    """Tracebacks read `golem_client.errors.PromiseNotFoundError`."""
    assert [] == [
        inside(file)
        for file in SOURCES
        if file.stem.startswith("_") and file.stem not in ("__init__", "__main__")
    ]


def test_nobody_imports_everything() -> None:
    """No star imports."""
    assert [] == [found for found in all_imports() if found.name == "*"]


def test_the_package_is_typed() -> None:
    """Type checkers read its annotations."""
    assert (ROOT / "py.typed").is_file()
