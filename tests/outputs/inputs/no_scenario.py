"""Defines no SCENARIO."""
