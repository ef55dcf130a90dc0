"""What-ifs in a browser: one page, and an answer for each of its states, computed in a process of its own."""
