"""Memory images as crash dumps, debuggers and emulators write them: ELF cores, LiME, kdump."""
