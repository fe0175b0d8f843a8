"""Back-propagation of neural rules through every trial, by compiled kernels on the CPU."""

from agents.fused.unroll import Correction, Mirror, dnn_unroll, gru_unroll

__all__ = ["Correction", "Mirror", "dnn_unroll", "gru_unroll"]
