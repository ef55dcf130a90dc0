"""The scenarios that come with shootdown: small workloads, explored under every interleaving."""

from __future__ import annotations

from shootdown._scenarios.unshare import UNSHARE

ALL = (*UNSHARE,)
