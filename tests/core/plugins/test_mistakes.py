"""Each mistake that an author can make in a field is one line, as the plugin is loaded: file, field, given, allowed."""

# ruff: noqa: E501 - each line is a mistake and what has to be said of it
from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from shootdown._plugins.installed import Refusal
from shootdown._plugins.registry import discover

HEADER = """
import attrs
import shootdown
from shootdown import *
from shootdown.formats import *
from shootdown.porting import *
from shootdown.formats import Setting as FormatSetting
from shootdown.scenarios import Scenario, Expect
from shootdown import hookimpl, switch

LEVELS = (Level("L2", "pgd", 9, "never"), Level("L1", "pmd", 9, "flag"), Level("L0", "pte", 9, "always"))
PARTS = dict(
    name="vax", summary="a VAX", levels=LEVELS, page_shift=12, va_bits=39, present=Test(1, 1),
    points_to_table=Test(2, 0), address=(Piece(bits(12, 63)),), attributes=(Attribute("user", 2),),
    deny=(Deny(user=True, lacks=("user",)),), table_bits=1, leaf_bits=3,
)
def form(**more): return Format(**{**PARTS, **more})
VAX = form()
COSTS = estimated_costs(1.0)
def machine(**more):
    return Platform(**{"name": "p", "summary": "", "costs": COSTS, "tlb": typical_tlb(VAX), **more})
class Flushes(PlainLowering):
    source, format, ceiling = "arch/vax/mm/tlb.c", VAX, 16
def arch(**more):
    return Architecture(**{"api": 1, "name": "a", "summary": "", "lower": Flushes, "platforms": (machine(),), **more})
def change(**more):
    return Change(**{"commit": "123456789abc", "subject": "", "mainline": "6.9-rc1", **more})
@attrs.frozen
class Mine:
    most: int = switch(16, "the most pages", minimum=1, maximum=64)
    how: str = switch("a", "how", choices=("a", "b"))
    fast: bool = switch(True, "fast")
def offers(value):
    global shootdown_architectures
    @hookimpl
    def shootdown_architectures(): return [value]
"""


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Return what loads a plugin with some code and returns why it was refused."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def load(code: str) -> str:
        (tmp_path / "plugged_bad.py").write_text(HEADER + textwrap.dedent(code))
        info = tmp_path / "shootdown_bad-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shootdown-bad\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[shootdown]\nbad = plugged_bad\n")
        importlib.invalidate_caches()
        found: list[Refusal] = [one for one in discover().refusals if one.origin.name == "bad"]
        assert found, "it was loaded"
        return str(found[0])

    yield load
    for name in set(sys.modules) - before:
        if name.startswith("plugged_"):
            del sys.modules[name]


