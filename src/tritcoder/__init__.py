"""tritcoder: a code-generating language model whose weights are -1, 0 and +1."""

__version__ = "0.1.0"
