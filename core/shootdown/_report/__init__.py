"""What a person reads of a run: tables, ledgers and timelines, as plain text and JSON. Nothing here draws."""
