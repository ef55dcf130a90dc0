"""Programs that a person writes down: memory, processes and threads, what each does, and what is measured."""
