"""Page tables: formats, the memory they lie in, walks, address spaces, listings."""
