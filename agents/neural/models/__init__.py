"""Kinds of networks, one a module: its settings, if it has some of its own, and its rule, named as the file (- for _)."""
