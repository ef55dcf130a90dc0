"""Record what every command of commands.txt prints, and report what has changed since.

    python tests/outputs/record.py --write [--only REGEX]     write recorded.json anew, or a part of it
    python tests/outputs/record.py --check [--only REGEX]     compare; exit status 1 where anything differs
    python tests/outputs/record.py --full FOLDER              write each output whole, to compare two commits by diff

Commands run in this process, through `shootdown.__main__.main` and nothing else of shootdown, so that its modules may
move. There is no terminal, COLUMNS is 100, and the working directory is the repository. What is recorded was run with
compiled kernels.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import difflib
import gzip
import hashlib
import io
import json
import multiprocessing
import os
import re
import shlex
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMMANDS = Path(__file__).with_name("commands.txt")
RECORDED = Path(__file__).with_name("recorded.json")

#: Longer texts are kept as a digest and their first lines.
WHOLE = 4096
FIRST_LINES = 40
LONG = 2.0

#: Parts that may differ between runs or machines, and their replacements. `{out}` is put in for its folder before.
NORMALISED: tuple[tuple[re.Pattern[str], str], ...] = (
    # click 8.2 writes "No such option: --x", click 8.3 "No such option '--x'."
    (re.compile(r"No such option:? '?(-[-\w]+)'?\.?"), r"No such option \1"),
    # What is said of progress and of compiling depends on how fast the machine is and on what it has on disk.
    (re.compile(r"^shootdown: (.* s so far|a smaller one is answered at once .*)\n", re.MULTILINE), ""),
    (
        re.compile(
            r"^shootdown: [^\n]*(compiled first, which|which another process does now)[^\n]*\n", re.MULTILINE
        ),
        "",
    ),
    # `asked` has digests of all tables: each of their edits would change every output.
    (re.compile(r',\n  "asked": \{\n.*?\n  \}(?=\n\}\n)', re.DOTALL), ""),
)

Row = dict[str, Any]


class OutOfTimeError(BaseException):
    """A command took longer than --limit allows; a BaseException, so that no `except Exception` catches it."""


class Command:
    """A line of commands.txt: `[NAME=VALUE]... ARGUMENT... [< FILE]`, then `# long` for one that takes long.

    NAME=VALUE before the command is set in the environment, FILE is its standard input, and `{out}` is a folder of its
    own whose files are recorded too.
    """

    def __init__(self, line: str) -> None:
        text, mark, _ = line.partition("  # long")
        self.text = text.strip()
        self.is_long = bool(mark)
        words = shlex.split(self.text)
        self.environment: dict[str, str] = {}
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            name, _, value = words.pop(0).partition("=")
            self.environment[name] = value
        self.stdin = ""
        if len(words) > 1 and words[-2] == "<":
            self.stdin = words.pop()
            words.pop()
        self.arguments = words


def commands() -> list[Command]:
    """Read commands.txt."""
    lines = COMMANDS.read_text(encoding="utf-8").splitlines()
    found = [Command(line) for line in lines if line.strip() and not line.startswith("#")]
    twice = {one.text for one in found if [other.text for other in found].count(one.text) > 1}
    if twice:
        raise SystemExit(f"commands.txt has twice: {', '.join(sorted(twice))}")
    return found


def recorded() -> dict[str, Row]:
    """Read recorded.json."""
    value: dict[str, Row] = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    return value


def run(command: Command, keep: Path | None = None) -> Row:
    """Run a command, and return what is recorded of it.

    Args:
        command: which.
        keep: a folder to write outputs to, whole.
    """
    with tempfile.TemporaryDirectory() as folder, _surroundings(command, folder) as (out, errors):
        status: int | str
        try:
            from shootdown.__main__ import main

            main()
            status = "returned"
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else repr(end.code)
        except Exception as error:
            status = f"{type(error).__name__}: {error}"
        if status == 130:
            raise KeyboardInterrupt
        texts = {
            "stdout": normalised(out.getvalue(), folder),
            "stderr": normalised(errors.getvalue(), folder),
        }
        files = {path.name: _packed_out(path.read_bytes(), folder) for path in sorted(Path(folder).iterdir())}
    row: Row = {"status": status} | {name: shortened(text) for name, text in texts.items()}
    if files:
        row["files"] = {name: f"{len(data)} bytes, sha256 {_digest(data)}" for name, data in files.items()}
    if keep is not None:
        name = re.sub(r"[^\w.=,-]+", "_", command.text)[:150]
        for what, text in texts.items():
            (keep / f"{name}.{what}").write_text(text, encoding="utf-8")
        for file, data in files.items():
            (keep / f"{name}.{file}").write_bytes(data)
    return row


@contextlib.contextmanager
def _surroundings(command: Command, folder: str) -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Set the arguments, environment and streams of a command, and restore them afterwards."""
    before = sys.argv, sys.stdin, sys.stdout, sys.stderr, Path.cwd(), dict(os.environ)
    out, errors = io.StringIO(), io.StringIO()
    given = (ROOT / command.stdin).read_bytes() if command.stdin else b""
    try:
        for name in ("SHOOTDOWN_DISABLE", "SHOOTDOWN_TRACEBACK", "FORCE_COLOR", "NO_COLOR"):
            os.environ.pop(name, None)
        os.environ.update({"COLUMNS": "100", "SOURCE_DATE_EPOCH": "1767225600"} | command.environment)
        os.chdir(ROOT)
        sys.argv = ["shootdown", *(word.replace("{out}", folder) for word in command.arguments)]
        sys.stdin = io.TextIOWrapper(io.BytesIO(given), encoding="utf-8")
        sys.stdout, sys.stderr = out, errors
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "overflow encountered in scalar", RuntimeWarning)
            yield out, errors
    finally:
        sys.argv, sys.stdin, sys.stdout, sys.stderr = before[:4]
        os.chdir(before[4])
        os.environ.clear()
        os.environ.update(before[5])


