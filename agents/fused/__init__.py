"""Back-propagation of neural rules through every trial, by compiled kernels on the CPU."""

from agents.fused.unroll import Mirror, dnn_unroll, gru_unroll

__all__ = ["Mirror", "dnn_unroll", "gru_unroll"]
