"""How well a rule was recovered, how mice perform, and how far they are trained."""
