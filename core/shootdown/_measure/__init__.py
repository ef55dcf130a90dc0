"""Run programs on a real kernel under an emulator, count what it does, and compare that with the model."""
