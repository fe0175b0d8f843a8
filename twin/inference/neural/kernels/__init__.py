"""Back-propagation of neural rules through every trial, by compiled kernels on the CPU."""

from twin.inference.neural.kernels.interface import Correction, dnn_unroll, gru_unroll

__all__ = ["Correction", "dnn_unroll", "gru_unroll"]
