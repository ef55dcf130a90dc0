"""The compliance suite: numbered statements that hold of every architecture's plugin, and who checks them."""
