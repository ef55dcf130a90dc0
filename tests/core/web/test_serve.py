"""The what-if page: who may ask, what may be asked, and that a hundred hostile requests are refused cleanly."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from shootdown._values.errors import ShootdownError

pytest.importorskip("starlette")

from shootdown._web import app as web
from shootdown._web import computing
from shootdown._web.asking import KEYS, asked, choices

HOST = "127.0.0.1:8043"
GOOD = {"program": "hugetlb-munmap", "arch": "x86", "kernels": "6.16,7.0", "cpus": "4", "p": "tables=2"}


def get(
    path: str = "/answer",
    query: str = "",
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    leaves: bool = False,
) -> tuple[int, dict[str, str], str]:
    """Ask the application, perhaps without waiting for the answer, and return status, headers and text."""
    given = {"host": HOST, **(headers or {})}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items() if value],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8043),
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"} if leaves else await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(web.application([HOST])(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(one.get("body", b"") for one in sent[1:]).decode()


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Answer at once, and remember what was asked."""
    found: list[Any] = []

    async def answer(wanted: Any, leaves: Any) -> str:
        leaves.close()
        found.append(wanted)
        return "<p>the answer</p>"

    monkeypatch.setattr(web, "answer", answer)
    return found


EVIL = ["<script>alert(1)</script>", "../../etc/passwd", "/etc/passwd", "x.toml", "x.py", "$(id)", "a\x00b", "'\";--",
        "%s%n", "\u202e", "a" * 500, "-1", "1e9", "NaN", "{}", "[]", "x86;ls", "all\nx"]  # fmt: skip
FIELDS = ("program", "arch", "platform", "kernels", "cpus", "p")
HOSTILE = [
    *(urlencode({**GOOD, name: value}) for name in FIELDS for value in EVIL),
    *(urlencode({**GOOD, "set": value}) for value in ("patch.file=x", "kernel.x=a,b", "cost.lock_ns=0", "kernel=")),
    *(urlencode({**GOOD, name: "1"}) for name in ("patch", "plugin", "file", "scenario", "__class__", "perfetto", "")),
    *(f"{urlencode(GOOD)}&{name}={value}" for name, value in GOOD.items()),
    urlencode({**GOOD, "kernels": "7.0,7.0,7.0,7.0,7.0"}), urlencode({**GOOD, "cpus": "257"}),
    urlencode({**GOOD, "cpus": "9" * 300}), "&".join(f"p=a{n}=1" for n in range(40)), "p=" + quote("a=1 " * 40),
    "&".join(["set=kernel.x=1"] * 20), "x" * 5000, "program=%ff%fe", "program=%00",
]  # fmt: skip


def test_there_are_a_hundred_hostile_requests() -> None:
    assert len(set(HOSTILE)) >= 100


@pytest.mark.parametrize("query", HOSTILE)
def test_a_hostile_request_is_refused_cleanly_and_computes_nothing(query: str, computed: list[Any]) -> None:
    for path in ("/answer", "/"):
        status, headers, text = get(path, query)
        assert 400 <= status < 500
        assert "Traceback" not in text
        assert "<script>alert" not in text
        assert "default-src 'none'" in headers["content-security-policy"]
    assert computed == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example:8043"}, 421),
        ({"host": ""}, 421),
        ({"host": f"{HOST}.evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": f"https://{HOST}"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-length": "9"}, 413),
        ({"transfer-encoding": "chunked"}, 413),
    ],
)
def test_who_comes_from_elsewhere_is_refused(
    headers: dict[str, str], status: int, computed: list[Any]
) -> None:
    assert get("/answer", urlencode(GOOD), headers=headers)[0] == status
    assert computed == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "X"])
def test_nothing_but_get_is_answered(method: str) -> None:
    assert get("/", method=method)[0] == 405


@pytest.mark.parametrize("path", ["/../x", "/app.js/x", "/static/x", "//", "/%2e%2e", "/answer/"])
def test_other_addresses_have_nothing(path: str) -> None:
    assert get(path)[0] in (307, 404)


def test_a_request_is_answered_with_the_command_that_gives_the_same(computed: list[Any]) -> None:
    status, _, text = get("/answer", urlencode({**GOOD, "set": "kernel.rcu_table_free=false"}))
    value = json.loads(text)
    assert (status, value["html"]) == (200, "<p>the answer</p>")
    assert value["command"] == (
        "shootdown compare hugetlb-munmap -p tables=2 --arch x86 --platform intel-server --kernel 6.16,7.0 --cpus 4 "
        "--set kernel.rcu_table_free=false"
    )
    assert asked([("program", "unshare-gup")]).command().startswith("shootdown explore unshare-gup")


