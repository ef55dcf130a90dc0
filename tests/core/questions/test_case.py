"""A workload and a scenario are asked about in one way: choices become values, and what cannot hold is refused."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shootdown
from shootdown import scenarios as public
from shootdown._plugins.registry import registry
from shootdown._questions.case import Case, Question, all_platforms, machines, prepare, questions
from shootdown._values.errors import ShootdownError
from shootdown._values.flushes import AUTO, FlushWay

MACHINES = machines(registry(), list(registry().architectures()), [])
PLATFORMS = [
    (architecture, platform)
    for architecture in registry().architectures().values()
    for platform in registry().platforms(architecture.name).values()
]


def ask(program: Any, arch: str = "x86", platform: str = "intel-server", **more: Any) -> Case[Any]:
    installed = registry()
    return prepare(
        Question(
            program,
            installed.architecture(arch),
            installed.platform(arch, platform),
            **{"kernel": "7.0", **more},
        )
    )


PROGRAMS = [registry().workload("hugetlb-munmap"), registry().scenario("unshare-gup")]
EACH = pytest.mark.parametrize("program", PROGRAMS, ids=["workload", "scenario"])


@EACH
@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"kernel": "1.0"}, "1.0"),
        ({"settings": ["kernel.nothing=1"]}, "there is no switch 'kernel.nothing'"),
        ({"settings": ["platform.hypervisor=vmware"]}, "platform.hypervisor=vmware is not possible on x86"),
        (
            {"settings": ["platform.flush=bus"]},
            "platform.flush=bus is not possible; allowed: auto, ipi, broadcast",
        ),
        (
            {"settings": ["platform.invlpgb=false", "platform.flush=invlpgb"]},
            "cannot both hold: the CPU has no INVLPGB",
        ),
        ({"parameters": {"nothing": 1}}, "has no parameter"),
        ({"settings": ["nothing.x=1"]}, "nothing is called 'nothing'"),
    ],
)
def test_the_same_mistakes_are_refused_in_the_same_words(
    program: Any, choices: dict[str, Any], message: str
) -> None:
    with pytest.raises(ShootdownError) as raised:
        ask(program, **choices)
    assert message in str(raised.value)


@EACH
def test_what_ifs_are_the_same_as_texts_and_by_name(program: Any) -> None:
    texts, by_name = (
        ["kernel.unshare-sync=none", "platform.cpus=8"],
        {
            "kernel.unshare_sync": "none",
            "platform.cpus": "8",
        },
    )
    one, other = ask(program, settings=texts), ask(program, settings=by_name)
    assert one == other
    assert (one.kernel.unshare_sync, one.cpus, one.settings) == ("none", 8, by_name)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"settings": ["platform.cpus=4"], "cpus": 8}, "platform.cpus=4 and 8 CPUs cannot both hold"),
        ({"cpus": 100_000}, "100000 CPUs: a machine has between 1 and 8192"),
    ],
)
def test_a_workload_has_as_many_cpus_as_a_machine_can_have(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ShootdownError) as raised:
        ask(PROGRAMS[0], **choices)
    assert message in str(raised.value)


def test_how_many_cpus_a_scenario_has_is_its_own() -> None:
    with pytest.raises(ShootdownError, match="how many CPUs it has is its own"):
        ask(PROGRAMS[1], cpus=8)


@EACH
def test_what_was_not_chosen_is_there_all_the_same(program: Any) -> None:
    case = ask(program)
    assert {parameter.name for parameter in program.parameters} <= set(case.parameters)
    assert set(case.switches) == {switch.name for switch in program.switches}
    assert case.cpus == registry().platform("x86", "intel-server").cpus
    assert case.setup().values == {**case.parameters, **case.switches}


@EACH
def test_a_reason_of_the_architecture_comes_before_the_programs_own(program: Any) -> None:
    refused = ask(program, "x86", "xen-pv-guest").refusal()
    assert refused is not None
    assert refused.startswith("Xen PV guests have no huge pages")
    assert ask(program, "x86", "xen-pv-guest", settings=["kernel.pmd_sharing=true"]).refusal() != refused


def test_only_what_is_explored_has_switches_and_a_memory_model() -> None:
    workload, scenario = PROGRAMS
    assert ask(scenario, settings=["memory-model=sc"]).memory == "sc"
    assert ask(scenario, settings=["memory-model=sc"]).settings == {"memory_model": "sc"}
    for setting in ("memory_model=sc", "scenario.fix=true"):
        with pytest.raises(ShootdownError, match="--set"):
            ask(workload, settings=[setting])
    with pytest.raises(ShootdownError, match=r"--set memory_model=tsx: it is one of sc, tso, weak"):
        ask(scenario, settings=["memory_model=tsx"])


def test_what_a_build_gets_is_one_class_with_all_that_both_had() -> None:
    assert shootdown.Setting is public.Scene
    setup = ask(PROGRAMS[0]).setup()
    assert isinstance(setup, shootdown.Setting)
    assert setup["tables"] == setup.values["tables"]
    names = (
        "kernel",
        "platform",
        "lowering",
        "cpus",
        "values",
        "memory",
        "pte_clear",
        "pte_clear_atomic",
        "preempts",
    )
    assert all(hasattr(setup, name) for name in names)


def test_questions_come_in_the_order_in_which_things_were_named() -> None:
    asked = questions(PROGRAMS[0], MACHINES[:2], ("7.0", "6.16"), cpus=(4, 2))
    told = [(question.architecture.name, question.kernel, question.cpus) for question in asked]
    assert told == [
        (architecture.name, kernel, cpus)
        for architecture, _ in MACHINES[:2]
        for kernel in ("7.0", "6.16")
        for cpus in (4, 2)
    ]


# --- ways of flushing


@given(st.sampled_from(PLATFORMS), st.sampled_from([AUTO, "ipi", "broadcast", "invlpgb", "kvm", "hypercall"]))
def test_a_vcpu_may_be_preempted_where_kvm_runs_it_and_no_other_flush_is_forced(
    machine: tuple[Any, Any], flush: str
) -> None:
    architecture, platform = machine
    forced = attrs.evolve(platform, flush=flush)
    there_is = flush == AUTO or flush in {way.name for way in architecture.flush_ways}
    by_api_1 = flush == "kvm" or (flush == AUTO and platform.hypervisor == "kvm")
    assert architecture.preempts(forced) == (by_api_1 and there_is)


@pytest.mark.parametrize("program", PROGRAMS, ids=["workload", "scenario"])
def test_a_way_that_only_another_architecture_has_is_refused_for_a_reason(program: Any) -> None:
    with pytest.raises(
        ShootdownError, match=r"platform\.flush=KVM is not possible here: arm64 flushes by TLBIs"
    ):
        ask(program, "arm64", "neoverse-n1", settings=["platform.flush=KVM"])


def test_a_way_that_an_architecture_does_not_list_is_refused_though_no_rule_forbids_it() -> None:
    plain = attrs.evolve(
        registry().architecture("arm64"),
        contradictions=(),
        flush_ways=(FlushWay("bus", "a bus that tells all"),),
    )
    platform = plain.platforms[0]
    with pytest.raises(
        ShootdownError, match=r"platform\.flush=ipi is not possible on arm64; allowed: auto, bus"
    ):
        prepare(Question(PROGRAMS[0], plain, platform, "7.0", settings=["platform.flush=ipi"]))
    case = prepare(Question(PROGRAMS[0], plain, platform, "7.0", settings=["platform.flush=Bus"]))
    assert case.platform.flush == "bus"


def test_a_machine_wide_asid_is_there_from_the_start_where_a_way_that_needs_one_is_forced() -> None:
    workload = PROGRAMS[0]
    for way in registry().architecture("x86").flush_ways:
        case = ask(workload, "x86", "amd-server", settings=[f"platform.flush={way.name}"])
        assert case.setup().lowering.global_asid_from_start == way.global_asid
    assert not ask(workload, "x86", "amd-server").setup().lowering.global_asid_from_start
    for kernel, name in (("6.14", None), ("7.0", "INVLPGB")):
        case = ask(workload, "x86", "amd-server", kernel=kernel)
        assert case.setup().lowering.global_asid_instruction == name


class Installed:
    """A registry of two architectures: x86, and one that has nothing but a name."""

    def __init__(self, *names: str) -> None:
        bare = attrs.evolve(registry().architecture("x86"), name="bare", platforms=(), lower=None)
        there_are = {"bare": bare, "x86": registry().architecture("x86")}
        self.known = {name: there_are[name] for name in names}

    def architecture(self, name: str) -> Any:
        return self.known[name]

    def architectures(self) -> Any:
        return self.known

    def losers(self, name: str) -> list[str]:
        return []

    def platforms(self, name: str) -> Any:
        return {one.name: one for one in self.known[name].platforms}


def test_an_architecture_without_platforms_is_left_out_unless_it_is_named() -> None:
    installed: Any = Installed("bare", "x86")
    assert [owner.name for owner, _ in all_platforms(installed, [])] == ["x86"]
    with pytest.raises(ShootdownError, match="architecture bare has no platform"):
        all_platforms(installed, ["x86", "bare"])
    with pytest.raises(ShootdownError, match="no architecture is loaded that says how it flushes"):
        all_platforms(Installed("bare"), [])  # type: ignore[arg-type]
