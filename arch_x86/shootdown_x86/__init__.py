"""The x86 architecture."""
