"""Definitions of the network experiments: one module a topic, each with `experiments(scale)`."""
