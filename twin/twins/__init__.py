"""The twins of one mouse: its posterior, its future, and what another way of training it would change."""
