"""A long-lived service tells waiting workflows what people decided.

One client serves all of it. The payload is typed: what is no `Decision` is refused before it is
sent. Each outcome and each error that deserves a decision gets one.
"""

import asyncio

import attrs

from golem_client import GolemClient, GolemError, InvalidIdError, Outcome, PromiseNotFoundError
from golem_client.testing import FakeGolem


@attrs.frozen
class Decision:
    approved: bool
    reviewer: str


class Approvals:
    """Made once, with the client that the whole service shares."""

    def __init__(self, client: GolemClient) -> None:
        self._client = client

    async def decide(self, promise_id: str, decision: Decision) -> str:
        """Tell the workflow, and say what the reviewer is to see."""
        try:
            promise = self._client.promise(promise_id, Decision)
            done = await promise.complete(decision)
        except InvalidIdError as error:
            return f"this link is broken: {error}"
        except PromiseNotFoundError:
            return "this workflow asks for no decision"
        except GolemError as error:
            if error.worth_retrying:
                # The same decision again is harmless, even where this one has arrived.
                return "not delivered yet: kept, to be sent again"
            raise
        match done.outcome:
            case Outcome.FULFILLED:
                return "your decision counts"
            case Outcome.ALREADY_FULFILLED:
                return "somebody else decided before you"
            case Outcome.FULFILLED_BY_UNKNOWN:
                return "decided; see the workflow for which decision counts"


async def main() -> None:
    async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
        approvals = Approvals(client)
        first, second = str(golem.create_promise()), str(golem.create_promise())
        yes, no = Decision(approved=True, reviewer="ada"), Decision(approved=False, reviewer="bob")

        print(await approvals.decide(first, yes))
        print(await approvals.decide(first, no))
        golem.drop_next(applied=True)  # it is stored, and the answer is lost
        print(await approvals.decide(second, yes))
        print(await approvals.decide(f"{second}0", yes))
        print(await approvals.decide("oops", yes))
        print(await golem.await_promise_json(first, Decision))


if __name__ == "__main__":
    asyncio.run(main())
