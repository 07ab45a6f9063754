"""What `import golem_client` costs over importing the four dependencies, in CPU time.

python -m tests.benchmarks.imports
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys

DEPENDENCIES = "import aiohttp, attrs, cattrs, tenacity"
OURS = f"{DEPENDENCIES}, golem_client"
LIST = "import sys; print(*sys.modules)"
OPTIONAL = ("pydantic", "hypothesis", "pytest", "click", "aioresponses", "aiohttp.web")


# As where it is installed: compiling it anew each time is no cost of its users.
WITH_BYTECODE = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}


def cpu(program: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], env=WITH_BYTECODE, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def modules(program: str) -> set[str]:
    ended = subprocess.run(
        [sys.executable, "-c", f"{program}; {LIST}"], check=True, capture_output=True, text=True
    )
    return set(ended.stdout.split())


def main() -> None:
    cpu(OURS)
    pairs = [(cpu(DEPENDENCIES), cpu(OURS)) for _ in range(15)]
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    milliseconds = statistics.median(ours for _, ours in pairs) * 1e3
    print(f"import golem_client: {milliseconds:.0f} ms of CPU, {ratio:.2f} times its dependencies")
    new = modules(OURS) - modules(DEPENDENCIES)
    print("optional modules imported:", sorted(new.intersection(OPTIONAL)) or "none")


if __name__ == "__main__":
    main()
