"""How a student learns: `fit` for classifiers, `DistillationTrainer` for language models."""

from distill_lessons.training.arguments import lora, settings
from distill_lessons.training.checkpoints import last_checkpoint, saving
from distill_lessons.training.classifier import cross_entropy, fit
from distill_lessons.training.trainer import DistillationTrainer

__all__ = ["DistillationTrainer", "cross_entropy", "fit", "last_checkpoint", "lora", "saving", "settings"]
