"""The scenarios that come with shootdown: small workloads, explored under every interleaving."""
