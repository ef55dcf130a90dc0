"""Run the model on rows that were measured on real kernels, and compare count by count."""
