"""What a teacher gives: texts (`text`, `generation`) and soft targets (`targets`)."""

from distill_lessons.teacher import generation, targets, text

__all__ = ["generation", "targets", "text"]
