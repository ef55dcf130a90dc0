"""The command line: the group of commands. The module of a command is imported only when it runs."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

from shootdown._cli import _console
from shootdown._values import inputs
from shootdown._values.errors import ShootdownError, nearest, one_line, printable

# Command to its sentence in `shootdown --help`; the command itself is `command` in the module `_NAME`.
COMMANDS = {
    "compare": "Compare what one workload costs, a row for each combination.",
    "explain": "Explain one run: who caused each interrupt, step by step.",
    "explore": "Explore every interleaving: can it go wrong, and how?",
    "hunt": "Hunt for bugs with programs that nobody wrote.",
    "sweep": "Run a grid or a sample of points, and write a table.",
    "sensitivity": "Say which cost or parameter decides an answer.",
    "gate": "Check programs against limits, for continuous integration.",
    "matrix": "Tabulate the verdicts over kernels and platforms.",
    "history": "Find since when a program does what it does, and why.",
    "diff": "Tell two releases apart: switches, counts, times, verdicts.",
    "targets": "Judge what unsharing a table does on each target.",
    "walk": "Walk page tables in a memory image, step by step.",
    "report": "Write saved results as a page, as Markdown or as a mail.",
    "serve": "Serve the what-if page for a browser on this machine.",
    "read": "Read traces and counters of a machine: who flushes, and why.",
    "replay": "Replay a recording on other kernels and machines.",
    "tlb": "Count what the TLBs of a trace do: hits, walks, references.",
    "validate": "Compare the model with measured rows of a file.",
    "measure": "Boot a kernel, run programs on it, compare the model with it.",
    "reproduce": "Compare published measurements with what the model says.",
    "calibrate": "Measure what this machine costs; is the model right about it?",
    "rerun": "Ask again what a result in JSON answers.",
    "list": "List what there is to choose from.",
    "warm": "Compile all kernels ahead, once for all later runs.",
    "new": "Write a plugin of your own, to be edited.",
    "completion": "Print what a shell needs to complete commands.",
    "plugins": "List the plugins that are loaded, and why others are not.",
    "check": "Check a plugin: what every architecture must hold to.",
}

#: What `shootdown` alone prints: a question a line, and the command that answers it.
START = """\
shootdown: how many IPIs and flushes, who caused them, and can it go wrong

What does it cost, before and after?
  shootdown compare hugetlb-munmap -p tables=4 --kernel 6.1.158,6.1.180
Am I hit, since when, and what has the fix?
  shootdown history fork-storm --arch x86 --series 6.1 --advise
Who caused each interrupt?
  shootdown explain hugetlb-munmap -p tables=2
Can it go wrong? Does my patch make it safe?
  shootdown explore unshare-walk-cache --arch arm64 --kernel 7.0,7.1
  shootdown explore unshare-gup --patch FILE.py
I have a trace, or /proc/interrupts twice: what is in it?
  shootdown read FILE...
What does another way to flush give?
  shootdown compare anonymous -p times=10000 --platform amd-server,intel-server

What can I choose?            shootdown list; shootdown list workloads NAME
All commands, and one's help  shootdown --help; shootdown COMMAND --help"""

#: The environment variable through which a shell asks what may follow.
COMPLETE = "_SHOOTDOWN_COMPLETE"

ASKED_FOR_TRACEBACK = "SHOOTDOWN_TRACEBACK"
"""The environment variable that shows the traceback of a plugin's error."""

FAILED = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count
PIPE_CLOSED = 141  # 128 + SIGPIPE

#: What the system says where standard output takes no more.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)

_LONGEST_MESSAGE = 10
_LONGEST_LINE = 400


def main() -> NoReturn:
    """Run the command that the process was started with, and exit."""
    _open_what_is_closed()
    if COMPLETE in os.environ:
        sys.exit(_complete(os.environ[COMPLETE]))
    # Of all commands this one is for plugins that may do anything. Where the output is another's, so is the process.
    if sys.argv[1:2] == ["check"] and sys.stdout is sys.__stdout__ and sys.stderr is sys.__stderr__:
        from shootdown._cli import _apart

        _apart.apart()
    _keep_stdout()
    with contextlib.suppress(ValueError):  # not the main thread: nobody presses Ctrl-C here
        signal.signal(signal.SIGINT, _interrupt)
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:  # already reported; the rest of the buffer must not be flushed again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    # As it ends Python looks for cycles among all objects, for a sixth of the time that a small command takes.
    gc.freeze()
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Args:
        arguments: what follows the program's name.

    Returns:
        The exit status: 0, what the command asked for, 2 for an error, 130 for Ctrl-C, 141 for a closed pipe.
    """
    typed = _console.arguments.set(tuple(arguments))
    inputs.begin()
    if patience := sys.modules.get("shootdown._plugins.patience"):
        patience.begin()  # an earlier command line of this process may have been interrupted
    try:
        with _frame.make_context("shootdown", list(arguments)) as context:
            _frame.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except ShootdownError as error:
        return _fail(str(error))
    except click.UsageError as error:
        hint = f"\ntry: {error.ctx.command_path} --help" if error.ctx is not None else ""
        return _fail(error.format_message() + hint)
    except click.ClickException as error:
        return _fail(error.format_message())
    except (KeyboardInterrupt, click.Abort):
        _say(f"shootdown: interrupted{_where()}")
        return INTERRUPTED
    except BrokenPipeError:
        return PIPE_CLOSED
    except (Exception, SystemExit) as error:
        if message := _plugins_fault(error):
            return _fail(message)
        if isinstance(error, OSError):
            # Files that are read or written are named by those who do; the report is all that is left.
            nameless = error.filename is None and error.errno in _UNWRITABLE
            return _fail(f"the report can't be written: {error.strerror}" if nameless else str(error))
        raise
    finally:
        _console.arguments.reset(typed)
        if files := sys.modules.get("shootdown._plugins.files"):
            files.give(())  # `--plugin` is for one command line
    return 0


def frame() -> click.Group:
    """Return the group of commands."""
    return _frame


def _complete(instruction: str) -> int:
    """Answer a shell that asks what may follow; a command that doesn't exist has nothing."""
    from click.shell_completion import shell_complete

    try:
        return shell_complete(_frame, {}, "shootdown", COMPLETE, instruction)
    except (ShootdownError, click.ClickException):
        return 0


