"""`shootdown serve`: the what-if page, live, for a browser on this machine."""

from __future__ import annotations

import socket

import click

from shootdown._cli import _common
from shootdown._values.errors import ShootdownError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@_common.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=_common.Whole(0, 65_535), default=8043, show_default=True, help="0: a free one.")
@click.option(
    "--name", "names", multiple=True, metavar="HOST", help="A further name by which browsers ask for it."
)
def command(host: str, port: int, names: tuple[str, ...]) -> None:
    """Serve the what-if page: counts, times, verdict and story change as its fields do.

    It takes names and numbers, and no files. Nobody is asked who they are: on another address than loopback, everybody
    who reaches it may let it compute, within its bounds. Needs the extra `serve`.
    """
    try:
        import uvicorn

        from shootdown._web.app import application
        from shootdown._web.connections import Connection
    except ImportError:
        raise ShootdownError(
            "serve needs starlette and uvicorn, which are not installed: pip install 'shootdown[serve]'"
        ) from None
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    hosts = {
        f"{_bracketed(name)}:{port}" for name in (host, *names, *(_LOOPBACK if host in _LOOPBACK else ()))
    }
    click.echo(f"http://{_bracketed(host)}:{port}/ (Ctrl-C ends it)", err=True)
    if host not in _LOOPBACK:
        click.echo("everybody who reaches this address may let it compute", err=True)
    server = uvicorn.Server(
        uvicorn.Config(
            application(hosts),
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=256,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=16_384,
            http=Connection,
            ws="none",
            lifespan="off",
            proxy_headers=False,
        )
    )
    server.run(sockets=[listening])


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    """Open the socket, so that the port is known.

    Raises:
        ShootdownError: it can't be opened.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
    except OSError as error:
        raise ShootdownError(f"{host} port {port}: {(error.strerror or str(error)).lower()}") from None
    return found
