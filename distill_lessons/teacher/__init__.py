"""What a teacher gives: texts (`text`, `generation`), what of them is kept (`filters`), soft targets (`targets`), and code
that a `sandbox` runs.
"""

from distill_lessons.teacher import filters, generation, sandbox, targets, text

__all__ = ["filters", "generation", "sandbox", "targets", "text"]
