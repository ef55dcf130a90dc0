"""This machine: what its calls cost, and how far predictions for it are off."""
