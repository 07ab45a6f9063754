"""Workers ask for decisions; people see what is pending, follow a link, and decide.

    pip install "golem-client[links,outbox]" fastapi jinja2 uvicorn
    python examples/approvals/app.py            # then open http://127.0.0.1:8000

Without GOLEM_URL it runs on a FakeGolem, with three workers that ask for approval. With GOLEM_URL
(and GOLEM_AUTH_TOKEN) it serves a real Golem, whose workers ask by `POST /questions` and may tell
what they received by `POST /results`. Keep these two and the list behind your login; the links
(`/decide/…`) are for whoever gets one.

What a person decides is stored in an SQLite outbox before the page says so, and is delivered when
Golem is there.
"""

import asyncio
import json
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import jinja2
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from sqlalchemy.dialects.sqlite import insert

from golem_client import GolemClient, Outcome, PromiseId
from golem_client.links import Link, PromiseLinks
from golem_client.outbox import Entry, Outbox
from golem_client.testing import FakeGolem

PAGE = jinja2.Environment(autoescape=True).from_string(
    (Path(__file__).parent / "page.html").read_text()
)
TABLE = sa.Table(
    "approvals_questions",
    sa.MetaData(),
    sa.Column("promise_id", sa.String, primary_key=True),
    sa.Column("question", sa.String, nullable=False),
    sa.Column("asked_at", sa.Float, nullable=False),
    sa.Column("result", sa.String),
)


@attrs.frozen
class Decision:
    approved: bool


class Question(BaseModel):
    promise_id: PromiseId
    question: str


class Result(BaseModel):
    promise_id: PromiseId
    result: str


class Approvals:
    """The questions that workers have asked, beside the outbox in one database."""

    def __init__(self, outbox: Outbox, links: PromiseLinks) -> None:
        self.outbox = outbox
        self.links = links

    async def create_tables(self) -> None:
        async with self.outbox.engine.begin() as connection:
            await connection.run_sync(TABLE.metadata.create_all)

    async def ask(self, asked: Question) -> None:
        """Remember a question; a worker that starts again may ask it again."""
        row = {"promise_id": str(asked.promise_id), "question": asked.question}
        once = insert(TABLE).values(**row, asked_at=datetime.now(UTC).timestamp())
        async with self.outbox.engine.begin() as connection:
            await connection.execute(once.on_conflict_do_nothing())

    async def tell(self, told: Result) -> None:
        """Remember what a worker says that it received."""
        mine = TABLE.c.promise_id == str(told.promise_id)
        async with self.outbox.engine.begin() as connection:
            await connection.execute(sa.update(TABLE).where(mine).values(result=told.result))

    async def question_of(self, link: Link) -> str:
        mine = TABLE.c.promise_id == str(link.promise_id)
        async with self.outbox.engine.connect() as connection:
            found = await connection.scalar(sa.select(TABLE.c.question).where(mine))
        return str(found or "This question is not known here any more. Decide all the same?")

    async def shown(self) -> list[dict[str, Any]]:
        """Return each question as the page shows it, the newest first."""
        async with self.outbox.engine.connect() as connection:
            rows = (await connection.execute(sa.select(TABLE).order_by(-TABLE.c.asked_at))).all()
        return [await self._shown(row) for row in rows]

    async def _shown(self, row: Any) -> dict[str, Any]:
        entry = await self.outbox.entry(row.promise_id)
        asked_at = datetime.fromtimestamp(row.asked_at, UTC)
        shown = {"question": row.question, "asked_at": asked_at, "since": since(asked_at)}
        if entry is None and row.result is None:
            return {**shown, "approve": self._link(row, True), "reject": self._link(row, False)}
        return {**shown, "became": became(entry), "result": row.result}

    def _link(self, row: Any, approved: bool) -> str:  # noqa: FBT001
        decision = Decision(approved=approved)
        return "/decide/" + self.links.token(row.promise_id, decision, expires_in=timedelta(days=7))


def since(asked_at: datetime) -> str:
    minutes = int((datetime.now(UTC) - asked_at).total_seconds() // 60)
    return f"{minutes} min ago" if minutes else "just now"


def became(entry: Entry | None) -> str:
    """Say what became of a question, and no more than is known."""
    if entry is None:
        return "Decided elsewhere"
    if entry.state == "dead":
        return f"Recorded, but it cannot be delivered: {entry.error}"
    if entry.outcome is None:
        return "Recorded, and on its way" if not entry.error else "Recorded; Golem is away"
    return {
        Outcome.FULFILLED: "Decided here",
        Outcome.ALREADY_FULFILLED: "Decided elsewhere before",
        Outcome.FULFILLED_BY_UNKNOWN: "Decided; whether here, nobody can know",
    }[entry.outcome]


def button_of(link: Link) -> str:
    return "Approve" if json.loads(link.payload)["approved"] else "Reject"


async def worker(golem: FakeGolem, approvals: Approvals, order: int) -> None:
    """What a Golem worker does: ask, sleep until somebody decides, go on."""
    promise_id = golem.create_promise(worker_name=f'OrderAgent("{order}")')
    await approvals.ask(Question(promise_id=promise_id, question=f"Approve order {order}?"))
    decision = await golem.await_promise_json(promise_id, Decision)
    result = "approved" if decision.approved else "rejected"
    await approvals.tell(Result(promise_id=promise_id, result=result))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        golem: FakeGolem | None = None
        if os.environ.get("GOLEM_URL"):
            client = await stack.enter_async_context(GolemClient.from_env())
            database = os.environ.get("APPROVALS_DATABASE", "approvals.sqlite")
        else:
            golem = await stack.enter_async_context(FakeGolem())
            client = await stack.enter_async_context(GolemClient(golem.url, token=golem.token))
            database = stack.enter_context(tempfile.TemporaryDirectory()) + "/approvals.sqlite"
        outbox = await stack.enter_async_context(await Outbox.open(database))
        # A key that is made anew ends all links when the program ends: set it.
        key = os.environ.get("APPROVALS_KEY") or secrets.token_hex(32)
        approvals = Approvals(outbox, PromiseLinks([key], purpose="approval"))
        await approvals.create_tables()
        app.state.approvals = approvals
        decide = approvals.links.starlette(outbox, question=approvals.question_of, button=button_of)
        app.add_route("/decide/{token}", decide, methods=["GET", "HEAD", "POST"])
        await stack.enter_async_context(outbox.delivering(client))
        workers = [worker(golem, approvals, order) for order in (17, 18, 19)] if golem else []
        tasks = [asyncio.create_task(each) for each in workers]
        yield
        for task in tasks:
            task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def index(request: Request) -> HTMLResponse:
    return HTMLResponse(PAGE.render(questions=await request.app.state.approvals.shown()))


@app.post("/questions", status_code=204)
async def ask(asked: Question, request: Request) -> None:
    await request.app.state.approvals.ask(asked)


@app.post("/results", status_code=204)
async def tell(told: Result, request: Request) -> None:
    await request.app.state.approvals.tell(told)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