def normalised(text: str, folder: str) -> str:
    """Put `{out}` in for its folder, and replace what may differ between runs."""
    text = text.replace(folder, "{out}")
    for pattern, instead in NORMALISED:
        text = pattern.sub(instead, text)
    return text


def shortened(text: str) -> list[str] | Row:
    """Return the lines of a text, or of a long one its digest and its first lines."""
    lines = text.split("\n")
    if len(text.encode()) <= WHOLE:
        return lines
    head = [line if len(line) <= 200 else f"{line[:200]}..." for line in lines[:FIRST_LINES]]
    return {"sha256": _digest(text.encode()), "lines": len(lines), "head": head}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _packed_out(data: bytes, folder: str) -> bytes:
    """Unpack gzip, whose header has the time, and put `{out}` in for its folder."""
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    return data.replace(folder.encode(), b"{out}")


def as_lines(row: Row | None) -> list[str]:
    """Write a row as lines to be compared."""
    if row is None:
        return ["not recorded"]
    lines = [f"exit status {row['status']}"]
    for name in ("stdout", "stderr"):
        value = row[name]
        lines.append(f"--- {name}")
        if isinstance(value, dict):
            lines += [f"sha256 {value['sha256']}, {value['lines']} lines, which begin:", *value["head"]]
        else:
            lines += value
    return lines + [f"--- {name}: {what}" for name, what in row.get("files", {}).items()]


def difference(command: str, before: Row | None, now: Row) -> str:
    """Return a unified diff, empty where nothing differs."""
    if before == now:
        return ""
    lines = difflib.unified_diff(as_lines(before), as_lines(now), "recorded", "now", lineterm="", n=2)
    return "\n".join([f"shootdown {command}", *lines])


def _timed(job: tuple[str, str | None, float]) -> tuple[str, Row | None, float]:
    line, keep, limit = job
    began = time.process_time()  # how busy the machine is does not matter
    if limit:
        signal.signal(signal.SIGPROF, _out_of_time)
        signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        row: Row | None = run(Command(line), None if keep is None else Path(keep))
    except OutOfTimeError:
        row = None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return line, row, time.process_time() - began


def _out_of_time(*_: object) -> None:
    raise OutOfTimeError


def run_all(
    chosen: Iterable[Command], jobs: int, keep: Path | None, limit: float
) -> Iterator[tuple[str, Row | None, float]]:
    """Run commands in their order, in so many processes; a row is None where the time was over."""
    work = [(one.text, None if keep is None else str(keep), limit) for one in chosen]
    if jobs < 2:
        yield from map(_timed, work)
        return
    with concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_timed, work)


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write recorded.json")
    parser.add_argument("--check", action="store_true", help="compare with recorded.json")
    parser.add_argument("--full", metavar="FOLDER", type=Path, help="write each output whole to a folder")
    parser.add_argument("--only", metavar="REGEX", default="", help="only commands that match")
    parser.add_argument("--quick", action="store_true", help="leave out those that take long")
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="processes")
    parser.add_argument(
        "--limit", metavar="S", type=float, default=0, help="give a command up after S seconds of CPU"
    )
    parser.add_argument("--times", action="store_true", help="print how long each takes")
    given = parser.parse_args()
    if not (given.write or given.check or given.full):
        parser.error("say what to do: --write, --check or --full FOLDER")
    if given.full:
        given.full.mkdir(parents=True, exist_ok=True)
    everything = commands()
    chosen = [
        one for one in everything if re.search(given.only, one.text) and not (given.quick and one.is_long)
    ]
    known, differing, given_up = recorded(), 0, 0
    began = time.perf_counter()
    found: dict[str, Row] = {}
    for text, row, seconds in run_all(chosen, given.jobs, given.full, given.limit):
        if given.times:
            print(f"{seconds:8.2f} s  {text}", flush=True)
        if row is None:
            given_up += 1
            print(f"given up after {given.limit:g} s of CPU: shootdown {text}", flush=True)
            continue
        found[text] = row
        if given.check and (diff := difference(text, known.get(text), row)):
            differing += 1
            print(f"{diff}\n", flush=True)
    if given.write:
        kept = known | found
        value = {one.text: kept[one.text] for one in everything if one.text in kept}
        RECORDED.write_text(json.dumps(value, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    unknown = sorted(set(known) - {one.text for one in everything}) if given.check and not given.only else []
    for text in unknown:
        print(f"recorded, but not in commands.txt: {text}")
    over = f", {given_up} given up" if given_up else ""
    told = f"{differing} of {len(found)} commands differ" if given.check else f"{len(found)} commands"
    print(f"{told}{over}; {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return int(differing > 0 or bool(unknown))


if __name__ == "__main__":
    sys.exit(main())
