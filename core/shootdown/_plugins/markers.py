"""The decorators that mark hooks, and functions that implement them."""

from __future__ import annotations

import pluggy

from shootdown._plugins.installed import PROJECT

#: Marks the specification of a hook; only `shootdown.hookspecs` needs it.
hookspec = pluggy.HookspecMarker(PROJECT)
#: Marks a plugin's function that implements the hook of the same name.
hookimpl = pluggy.HookimplMarker(PROJECT)
