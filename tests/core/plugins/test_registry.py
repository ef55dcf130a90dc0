"""Plugins are found through real metadata on sys.path."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.core.plugins.registries import GOOD, Install, names, refusal_of

from shootdown import hookspecs
from shootdown._plugins import registry as _registry
from shootdown._plugins.installed import Registry
from shootdown._plugins.registry import discover
from shootdown._values.errors import ShootdownError


def test_a_strangers_architecture_is_found_through_its_entry_point(install: Install) -> None:
    install("shootdown-good", GOOD)
    registry = discover()
    assert registry.architecture("good").summary == "made up"
    assert "shootdown-good" in names(registry)


def test_the_shipped_architecture_comes_through_the_same_door() -> None:
    registry = discover()
    origins = [plugin.origin for plugin in registry.plugins] + [one.origin for one in registry.refusals]
    assert ("x86", "shootdown", "shootdown_x86") in {(o.name, o.distribution, o.target) for o in origins}


def test_what_flush_takes_is_what_architectures_list_the_longest_list_first(install: Install) -> None:
    install(
        "shootdown-aaa",
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', flush_ways=(FlushWay('bus', ''),))]",
    )
    registry = discover()
    assert registry.flush_names() == ("auto", "ipi", "broadcast", "invlpgb", "kvm", "hypercall", "bus")


def test_an_architecture_that_lists_no_ways_of_flushing_has_those_of_api_1(install: Install) -> None:
    install("shootdown-good", GOOD)
    architecture = discover().architecture("good")
    assert [way.name for way in architecture.flush_ways] == [
        "ipi",
        "broadcast",
        "invlpgb",
        "kvm",
        "hypercall",
    ]
    assert architecture.preempting_hosts == ("kvm",)


def test_two_distributions_may_use_the_same_name_for_their_entry_points(install: Install) -> None:
    for letter in "ab":
        install(
            f"shootdown-{letter}",
            f"@hookimpl\ndef shootdown_architectures(): return [arch('{letter}')]",
            entry_points=f"[shootdown]\nsame = plugged_shootdown_{letter}\n",
        )
    assert {"shootdown-a", "shootdown-b"} <= names(discover())


def test_a_module_named_by_two_entry_points_is_loaded_once(install: Install) -> None:
    install(
        "shootdown-good",
        GOOD,
        entry_points="[shootdown]\na = plugged_shootdown_good\nb = plugged_shootdown_good\n",
    )
    registry = discover()
    assert str(refusal_of(registry, "shootdown-good")) == (
        "not loaded: b (shootdown-good 1.0): plugged_shootdown_good is loaded already, as shootdown-good:a"
    )
    assert "good" in registry.architectures()


@pytest.mark.parametrize("text", ["[shootdown]\nno equals sign\n", "[shootdown]\nx = 1 2 3\n"])
def test_malformed_entry_points_refuse_their_distribution_alone(install: Install, text: str) -> None:
    install("shootdown-bad", "", entry_points=text)
    install("shootdown-good", GOOD)
    registry = discover()
    assert refusal_of(registry, "shootdown-bad").kind == "broken"
    assert "shootdown-good" in names(registry)


def test_platforms_are_added_to_somebody_elses_architecture(install: Install) -> None:
    install(
        "shootdown-good",
        "@hookimpl\ndef shootdown_architectures():\n"
        "    return [arch('g', aliases=('gg',), platforms=(platform('own'),))]",
    )
    install("shootdown-more", "@hookimpl\ndef shootdown_platforms(): return {'g': [platform('added')]}")
    registry = discover()
    assert list(registry.platforms("g")) == ["own", "added"]
    assert registry.platform("gg", "added").name == "added"
    with pytest.raises(ShootdownError, match="there is no g platform 'ad'; nearest: added"):
        registry.platform("gg", "ad")


def test_platforms_for_an_architecture_that_is_not_there_are_noted(install: Install) -> None:
    install("shootdown-more", "@hookimpl\ndef shootdown_platforms(): return {'x68': [platform('p')]}")
    assert (
        "more (shootdown-more 1.0): adds platforms to 'x68', which no loaded plugin describes"
        in discover().notes
    )


@pytest.mark.parametrize("disabled", ["good", "shootdown-good", "shootdown-good:good", " other , good "])
def test_a_disabled_plugin_is_not_even_imported(install: Install, disabled: str) -> None:
    install("shootdown-good", "raise SystemExit")
    refusal = refusal_of(discover(disabled=disabled), "shootdown-good")
    assert refusal.kind == "disabled"
    assert refusal.reason.startswith("SHOOTDOWN_DISABLE=")
    assert "plugged_shootdown_good" not in sys.modules


def test_disabling_the_first_owner_gives_a_name_to_the_second(install: Install) -> None:
    install("shootdown-aaa", "@hookimpl\ndef shootdown_workloads(): return [workload('w')]")
    install("shootdown-bbb", "@hookimpl\ndef shootdown_workloads(): return [workload('w')]")
    assert "shootdown-bbb" in names(discover(disabled="aaa"))


def test_disabling_what_is_not_installed_is_noted() -> None:
    assert "SHOOTDOWN_DISABLE: no plugin is called 'x68'" in discover(disabled="x68").notes


def test_asking_for_what_is_missing_says_who_was_refused_likeliest_first(install: Install) -> None:
    for number in range(6):
        install(f"shootdown-a{number}", "import nowhere_at_all")
    install("shootdown-riscv", "import nowhere_at_all")
    with pytest.raises(ShootdownError) as raised:
        discover().architecture("riscv")
    lines = str(raised.value).splitlines()
    assert lines[0].startswith("there is no architecture 'riscv'; ")
    assert lines[1].startswith("not loaded: riscv (shootdown-riscv 1.0): ModuleNotFoundError")
    assert len(lines) <= 8
    assert "more not loaded: see `shootdown plugins`" in lines[-1]


def test_what_a_plugin_prints_goes_to_standard_error(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(
        "shootdown-chatty",
        """
        print("imported")
        @hookimpl
        def shootdown_architectures():
            print("asked")
            return [arch("chatty")]
        """,
    )
    assert "chatty" in discover().architectures()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "imported" in captured.err
    assert "asked" in captured.err


@pytest.fixture
def fresh() -> Iterator[None]:
    """Let `registry()` look again, and forget what it found afterwards."""
    _registry._registry.cache_clear()
    yield
    _registry._registry.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_plugins_are_asked_once_in_a_process(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("shootdown-chatty", "@hookimpl\ndef shootdown_workloads():\n    print('asked')\n    return []")
    assert _registry.registry() is _registry.registry()
    assert capsys.readouterr().err.count("asked") == 1


@pytest.mark.usefixtures("fresh")
def test_two_threads_that_ask_first_get_the_same_answer(install: Install) -> None:
    install("shootdown-slow", "import time; time.sleep(0.05)" + textwrap.dedent(GOOD))
    answers: list[Registry] = []
    threads = [threading.Thread(target=lambda: answers.append(_registry.registry())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert all(answer is answers[0] for answer in answers)


@pytest.mark.usefixtures("fresh")
def test_a_plugin_that_asks_what_is_installed_while_it_is_loaded_is_refused(install: Install) -> None:
    install("shootdown-loop", "from shootdown._plugins.registry import registry\nregistry()")
    install("shootdown-good", GOOD)
    found = _registry.registry()
    assert refusal_of(found, "shootdown-loop").reason.startswith(
        "a plugin asks what is installed while it is being loaded"
    )
    assert "shootdown-good" in names(found)


@pytest.mark.usefixtures("fresh")
def test_the_environment_disables_plugins(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("shootdown-good", GOOD)
    monkeypatch.setenv("SHOOTDOWN_DISABLE", "good")
    assert refusal_of(_registry.registry(), "shootdown-good").kind == "disabled"


def test_an_error_in_a_plugins_code_is_blamed_on_it_by_file_and_line(install: Install) -> None:
    install("shootdown-good", GOOD + "\n    def lower():\n        return 1 // 0\n")
    registry = discover()
    with pytest.raises(ZeroDivisionError) as raised:
        sys.modules["plugged_shootdown_good"].lower()
    found = registry.blame(raised.value)
    assert found is not None
    origin, place = found
    assert str(origin) == "good (shootdown-good 1.0)"
    assert "plugged_shootdown_good.py:" in place


def test_an_error_of_nobodys_plugin_is_blamed_on_none(install: Install) -> None:
    install("shootdown-good", GOOD)
    registry = discover()
    with pytest.raises(ZeroDivisionError) as raised:
        _ = 1 // 0
    assert registry.blame(raised.value) is None


def test_importing_the_package_loads_neither_pluggy_nor_a_plugin() -> None:
    code = "import sys, shootdown, shootdown._values.errors, shootdown._values.kernel; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "shootdown" in loaded
    assert not {"pluggy", "numba", "rich", "shootdown_x86"} & set(loaded)


HOOKS = [getattr(hookspecs, name) for name in hookspecs.__all__]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_each_hook_is_prefixed_and_says_in_one_sentence_when_it_runs(hook: Callable[..., object]) -> None:
    summary = (hook.__doc__ or "").splitlines()[0]
    assert hook.__name__.startswith("shootdown_")
    assert summary.startswith("Return ")
    assert "; runs once, " in summary
    assert summary.endswith(".")
    assert "return" in hook.__annotations__


def test_the_documentation_names_each_hook() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "plugins.md").read_text()
    assert [hook.__name__ for hook in HOOKS if f"`{hook.__name__}`" not in page] == []
