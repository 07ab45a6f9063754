"""Completions through a storm of faults; exits with 1 if anything is misreported.

    python -m tests.storm --calls 100000 --seed 1
    python -m tests.storm --calls 20000 --nginx

Exit codes: 0 every law held; 1 one was broken, or the memory grew; 2 bad usage; 3 there is no
nginx, where one was asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from golem_client.testing import FakeGolem
from tests.storm.nginx import NoNginxError, nginx_before
from tests.storm.storm import Storm


@asynccontextmanager
async def _way_to(url: str, *, nginx: bool) -> AsyncIterator[str]:
    if not nginx:
        yield url
        return
    async with nginx_before(url) as proxy:
        yield proxy


async def _run(options: argparse.Namespace) -> int:
    async with (
        FakeGolem(dialect=options.dialect) as golem,
        _way_to(golem.url, nginx=options.nginx) as url,
    ):
        storm = Storm(golem, url, seed=options.seed, rate=options.rate, through_proxy=options.nginx)
        await storm.rage(options.calls)
    way = "through nginx" if options.nginx else "direct"
    sys.stdout.write(
        f"Golem {options.dialect}, {way}, seed {options.seed}, "
        f"{options.rate:.0%} of the requests meet a fault\n{storm.report.table()}\n"
    )
    return 0 if storm.report.is_clean() else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.storm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.4, help="part of requests that fail")
    parser.add_argument("--dialect", choices=("1.1", "1.2", "1.3", "1.5"), default="1.5")
    parser.add_argument("--nginx", action="store_true", help="put a real nginx in between")
    try:
        return asyncio.run(_run(parser.parse_args()))
    except NoNginxError as error:
        sys.stderr.write(f"{error}\n")
        return 3


if __name__ == "__main__":
    sys.exit(main())
