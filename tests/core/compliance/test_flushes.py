"""Sections 4 to 6: right lowerings are shown, and of wrong ones each is found by a message that names its mistake."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest
from tests.core.compliance import right_lowerings as right
from tests.core.compliance import wrong_amounts, wrong_counts, wrong_steps, wrong_targets
from tests.core.compliance.narrow import findings, narrow, outcomes
from tests.core.compliance.toys import good

from shootdown import Expected
from shootdown._compliance.lowered import machines
from shootdown._compliance.reading import agrees, watched
from shootdown._values.releases import resolve
from shootdown.porting import PlainLowering, mm_rules

SECTIONS = ["4", "5", "6"]
#: The wrong lowerings by name.
WRONG = {
    name: value
    for module in (wrong_amounts, wrong_targets, wrong_steps, wrong_counts)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, PlainLowering) and value.__module__ == module.__name__
}

#: For each wrong lowering the statement that is the first to find it, and what its message says.
NAMED = {
    "OnePageOnly": ("5.1", "flush_tlb_range.*keeps the translation of page"),
    "HugeStrides": ("5.1", "asked for pages 0 to 1: the CPU that flushes keeps the translation of page 1"),
    "GatherInHugeStrides": ("5.1", "tlb_flush.*asked for pages 0 to 1: .* keeps the translation of page 1"),
    "NotRounded": ("5.1", "flush_tlb_range.*asked for pages 0 to 1: .* keeps the translation of page 1"),
    "NamesTheBaseSize": ("5.1", "huge.* keeps the translation of pages 0 to 511"),
    "FirstPagesOfALongRange": ("5.1", "asked for pages 0 to 16: .* keeps the translation of page 16"),
    "MmFlushIsOfThePage": ("5.1", "flush_tlb_mm.* keeps the translation"),
    "MmFlushIsOfTheFirstPages": ("5.1", "flush_tlb_mm.* keeps the translation of page 3004"),
    "PageFlushesThePageZero": ("5.1", "flush_tlb_page.*asked for page 3: .* keeps the translation of page 3"),
    "NextPage": (
        "4",
        "begins the flush of gather 1, which nobody has given a range",
    ),
    "CeilingInBytes": (
        "4.5",
        "up to 65,536 strides are flushed one by one, and its TLB holds 1,088 translations",
    ),
    "DropsNoLeaves": ("5.1", "asked for page 0: .* keeps the translation of page 0"),
    "ScopeZeroHere": ("5.1", "the CPU that flushes keeps the translation"),
    "EmptyRange": ("5.1", "flush_tlb_range.* keeps the translation"),
    "CollapseIsEmpty": ("5.1", "pmdp_collapse_flush.* keeps the translation"),
    "HugetlbIsEmpty": ("5.1", "flush_hugetlb_tlb_range.* keeps the translation"),
    "ForgetsTables": ("5.3", "nothing but a page table was freed.* keeps the walk-cache link"),
    "EverythingKeepsLinks": ("5.3", "keeps the walk-cache link to a page table that is gone"),
    "OthersKeepLinks": ("5.3", "a CPU that runs another thread keeps the walk-cache link"),
    "NestedIsSkipped": ("5.1", "nested gathers.* keeps the translation"),
    "LinksAtTheAddressOnly": ("5.3", "pmdp_collapse_flush.* keeps the walk-cache link"),
    "LazyKeepLinks": ("5.3", "an idle CPU that has the mm loaded lazily keeps the walk-cache link"),
    "OnlyHere": ("5.1", "a CPU that runs another thread keeps the translation"),
    "KernelOnlyHere": (
        "5.1",
        "flush_tlb_kernel_range.* a CPU that runs another thread keeps the translation",
    ),
    "KernelWaitsForNobody": ("4.2", "flush_tlb_kernel_range.*"),
    "NotForAThreadThatBorrows": (
        "6.1",
        "by a kernel thread that has borrowed the mm: the CPU that flushes, which",
    ),
    "OnlyThere": ("5.1", "the CPU that flushes keeps the translation"),
    "AloneNothing": (
        "5.2",
        "with a single thread that never moved: the CPU that flushes keeps a translation",
    ),
    "ForgetsLazy": ("6.1", "an idle CPU that has the mm loaded lazily runs the mm again after the flush"),
    "ForgetsWhoIsAway": ("6.1", "a CPU that ran the mm and runs another one now runs the mm again"),
    "AsidsWithoutTracking": ("6.1", "a CPU that ran the mm and runs another one now runs the mm again"),
    "AloneWithItsThreads": ("5.1", "a CPU that runs another thread keeps the translation"),
    "AloneIfOthersSleep": (
        "6.2",
        "with a second thread, which sleeps: if the other thread wakes on the CPU that had switched .* before",
    ),
    "TrimsAndForgets": (
        "6.1",
        "by a kernel thread that trims mm_cpumask: the CPU that flushes, which runs another mm",
    ),
    "TracksWithoutSaying": ("5.1", "keeps the translation"),
    "HandlerChecks": ("5.1", "a CPU that runs another thread keeps the translation"),
    "InterruptsItself": ("4.2", "sends CALL_INVALIDATE to this CPU too"),
    "LooksAtWhoHasLeft": ("6.1", "a CPU that ran the mm and runs another one now runs the mm again"),
    "BroadcastToTheMask": ("5.1", "the CPU that flushes keeps the translation"),
    "SendsToNobody": ("4", "sends CALL_INVALIDATE to nobody|there are no targets"),
    "TaggedWithoutAsids": ("6.4", "tagged=True and asids=1"),
    "BeginsNothing": ("4", "before a flush has begun|no flush has begun"),
    "SendsFirst": ("4.2", "sends CALL_INVALIDATE before a flush has begun"),
    "WaitsFirst": ("4", "waits for answers before anything is sent|there are no targets"),
    "NeverWaits": ("4.2", "a path ends without waiting for CALL_INVALIDATE"),
    "WaitsOnOneArm": ("4.2", "a path ends without waiting for CALL_INVALIDATE"),
    "FenceWithoutWaiting": ("4.2", "a path ends without waiting for CALL_BROADCAST"),
    "TargetsBeforeTheFlag": ("4.2", "comes after the targets were chosen"),
    "CancelsWhatWasSent": ("4.2", "cancels CALL_INVALIDATE, which was sent"),
    "SendsTwice": ("4.2", "sends CALL_INVALIDATE before it has waited for CALL_INVALIDATE"),
    "WaitsTwice": ("4.2", "waits for answers, and no path to it sends anything"),
    "CompletesInterrupts": ("4.5", "completes broadcasts, and CALL_INVALIDATE was sent"),
    "InvalidatesAfterTheWait": ("4", "no flush has begun|before a flush has begun"),
    "KeepsTheLock": ("4.3", "a path ends with lock 0 held"),
    "KeepsTheLockOnOneArm": ("4.3", "a path ends with lock 0 held"),
    "ReleasesTwice": ("4", "releases lock 0, which is not held|never took it"),
    "TakesTwice": ("4.3", "takes lock 0 a second time"),
    "TakesTwoEitherWayRound": (
        "4.3",
        "one takes lock . while it holds . .*and another one lock .* in one order",
    ),
    "NoSuchLock": ("4.1", "lock 0: there is none"),
    "LoopsForEver": ("4.1", "never ends"),
    "LoopsWhileThereAreTargets": ("4.4", "it is not over after 5,000 steps"),
    "WritesForEver": ("4.1", "it writes more than 20,000 steps"),
    "EndsTheTask": ("4.2", "ends, stops or moves the task"),
    "EndsTheGather": ("4.2", "begins or ends a gather"),
    "Raises": ("4.1", "flush_hugetlb_range.*KeyError: 'vax-9000'"),
    "Undefined": ("4.1", "lower.*: TypeError: .*abstract.*Undefined.*format"),
    "UnknownCost": ("4.1", "there is no cost 'tbia_ns'"),
    "OddName": ("4.5", "an instruction is called 'TBIA .all.'"),
    "CountsAfterTheWait": ("4.5", "counts for each target, and there are none at this point"),
    "CountsBeforeItBegins": ("4.5", "counts by the strides of a flush that has not begun"),
    "CountsBroadcastsOfNothing": ("4.5", "counted but never sent"),
    "CountsNoBroadcasts": ("4.5", "says that its broadcasts were counted"),
    "CountsHereAlone": ("4.5", "sends CALL_INVALIDATE, and nothing counts what its targets execute"),
    "CountsInTheMaskHere": ("4.5", "counts for targets in mm_cpumask; PER_TARGET, and a flush"),
    "CountsNothing": ("4.5", "counts 0 instructions"),
    "CountsStridesOfEverything": ("4.5", "counts by strides where everything is flushed"),
    "CountsEverythingInRanges": ("4.6", "tbia is counted where a range is dropped.*everything is"),
    "CountsEverythingInBroadcastRanges": ("4.6", "tbia is counted where a range is dropped.*everything is"),
    "CountsCallsThatReachAll": ("4.5", "to reach all CPUs, and reach_of_calls is 0"),
    "OneNumberForTwoCpus": ("8.3", "numbers_below is .0, 64, 64.: each CPU"),
    "WritesOfOneNumber": ("8.3", "writes_of_ipis.. returned .1,.: how many CPUs"),
    "PutsOffAndForgets": ("5.1", "a flush that reclaim puts off.* keeps the translation"),
    "PutsOffToThisCpu": ("5.1", "a flush that reclaim puts off.* keeps the translation"),
    "PutsOffARange": ("5.1", "a flush that reclaim puts off.* keeps the translation"),
    "IgnoresWhatOthersPutOff": ("5.1", "what other CPUs have put off.* keeps the translation"),
}


@pytest.mark.parametrize("lowering", right.FLAWLESS, ids=lambda one: one.__name__)
def test_a_right_lowering_is_shown(lowering: Any) -> None:
    for number, found in outcomes(SECTIONS, narrow(lowering)).items():
        assert (number, found.findings) == (number, ())
        no_walks = number == "5.3" and lowering is right.Alone
        assert found.word == ("not applicable" if no_walks else "shown")


def test_each_wrong_lowering_has_a_message_that_names_its_mistake() -> None:
    assert set(WRONG) == set(NAMED)


@pytest.mark.parametrize("lowering", WRONG.values(), ids=WRONG)
def test_a_wrong_lowering_is_found_and_its_mistake_named(lowering: Any) -> None:
    number, words = NAMED[lowering.__name__]
    found = outcomes([number], narrow(lowering))
    text = "\n".join(line for one in found.values() for line in one.findings)
    assert re.search(words, text), text or "nothing was found"


def test_a_mistake_of_one_statement_is_told_once_for_each_kind_of_flush() -> None:
    told = findings("5.2", wrong_targets.OnlyHere).splitlines()
    kinds = [line.split(": ")[2] for line in told]
    assert len(kinds) == len(set(kinds)) > 3


def test_a_message_names_the_line_of_the_plugin_that_wrote_the_step() -> None:
    assert "wrong_steps.py, line " in findings("4.2", wrong_steps.CancelsWhatWasSent)


def test_more_asids_than_the_tlb_has_are_found() -> None:
    about = narrow(right.Tagged)
    (machine,) = about.platforms
    for bits, words in ((8, ""), (4, "count on 256 ASIDs, and TlbGeometry.asid_bits is 4")):
        about = narrow(right.Tagged)
        about.platforms = (attrs.evolve(machine, tlb=attrs.evolve(machine.tlb, asid_bits=bits)),)
        assert words in "\n".join(outcomes(["6.4"], about)["6.4"].findings)
        assert bool(outcomes(["6.4"], about)["6.4"].findings) == bool(words)


def test_as_many_asids_as_they_have_bits_are_found() -> None:
    about = narrow(type("Eight", (right.Tagged,), {"mm": mm_rules(8, clear_on_switch=False)}))
    (machine,) = about.platforms
    about.platforms = (attrs.evolve(machine, tlb=attrs.evolve(machine.tlb, asid_bits=8)),)
    (finding,) = outcomes(["6.4"], about)["6.4"].findings
    assert finding.endswith(
        "it has 8 ASIDs, which is how many bits they have (TlbGeometry.asid_bits): give 1 << 8"
    )


# --- what is expected


def test_an_expected_finding_is_set_aside() -> None:
    expected = (Expected(("6.1",), "0123456789ab: idle CPUs are left out"),)
    assert findings("6.1", wrong_targets.ForgetsLazy, expected=expected) == ""


def test_an_expected_finding_that_does_not_come_is_a_finding() -> None:
    expected = (Expected(("6.1",), "0123456789ab: idle CPUs are left out"),)
    text = findings("6.1", right.Good, expected=expected)
    assert "of statement 6.1 is expected (0123456789ab: idle CPUs are left out), and none was found" in text


def test_an_expectation_of_another_kind_of_flush_or_another_kernel_sets_nothing_aside() -> None:
    for more in ({"about": "flush_page"}, {"when": lambda kernel, platform: kernel.name != "7.0"}):
        expected = (Expected(("5.2",), "0123456789ab: a reason", **more),)  # type: ignore[arg-type]
        assert "tlb_flush()" in findings("5.2", wrong_targets.OnlyHere, expected=expected)


def test_an_expectation_of_one_kernel_hides_nothing_on_another_that_flushes_alike() -> None:
    expected = (Expected(("5.2",), "0123456789ab", when=lambda kernel, platform: kernel.name == "6.16"),)
    about = narrow(wrong_targets.OnlyHere, expected=expected)
    kernels = tuple(resolve(name, about.architecture) for name in ("6.16", "7.0"))
    for every, told in ((kernels[:1], False), (kernels, True)):
        about = narrow(wrong_targets.OnlyHere, expected=expected)
        about.__dict__["kernels"] = every
        text = "\n".join(outcomes(["5.2"], about)["5.2"].findings)
        assert ("kernel 7.0 on vax-9000: tlb_flush()" in text) == told
        assert "kernel 6.16" not in text


def test_an_expectation_of_a_kernel_on_which_nothing_comes_is_a_finding() -> None:
    class UntilSix(right.Good):  # type: ignore[misc]
        def flush_range(self, asm: Any, g: int) -> None:
            if self.kernel.madv_collapse:
                super().flush_range(asm, g)

    for when, told in (
        (lambda kernel, platform: True, True),
        (lambda kernel, platform: not kernel.madv_collapse, False),
    ):
        about = narrow(UntilSix, expected=(Expected(("5.2",), "0123456789ab", when=when),))
        about.__dict__["kernels"] = tuple(resolve(name, about.architecture) for name in ("6.0", "7.0"))
        text = "\n".join(outcomes(["5.2"], about)["5.2"].findings)
        assert ("a finding of statement 5.2 is expected on kernel 7.0 too (0123456789ab)" in text) == told
        assert bool(text) == told


@pytest.mark.parametrize(
    ("numbers", "named"),
    [(("5.22",), "names '5.22', which is no statement; nearest: 5.2"), ((), "names no statement")],
)
def test_an_expectation_of_no_statement_is_found(numbers: tuple[str, ...], named: str) -> None:
    assert named in findings("0.2", right.Good, expected=(Expected(numbers, "0123456789ab"),))


# --- which kernels are the same to a lowering


def test_kernels_that_agree_in_what_was_read_are_the_same() -> None:
    architecture = good()
    old, new = (resolve(name, architecture) for name in ("5.10", "7.0"))
    read: dict[tuple[str, str], Any] = {}
    kernel = watched(old, read)
    assert kernel.page_size == old.page_size
    assert kernel.arch.most_pages == 16
    assert read == {("kernel", "page_size"): 4096, ("arch", "most_pages"): 16}
    assert agrees(new, read)
    assert kernel.madv_collapse is False
    assert not agrees(new, read)


def test_a_kernel_that_flushes_otherwise_is_looked_at_too() -> None:
    class FromSixteen(right.Good):  # type: ignore[misc]
        @property
        def ceiling(self) -> int:
            return 16 if self.kernel.madv_collapse else 8

    about = narrow(FromSixteen)
    architecture = about.architecture
    about.__dict__["kernels"] = tuple(resolve(name, architecture) for name in ("5.10", "6.0", "6.1", "7.0"))
    different, count = machines(about)
    assert count == 4
    assert [machine.kernel.name for machine in different] == ["5.10", "6.1"]
