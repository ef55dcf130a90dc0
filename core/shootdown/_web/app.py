"""The application: three addresses, all of them GET, for browsers that name this host and come from its own page."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Collection
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from shootdown._values.errors import ShootdownError
from shootdown._web.asking import MOST_QUERY, NOW, Asked, asked, choices
from shootdown._web.computing import BusyError, answer, failed
from shootdown._web.page import LOOKS, POLICY, SCRIPT, page

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuse what no page of this server asks: other hosts, other origins, other methods, long addresses.

    Args:
        app: the application.
        hosts: what the Host header may be.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refused = self._refused(scope)
        await (self._app if refused is None else refused)(scope, receive, send)

    def _refused(self, scope: Scope) -> Response | None:
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        host = headers.get("host", [])
        if len(host) != 1 or host[0].lower() not in self._hosts:
            return _plain("this server has another name", 421)
        origins = headers.get("origin", [])
        if any(origin.lower() not in {f"http://{name}" for name in self._hosts} for origin in origins):
            return _plain("pages of other origins are not answered", 403)
        if headers.get("sec-fetch-site", ["none"])[0] not in ("none", "same-origin"):
            return _plain("pages of other sites are not answered", 403)
        if scope["method"] not in ("GET", "HEAD"):
            return _plain("only GET", 405)
        if len(scope["query_string"]) > MOST_QUERY:
            return _plain(f"an address of more than {MOST_QUERY} characters", 414)
        sizes = headers.get("content-length", [])
        if "transfer-encoding" in headers or any(int(size) if size.isdecimal() else 1 for size in sizes):
            return _plain("a request without a body", 413)
        return None


def _plain(text: str, status: int) -> Response:
    return PlainTextResponse(text, status, headers=_HEADERS)


async def _page(request: Request) -> Response:
    """Return the page: its script asks for the answer, or its button, where there are no scripts."""
    query = request.query_params.multi_items()
    try:
        wanted = asked(_split(query))
        text = await answer(wanted, _leaves(request)) if (NOW, "1") in query else ""
        status = 200
    except ShootdownError as error:
        wanted, text, status = asked([]), failed(str(error)), 400
    except BusyError:
        text, status = failed("many answers are being computed: ask again in a while"), 503
    whole = page(await asyncio.to_thread(_choices), wanted, text)
    return Response(whole, status, headers=_HEADERS, media_type="text/html; charset=utf-8")


async def _answer(request: Request) -> Response:
    command = ""
    try:
        wanted: Asked = asked(_split(request.query_params.multi_items()))
        command = wanted.command()
        value, status = await answer(wanted, _leaves(request)), 200
    except ShootdownError as error:
        value, status = failed(str(error)), 400
    except BusyError:
        value, status = failed("many answers are being computed: ask again in a while"), 503
    return JSONResponse({"html": value, "command": command}, status, headers=_HEADERS)


async def _leaves(request: Request) -> None:
    """Return when the browser has closed the connection, as it does when its user has changed the question."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _split(query: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Part the fields that hold several, as a form without its script sends them."""
    return [
        (name, word) for name, value in query for word in (value.split() if name in ("p", "set") else [value])
    ]


@functools.cache
def _choices() -> dict[str, Any]:
    return choices()


async def _script(_: Request) -> Response:
    return Response(SCRIPT, headers=_HEADERS, media_type="text/javascript; charset=utf-8")


async def _looks(_: Request) -> Response:
    return Response(LOOKS, headers=_HEADERS, media_type="text/css; charset=utf-8")


def application(hosts: Collection[str]) -> Starlette:
    """Return the application.

    Args:
        hosts: what the Host header may be: `127.0.0.1:8080`.
    """
    return Starlette(
        routes=[
            Route("/", _page),
            Route("/answer", _answer),
            Route("/app.js", _script),
            Route("/looks.css", _looks),
        ],
        middleware=[Middleware(Guard, hosts=hosts)],
    )
