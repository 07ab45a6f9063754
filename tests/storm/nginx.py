"""A real nginx between the client and the fake, on a free loopback port."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

# As in Golem's own samples the path is forwarded as it came; the times are those of a storm.
_CONFIG = """
daemon off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    client_max_body_size 50m;
    keepalive_requests 1000;
    upstream golem {{ server {upstream}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location ~ /v1/components/[^/]+/workers(.*)$ {{
            proxy_pass http://golem;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 1s;
            proxy_read_timeout 1s;
        }}
    }}
}}
"""


class NoNginxError(Exception):
    """There is no nginx, or it does not start."""


@asynccontextmanager
async def nginx_before(url: str) -> AsyncIterator[str]:
    """Run an nginx that forwards to this URL; yield its own.

    Raises:
        NoNginxError: There is none on this machine, or it does not start.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise NoNginxError("there is no nginx on this machine: apt-get install nginx")
    with tempfile.TemporaryDirectory(prefix="storm-nginx-") as root:
        port = _free_port()
        config = _written(root, url.removeprefix("http://"), port)
        process = await asyncio.create_subprocess_exec(
            program, "-p", root, "-c", config, "-e", f"{root}/error.log"
        )
        try:
            if not await _is_up(port, process):
                raise NoNginxError(f"nginx did not start: {_said(root)}")
            yield f"http://127.0.0.1:{port}"
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _written(root: str, upstream: str, port: int) -> str:
    path = Path(root, "nginx.conf")
    path.write_text(_CONFIG.format(root=root, upstream=upstream, port=port))
    return str(path)


def _said(root: str) -> str:
    log = Path(root, "error.log")
    return log.read_text()[-1000:] if log.exists() else "it said nothing"


async def _is_up(port: int, process: asyncio.subprocess.Process) -> bool:
    for _ in range(200):
        if process.returncode is not None:
            return False
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        await writer.wait_closed()
        return True
    return False
