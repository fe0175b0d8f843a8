"""Weights that also move at random: filters, a smoother, and the levels of the noise."""
