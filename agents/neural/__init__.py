"""Neural learning rules: their settings, the networks, and what they can be put together to."""
