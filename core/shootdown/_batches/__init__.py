"""Files that ask many questions at once: sweeps and gates."""
