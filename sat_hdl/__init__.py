"""Synthesizable RTL for SAT, an accelerator for N:M sparse neural-network training."""

__version__ = "0.1.0"
