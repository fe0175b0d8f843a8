"""Closed-form rules by maximum likelihood, mice alone or as a population."""
