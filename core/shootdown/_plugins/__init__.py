"""Find plugins, load them, vet what they offer."""
