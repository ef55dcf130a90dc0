"""Frozen values, from kernels and platforms to workloads and results; they import no other wing."""
