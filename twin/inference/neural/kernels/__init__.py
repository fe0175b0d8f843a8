"""Back-propagation of neural rules through every trial, by compiled kernels on the CPU."""

from twin.inference.neural.kernels.interface import kernel_unroll
from twin.inference.neural.kernels.options import Correction, Options, Recorded

__all__ = ["Correction", "Options", "Recorded", "kernel_unroll"]
