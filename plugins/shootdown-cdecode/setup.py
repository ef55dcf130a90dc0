"""Compile the C functions; everything else is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["build_cdecode.py:ffi"])
