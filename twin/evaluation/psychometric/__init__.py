"""Psychometric functions of the IBL task: the curve, its data, and maximum-likelihood fits."""
