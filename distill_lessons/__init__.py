"""Helpers behind the knowledge-distillation notebooks: small modules of plain functions, one job each."""

__version__ = "0.1.0"
