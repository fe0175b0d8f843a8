"""What the mouse sees, as a line of text or as a picture.

The screen is 110 x 60 degrees of visual angle, at 4 pixels a degree, grey. The stimulus is a vertical Gabor grating of
sigma 7 degrees and .1 cycles per degree at +-35 degrees azimuth, its phase drawn anew in every trial (iblrig).
"""

from __future__ import annotations

import math

import numpy as np

from envs.draws import PHASE, uniform
from envs.records import Record

WIDTH, HEIGHT, PIXELS_PER_DEGREE = 110, 60, 4  # degrees
AZIMUTH, SIGMA, CYCLES_PER_DEGREE = 35.0, 7.0, 0.1
GREY, AMPLITUDE = 128, 127  # of 255


def line(mouse: Record) -> str:
    """Session, trial, stage and contrast of a mouse, as one line."""
    contrast = 100 * float(mouse.contrast)
    return f"session {mouse.session + 1} trial {mouse.session_trial + 1} stage {mouse.stage} contrast {contrast:+.4g} %"


def frame(mouse: Record) -> np.ndarray:
    """The screen as a mouse's record has it, (240, 440, 3) uint8."""
    phase = 2 * math.pi * uniform(mouse.key, mouse.trial, PHASE)
    return gabor(float(mouse.contrast), phase)


def gabor(contrast: float, phase: float) -> np.ndarray:
    """A grating of a signed contrast, positive = right, on grey, (height, width, 3) uint8."""
    x, y = ((np.arange(degrees * PIXELS_PER_DEGREE) + 0.5) / PIXELS_PER_DEGREE - degrees / 2 for degrees in (WIDTH, HEIGHT))
    from_centre = x - math.copysign(AZIMUTH, contrast)
    window = np.exp(-(from_centre**2 + y[:, None] ** 2) / (2 * SIGMA**2))
    grating = np.cos(2 * math.pi * CYCLES_PER_DEGREE * from_centre + phase)
    picture = GREY + AMPLITUDE * abs(contrast) * window * grating
    return np.repeat(np.round(picture).astype(np.uint8)[:, :, None], 3, axis=2)
