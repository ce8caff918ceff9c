"""What a teacher gives: texts (`text`, `generation`), soft targets (`targets`), and code that a `sandbox` runs."""

from distill_lessons.teacher import generation, sandbox, targets, text

__all__ = ["generation", "sandbox", "targets", "text"]
