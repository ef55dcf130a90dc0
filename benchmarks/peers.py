"""Other people's tools that install from PyPI (`pip install '.[bench]'`); each is left out where it isn't there."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

Run = Callable[[], Any]


def _there(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def tlb_peers(addresses: Any) -> Iterator[tuple[str, Run]]:
    """Return cache simulators that can be made to look like two levels of TLB."""
    if (cachesim := _there("cachesim")) is not None:
        yield "pycachesim", lambda: _pycachesim(cachesim, addresses)
    if (libcachesim := _there("libcachesim")) is not None:
        yield "libcachesim", lambda: _libcachesim(libcachesim, addresses)


def _pycachesim(cachesim: Any, addresses: Any) -> Any:
    memory = cachesim.MainMemory()
    l2 = cachesim.Cache("L2", 128, 12, 4096, "LRU")
    l1 = cachesim.Cache("L1", 16, 4, 4096, "LRU", store_to=l2, load_from=l2)
    memory.load_to(l2)
    memory.store_from(l2)
    simulator = cachesim.CacheSimulator(l1, memory)
    for address in addresses.tolist():
        simulator.load(address, length=1)
    return l1.stats()


def _libcachesim(libcachesim: Any, addresses: Any) -> Any:
    """One fully associative level, all that it has."""
    cache = libcachesim.LRU(1536)
    request = libcachesim.Request()
    request.obj_size = 1
    hits = 0
    for page in (addresses >> 12).tolist():
        request.obj_id = page
        hits += cache.get(request)
    return hits


def walk_peers(memory: bytes, root: int, addresses: Any) -> Iterator[tuple[str, Run]]:
    """Return walkers of x86-64 page tables. `memory` starts at physical address 0."""
    if _there("volatility3") is not None:
        layer = _volatility(memory, root)
        yield "volatility3", lambda: [layer.translate(va)[0] for va in addresses.tolist()]
    if (unicorn := _there("unicorn")) is not None:
        yield "unicorn", _unicorn(unicorn, memory, root, addresses)


def _volatility(memory: bytes, root: int) -> Any:
    from volatility3.framework import contexts
    from volatility3.framework.layers import intel, physical

    context = contexts.Context()
    context.add_layer(physical.BufferDataLayer(context, "memory", "memory", buffer=memory))
    context.config["walk.memory_layer"] = "memory"
    context.config["walk.page_map_offset"] = root
    return intel.Intel32e(context, config_path="walk", name="walk")


def _unicorn(unicorn: Any, memory: bytes, root: int, addresses: Any) -> Run:
    """Load a byte from each address, in a loop of x86 code: its own TLB and translator take part."""
    from unicorn import x86_const as x86

    engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    size = -(-len(memory) // 4096) * 4096
    engine.mem_map(0, size)
    engine.mem_write(0, memory)
    # The code and its list of addresses are mapped by one 1 GiB page at 1 TiB: a table entry is free there.
    code, at = 1 << 40, size
    listed = addresses.tobytes()
    engine.mem_map(at, -(-(len(listed) + 8192) // 4096) * 4096)
    # mov rsi,[rdi]; mov al,[rsi]; add rdi,8; dec rcx; jnz
    engine.mem_write(at, bytes.fromhex("488b37 8a06 4883c708 48ffc9 75f2".replace(" ", "")))
    engine.mem_write(at + 4096, listed)
    table = int.from_bytes(memory[-4096:][:8], "little")
    assert table == 0  # the last frame is free: it becomes the page directory pointer table
    engine.mem_write(root + 8 * 2, (size - 4096 | 7).to_bytes(8, "little"))
    engine.mem_write(size - 4096, (0x87).to_bytes(8, "little"))
    for register, value in (
        (x86.UC_X86_REG_CR4, 0x20),
        (x86.UC_X86_REG_CR3, root),
        (x86.UC_X86_REG_CR0, 0x80010033),
    ):
        engine.reg_write(register, value)
    engine.msr_write(0xC0000080, 0xD00)

    def run() -> None:
        engine.reg_write(x86.UC_X86_REG_RDI, code + at + 4096)
        engine.reg_write(x86.UC_X86_REG_RCX, len(addresses))
        engine.emu_start(code + at, code + at + 14)

    return run