class _Frame(click.Group):
    """The group of commands, known by name and sentence, so that `--help` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            if cmd_name.startswith("-"):
                return None  # click reports the unknown option
            raise ShootdownError(
                f"there is no command {cmd_name!r}; {nearest(cmd_name, COMMANDS)}{_file(cmd_name)}"
            )
        command: click.Command = importlib.import_module(f"shootdown._cli._{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"shootdown {version('shootdown')}")
        context.exit()


def _start() -> None:
    """Say what to try where no command is given."""
    if click.get_current_context().invoked_subcommand is None:
        print(START)


def _file(name: str) -> str:
    """Return a line that names the command which takes a file that was given in place of one."""
    try:
        if not os.path.isfile(name):
            return ""
    except ValueError:
        return ""
    from shootdown._questions.files import taken_by

    found = taken_by(name)
    return "" if found is None else f"\n{name} looks like {found[0]}: {found[1]}"


_frame = _Frame(
    "shootdown",
    help="Emulate how Linux tears down and unshares page tables, on each architecture.",
    no_args_is_help=False,
    invoke_without_command=True,
    callback=_start,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Say which.",
        )
    ],
)


def _open_what_is_closed() -> None:
    """Let standard streams that the process was started without be empty ones.

    Python has None for them, for which print() takes standard output; and a file opened later would get their number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - stays open as long as the process


def _keep_stdout() -> None:
    """Keep standard output for the report.

    What else is written to it, by a plugin's C code or a child process, goes to standard error: the output of
    `--json` must parse whatever is installed. `_common.command` does the same for what Python code prints.
    """
    try:
        report = os.dup(sys.stdout.fileno())
        os.dup2(2, 1)
    except (OSError, ValueError):  # standard error is closed: nowhere else to go
        return
    # A name that a narrow locale can't write is shown escaped rather than ending the report.
    sys.stdout = open(report, "w", encoding=sys.stdout.encoding, errors="backslashreplace")  # noqa: SIM115


def _plugins_fault(error: BaseException) -> str | None:
    """Return which plugin's code an unexpected error came from, or None where no plugin took part."""
    if "shootdown._plugins.registry" not in sys.modules or os.environ.get(ASKED_FOR_TRACEBACK):
        return None
    from shootdown._plugins.registry import registry

    found = registry().blame(error)
    if found is None:
        return None
    origin, place = found
    return (
        f"plugin {origin} failed: {one_line(error)}\nat {place}; {ASKED_FOR_TRACEBACK}=1 shows the traceback"
    )


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Remember whose code Ctrl-C met, and interrupt it as Python does."""
    if "shootdown._plugins.patience" in sys.modules:
        from shootdown._plugins.patience import remember

        remember(frame)
    signal.default_int_handler(number, frame)
    raise KeyboardInterrupt


def _where() -> str:
    """Say in whose code a command was interrupted; nothing if it was core's."""
    if "shootdown._plugins.patience" not in sys.modules:
        return ""
    from shootdown._plugins.patience import interrupted
    from shootdown._plugins.registry import loaded

    found = interrupted()
    if found is None:
        return ""
    what, site = found
    installed = loaded()
    origin = None if installed is None else installed.origin_of(site.package)
    return f" in {what if origin is None else f'plugin {origin}'}, {site}"


def _fail(message: str) -> int:
    lines = [
        line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..."
        for line in printable(message, but="\n").splitlines()
    ]
    lines = lines or ["failed"]
    if len(lines) > _LONGEST_MESSAGE:
        lines = [*lines[: _LONGEST_MESSAGE - 1], "..."]
    _say("\n".join([f"shootdown: error: {lines[0]}", *(f"  {line}" for line in lines[1:])]))
    return FAILED


def _say(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # standard error is closed; the exit status still tells
        return