# (the mistake, what the line has to say)
MISTAKES = [
    # --- Architecture
    ("offers(arch(memory_model='strong'))", "architecture 'a': memory_model is 'strong'; there is: sc, tso, weak"),
    ("offers(arch(memory_model=None))", "memory_model is None; there is: sc, tso, weak"),
    ("offers(arch(pte_clear='cas'))", "pte_clear is 'cas'; there is: store, xchg"),
    ("offers(arch(pte_clear='xchg', pte_clear_atomic=False))", "pte_clear is 'xchg', which reads and clears in one"),
    ("offers(arch(pte_clear_atomic='yes'))", "pte_clear_atomic is a str, not a bool: 'yes'"),
    ("offers(arch(name=None))", "name is a NoneType, not a str"),
    ("offers(arch(name=''))", "name '': use letters"),
    ("offers(arch(aliases='amd64'))", "aliases is a str, not a list or tuple"),
    ("offers(arch(aliases=(n for n in 'ab')))", "aliases is a generator, not a list or tuple"),
    ("offers(arch(aliases_imply={'b': {}}))", "aliases_imply has 'b': an alias"),
    ("offers(arch(platforms=machine()))", "platforms is a Platform, not a list or tuple"),
    ("offers(arch(configure=lambda kernel: None))", "architecture 'a': configure() returned a NoneType, not a Kernel"),
    ("offers(arch(configure=lambda: None))", "configure is to take (kernel): too many positional arguments"),
    ("offers(arch(configure=lambda k: k.nothing))", "configure(): AttributeError"),
    ("offers(arch(configure=lambda k: attrs.evolve(k, pmd_sharing='no')))", "pmd_sharing is a str, not a bool: 'no'"),
    ("offers(arch(lower=lambda kernel: None))", "lower is to take (kernel, platform)"),
    ("offers(arch(lower=lambda k, p: None))", "lower() for p returned a NoneType, not a Lowering"),
    (
        "kept = []\ndef lower(k, p):\n    kept.append(Flushes(k, p))\n    return kept[0]\noffers(arch(lower=lower))",
        "lower() for p returned the lowering of another kernel: make a new one each time",
    ),
    ("offers(arch(lower=lambda k, p: 1 // 0))", "lower() for p: ZeroDivisionError"),
    ("offers(arch(changes=change()))", "changes is a Change, not a list or tuple"),
    ("offers(arch(flush_ways={}))", "flush_ways is a dict, not a list or tuple"),
    ("offers(arch(contradictions=('no',)))", "contradictions has a str where a Contradiction belongs"),
    ("offers(arch(nmae='b'))", "Architecture has no field 'nmae'; nearest: name"),
    ("offers(arch(cpuinfo=(('a', 1),)))", "cpuinfo has ('a', 1), which has 1, which is an int, not a str: 1"),
    ("offers(arch(measured=[]))", "architecture 'a': measured is a list, not a Measured"),
    ("offers(arch(first='5.1'))", "architecture 'a': first is '5.1', which is no series; nearest: "),
    ("offers(arch(first=5.19))", "architecture 'a': first is a float, not a str: 5.19"),
    # --- Platform and costs
    ("offers(arch(platforms=(machine(first='9'),)))", "platform 'p': first is '9', which is no series"),
    ("offers(arch(platforms=(machine(cpus='eight'),)))", "platform 'p': cpus is a str, not an int: 'eight'"),
    ("offers(arch(platforms=(machine(cpus=True),)))", "platform 'p': cpus is a bool, not an int: True"),
    ("offers(arch(platforms=(machine(cpus=0),)))", "cpus is 0; it lies between 1 and 8,192"),
    ("offers(arch(platforms=(machine(cpus=10**9),)))", "cpus is 1000000000; it lies between 1 and 8,192"),
    ("offers(arch(platforms=(machine(ghz=None),)))", "ghz is a NoneType, not a float"),
    ("offers(arch(platforms=(machine(ghz=-1),)))", "ghz is -1; it lies between"),
    ("offers(arch(platforms=(machine(ghz=float('nan')),)))", "ghz is nan, which is no finite number"),
    ("offers(arch(platforms=(machine(tlb='big'),)))", "platform 'p', tlb as a str, not a TlbGeometry"),
    ("offers(arch(platforms=(machine(final_level_only=True),)))", "final_level_only is True; nearest: true"),
    ("offers(arch(platforms=(machine(arch={}),)))", "arch is a dict, not a value of an attrs class"),
    ("offers(arch(platforms=(machine(arch=Mine(most=65)),)))", "most is 65; it lies between 1 and 64"),
    ("offers(arch(platforms=(machine(), machine())))", "platform 'p' of 'a', which it provides twice itself"),
    ("Cost(1, 2, 3)", "missing 1 required positional argument: 'source'"),
    ("Cost('1', 2, 3, '')", "cost: low is a str, not a float: '1'"),
    ("Cost(3, 2, 1, '')", "a cost's low 3 must lie between 0 and its likely value 2"),
    ("Cost(-1, 2, 3, '')", "a cost's low -1 must lie"),
    ("Costs(ipi_sent_ns=Cost(1, 1, 1, ''))", "Costs has no field 'ipi_sent_ns'; nearest: ipi_send_ns"),
    ("Costs(**{name: 5 for name in COST_NAMES})", "costs: ipi_send_ns is an int, not a Cost: 5"),
    ("estimated_costs(2.0, flush=Cost(1, 1, 1, ''))", "there is no cost 'flush'; nearest: "),
    ("estimated_costs('2 GHz')", "a clock rate of '2 GHz' GHz: give one above 0 and below 100"),
    ("costs_like('x', COSTS, lok_ns=Cost(1, 1, 1, ''))", "there is no cost 'lok_ns'; nearest: lock_ns"),
    # --- switches and changes
    (
        "@attrs.frozen\nclass Odd:\n    n: int = switch(0, 'x', minimum=1)\noffers(arch(switches=Odd))",
        "architecture 'a': Odd: n is 0; it is at least 1",
    ),
    (
        "@attrs.frozen\nclass Odd:\n    s: str = switch('c', 'x', choices=('a', 'b'))\noffers(arch(switches=Odd))",
        "architecture 'a': Odd: s is 'c'; it is one of a, b",
    ),
    ("switch(None, 'x')", "a default is a bool, an int or a str, not a NoneType"),
    ("switch(1, None)", "say in a sentence what it does"),
    ("switch('a', 'x', choices='ab')", "choices is a str, not a list or tuple"),
    (
        "@attrs.frozen\nclass Odd:\n    fast: bool = switch('yes', 'fast')\noffers(arch(switches=Odd))",
        "architecture 'a': Odd: fast is a str, not a bool: 'yes'",
    ),
    ("@attrs.frozen\nclass Odd:\n    fast: bool\noffers(arch(switches=Odd))", "switches: TypeError"),
    ("offers(arch(switches=Mine()))", "switches is Mine(most=16, how='a', fast=True), not a class"),
    ("offers(arch(switches=Mine, changes=(change(sets={'most': 65}),)))", "sets most: it is 65; it lies between 1 and 64"),
    ("offers(arch(switches=Mine, changes=(change(sets={'fast': 'no'}),)))", "sets fast: it is a str, not a bool: 'no'"),
    ("offers(arch(switches=Mine, changes=(change(sets={'how': 'c'}),)))", "sets how: it is 'c'; it is one of a, b"),
    ("offers(arch(changes=(change(sets=[('x',)]),)))", "change '123456789abc': sets has ('x',)"),
    ("offers(arch(changes=(change(sets={'unshare_sync': 'often'}),)))", "sets unshare_sync: it is 'often'"),
    ("offers(arch(changes=(change(stable={'6.1': '5'}),)))", "stable has ('6.1', '5')"),
    ("offers(arch(changes=(change(mainline=6.9),)))", "mainline is a float, not a str: 6.9"),
    ("offers(arch(changes=(change(mainline='6.9-rcx'),)))", "is in '6.9-rcx': write it as 6.16 or 6.16-rc1"),
    # --- formats
    ("form(levels=())", "it has no levels"),
    ("form(va_bits=40)", "its levels translate 39 address bits and va_bits says 40"),
    ("form(va_bits='39')", "format 'vax': va_bits is a str, not an int: '39'"),
    ("form(page_shift=-1)", "page_shift is -1; it lies between"),
    ("form(entry_bytes=5)", "entry_bytes is 4 or 8, not 5"),
    ("form(va_upper='ones')", "va_upper is 'ones'; "),
    ("form(present=1)", "present is an int, not a Test: 1"),
    ("form(big_endian='yes')", "big_endian is a str, not a bool: 'yes'"),
    ("form(levels=LEVELS[:2] + (Level('L0', 'pte', 9, 'sometimes'),))", "level 'L0': leaf is 'sometimes'; "),
    ("Level('L0', 'pte', -1, 'always')", "level 'L0': bits is -1; it lies between 0 and"),
    ("Level('L0', 'pte', 9)", "missing 1 required positional argument: 'leaf'"),
    ("form(attributes=(Attribute('user', 2), Attribute('user', 3)))", "two attributes are called 'user'"),
    ("form(deny=(Deny(lacks=('usr',)),))", "a rule names the attribute 'usr'; nearest: user"),
    ("form(deny=(Deny(kinds=('fly',)),))", "deny: kinds has 'fly'"),
    ("form(deny=(Deny(kinds='write'),))", "deny: kinds is a str, not a list or tuple"),
    ("form(address=())", "it has no place for addresses"),
    ("form(table_bits=1 << 64)", "table_bits is 18446744073709551616; it lies between"),
    ("Piece(bits(13, 63), up=-1)", "piece: up is -1; it lies between 0 and 63"),
    ("Test('1', 1)", "test: mask is a str, not an int: '1'"),
    ("FormatSetting('x', None, '')", "default is a NoneType, not a bool"),
    # --- geometries
    ("Geometry(12, 21, 20, 39, 39)", "geometry: pud_shift is 20, below pmd_shift, which is 21"),
    ("Geometry(39, 39, 30, 21, 12)", "geometry: pud_shift is 30, below pmd_shift, which is 39"),
    ("Geometry('12', 21, 30, 39, 39)", "geometry: page_shift is a str, not an int: '12'"),
    ("Geometry(12, 21, 30, 39, 99)", "geometry: pgd_shift is 99; it lies between"),
    ("MmRules(True, True, 0, False)", "mm rules: asids is 0; it lies between 1 and"),
    ("MmRules('yes', True, 1, False)", "mm rules: clear_on_switch is a str, not a bool: 'yes'"),
    ("CacheGeometry('64', 4, (4096,))", "cache geometry: entries is a str, not an int: '64'"),
    ("CacheGeometry(64, 4, 4096)", "cache geometry: page_sizes is an int, not a list or tuple"),
    ("CacheGeometry(64, 5, (4096,))", "5 ways do not divide 64 entries"),
    ("TlbGeometry(l1=None)", "tlb geometry: l1 is a NoneType, not a list or tuple"),
    ("TlbGeometry(l1=CacheGeometry(4, 4, (4096,)), asid_bits='9')", "asid_bits is a str, not an int: '9'"),
    ("mm_rules(0)", "mm_rules(): 0 ASIDs: a whole number from 1 on"),
    ("typical_tlb(None)", "typical_tlb(): a NoneType, not a Format"),
    ("geometry_of('vax')", "geometry_of(): a str, not a Format"),
    ("with_entries(machine(tlb=None))", "with_entries(): the tlb of platform 'p' is a NoneType, not a TlbGeometry"),
    # --- builders, with the file and line of the plugin's call
    ("typical_tlb(VAX, asid_bits=24)", "plugged_bad.py, line 37: typical_tlb(): asid_bits is 24: a whole number from 0 to 23"),
    ("tcg_tlb(4096)", "TypeError"),
    ("scope_of(3)", "plugged_bad.py, line 37: scope_of(): an int, not a FlushScope"),
    ("table_flags('7.0')", "table_flags(): a str, not a Kernel"),
    ("Assembler().execute(5)", "execute() takes the name of an instruction, not 5"),
    ("Assembler().execute('x', cost='flsh_ns')", "there is no cost 'flsh_ns'; nearest: flush_ns"),
    ("Assembler().begin_flush(0, ceiling='16')", "begin_flush(): ceiling is '16': a whole number from -1 on"),
    ("Assembler().begin_flush(0, ceiling=16, stride=2)", "begin_flush(): stride is 2: one of ops.BASE_STRIDES"),
    ("Assembler().send('ipi')", "'ipi' is no whole number"),
    ("Assembler().flush_here(None)", "None is no whole number"),
    ("Assembler().field('x')", "field 'x': this assembler writes for no model"),
    ("Assembler().lock(0, write=True, sleeps=True, text=3)", "lock() takes the name of the lock in words, not 3"),
    # --- lowerings
    (
        "class Half(Lowering):\n    def __init__(self, k, p): pass\n    def tlb_flush(self, asm, g): pass\noffers(arch(lower=Half))",
        "lower() for p: Half has no property mm",
    ),
    (
        "class Half(Lowering):\n    mm = geometry = 1\n    def __init__(self, k, p): pass\n    def tlb_flush(self, asm, g): pass\noffers(arch(lower=Half))",
        "lower() for p: Half has no method flush_range(asm, g)",
    ),
    (
        "class Bad(Flushes):\n    def no_kernel_ranges(self): return None\noffers(arch(lower=Bad))",
        "lower() for p: Bad has no method flush_kernel_addresses(asm)",
    ),
    (
        "class Bad(Flushes):\n    def flush_range(self, asm): pass\noffers(arch(lower=Bad))",
        "lower() for p: flush_range() is to take (asm, g): too many positional arguments",
    ),
    ("class Bad(Flushes):\n    mm = None\noffers(arch(lower=Bad))", "lower() for p: mm is a NoneType, not a MmRules"),
    (
        "class Bad(Flushes):\n    @property\n    def geometry(self): return 1 // 0\noffers(arch(lower=Bad))",
        "lower() for p: geometry: ZeroDivisionError",
    ),
    (
        "class Bad(Flushes):\n    defers_unmaps = 'sometimes'\noffers(arch(lower=Bad))",
        "lower() for p: defers_unmaps is 'sometimes'; ",
    ),
    (
        "class Bad(Flushes):\n    needs_table_invalidate = 'no'\noffers(arch(lower=Bad))",
        "lower() for p: needs_table_invalidate is a str, not a bool: 'no'",
    ),
    (
        "class Bad(Flushes):\n    native_way = 'smoke'\noffers(arch(lower=Bad))",
        "lower() for p: native_way is 'smoke'; it is one of ipi, broadcast, hypercall",
    ),
    (
        "class Bad(Flushes):\n    ceiling = '16'\noffers(arch(lower=Bad))",
        "lower() for p: ceiling is a str, not an int: '16'",
    ),
    (
        "class Bad(Flushes):\n    def flush_rnage(self, asm, g): pass\noffers(arch(lower=Bad))",
        "lower() for p: Bad has flush_rnage (",
    ),
    ("class Bad(Flushes):\n    celing = 32\noffers(arch(lower=Bad))", "Bad has celing, which nothing asks for; nearest: ceiling"),
    (
        "class Bad(Flushes):\n    @property\n    def nativeway(self): return 'broadcast'\noffers(arch(lower=Bad))",
        "which nothing asks for; nearest: native_way",
    ),
    (
        "class Bad(Flushes):\n    def flush_rnage(self, asm, g): super().flush_rnage(asm, g)\noffers(arch(lower=Bad))",
        "which nothing asks for; nearest: flush_range",
    ),
    (
        "class Bad(Flushes):\n    hugetlb_stride = pmd_strid = ops.PMD_STRIDES\noffers(arch(lower=Bad))",
        "Bad has pmd_strid, which nothing asks for; nearest: pmd_stride",
    ),
    (
        "class Bad(Flushes):\n    no_thp = 'there are none'\noffers(arch(lower=Bad))",
        "lower() for p: no_thp is a str, not a method",
    ),
    (
        "class Bad(Flushes):\n    def flush_mm(self, asm, g): yield super().flush_mm(asm, g)\noffers(arch(lower=Bad))",
        "flush_mm() has a yield or is async: a call of it does nothing",
    ),
    ("class Bad(Flushes):\n    machine_locks = -1\noffers(arch(lower=Bad))", "machine_locks is -1; it lies between 0 and 64"),
    ("class Bad(PlainLowering):\n    pass\noffers(arch(lower=Bad))", "lower() for p: Bad has no property format"),
    # --- hooks
    (
        "offers(arch())\ndef shootdown_workloads(): return []",
        "shootdown_workloads is not marked with shootdown.hookimpl",
    ),
    ("@hookimpl\ndef shootdown_architectures(): pass", "shootdown_architectures returned None, not a list or tuple"),
    ("@hookimpl\ndef shootdown_platforms(): pass", "shootdown_platforms returned None, not a dict"),
    ("@hookimpl\ndef shootdown_workloads(): return None", "shootdown_workloads returned None, not a list or tuple"),
    ("@hookimpl\ndef shootdown_scenarios(): return {}", "shootdown_scenarios returned a dict, not a list or tuple"),
    ("@hookimpl\ndef shootdown_platforms(): return {'x86': machine(name='q')}", "returned a Platform, not a list or tuple"),
    ("@hookimpl\ndef shootdown_workloads(): return [Workload('w', '', None, lambda s: s)]", "parameters is a NoneType"),
    (
        "@hookimpl\ndef shootdown_workloads(): return [Workload('w', '', (), lambda: 1)]",
        "workload 'w': build is to take (setting): too many positional arguments",
    ),
    (
        "@hookimpl\ndef shootdown_workloads(): return [Workload('w', '', (), lambda s: 1, shares_tables='no')]",
        "workload 'w': shares_tables is a str, not a bool: 'no'",
    ),
    ("Parameter('n', 1, 'x', minimum='0')", "parameter 'n': minimum is a str, not an int: '0'"),
    ("FlushWay('ipi', '', preempts='no')", "flush way 'ipi': preempts is a str, not a bool: 'no'"),
    ("Contradiction('kernel.pti', lambda k, p: True, '')", "contradiction: settings is a str, not a list or tuple"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "says"), MISTAKES, ids=[code.partition("\n")[0][:60] for code, _ in MISTAKES]
)
def test_a_mistake_refuses_the_plugin_with_one_line(refused: object, code: str, says: str) -> None:
    line = refused(code)  # type: ignore[operator]
    assert says in line
    assert "\n" not in line
    assert line.startswith("not loaded: bad (shootdown-bad 1.0): ")
