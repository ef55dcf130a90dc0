"""What was recorded on real machines: traces, counters and logs, read line by line."""