def test_the_page_computes_nothing_until_its_script_or_its_button_asks(computed: list[Any]) -> None:
    status, headers, text = get("/", urlencode(GOOD))
    assert (status, computed) == (200, [])
    assert "script-src 'self'" in headers["content-security-policy"]
    assert not re.search(r'(?:src|href)="(?!app\.js|looks\.css)', text)
    assert "<p>the answer</p>" in get("/", urlencode({**GOOD, "now": "1"}))[2]


def test_script_and_looks_come_from_here() -> None:
    assert get("/app.js")[1]["content-type"].startswith("text/javascript")
    assert "//" not in re.sub(r"//.*", "", get("/app.js")[2])
    assert get("/looks.css")[1]["content-type"].startswith("text/css")


def test_the_page_offers_every_program_and_platform() -> None:
    offered = choices()
    assert {"hugetlb-munmap", "unshare-gup"} <= set(offered["programs"])
    assert set(offered["platforms"]) >= {"x86", "arm64", "powerpc"}
    assert set(KEYS) >= set(GOOD)


def test_an_answer_that_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(ShootdownError, match="in a terminal: shootdown compare"):
        asyncio.run(
            computing.answer(
                asked([("program", "fork-storm"), ("cpus", "196")]), asyncio.sleep(60), seconds=0.5
            )
        )
    assert time.monotonic() - began < 30


def test_an_answer_is_the_report_of_what_was_asked() -> None:
    small = {"program": "hugetlb-munmap", "arch": "x86", "kernels": "7.0", "cpus": "2"}
    text = computing.told(asked([*small.items()]))
    assert "7.0 sends 1 IPI" in text
    assert "<svg" not in text


def test_too_many_at_once_are_refused_and_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing._waiting, "acquire", lambda blocking: False)
    status, _, text = get("/answer", urlencode(GOOD))
    assert status == 503
    assert "ask again" in text


def test_an_answer_that_nobody_waits_for_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page asks anew with each change of its fields, and closes the connection of what it asked before."""
    ended: list[bool] = []

    def compute(_: Any, __: float, gone: threading.Event) -> str:
        ended.append(gone.wait(60))
        return ""

    monkeypatch.setattr(computing, "_in_a_process", compute)
    for _ in range(2 * (computing.AT_ONCE + computing.MOST_WAITING)):
        assert get("/answer", urlencode(GOOD), leaves=True)[0] == 200
    computing._running.submit(int).result()
    assert all(ended)


def test_the_page_is_there_while_every_place_for_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    monkeypatch.setattr(computing, "_in_a_process", lambda *_: str(free.wait(60)))

    async def ask() -> list[str]:
        wanted = asked([*GOOD.items()])
        places = range(computing.AT_ONCE + computing.MOST_WAITING)
        answers = [asyncio.ensure_future(computing.answer(wanted, asyncio.sleep(60))) for _ in places]
        await asyncio.sleep(0)
        with pytest.raises(computing.BusyError):
            await computing.answer(wanted, asyncio.sleep(60))
        await asyncio.to_thread(choices)
        free.set()
        return await asyncio.gather(*answers)

    assert set(asyncio.run(ask())) == {"True"}


def test_a_connection_that_asks_for_half_of_a_page_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    uvicorn = pytest.importorskip("uvicorn")
    from shootdown._web import connections

    monkeypatch.setattr(connections, "MOST_SECONDS", 0.2)
    app = web.application(["127.0.0.1:1"])
    server = uvicorn.Server(
        uvicorn.Config(app, http=connections.Connection, lifespan="off", log_level="error")
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        whole = b"GET /looks.css HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n"
        for begun in (b"", b"GET / HTTP/1.1\r\nHo", whole + b"GET / HTTP/1.1\r\nHo"):
            with socket.create_connection(listening.getsockname(), timeout=60) as one:
                one.sendall(begun)
                got = b"".join(iter(lambda one=one: one.recv(1 << 16), b""))  # type: ignore[misc]
                assert got.startswith(b"HTTP/1.1 200") == begun.startswith(whole)
        server.should_exit = True
        thread.join()
