"""The reader's own distillation: from a table of texts to a tested student, its report and its card.

``distill-lessons new my-project``, ``distill-lessons distil my-project``, ``distill-lessons predict my-project/student``;
or the same stages as functions, each of which takes the results of those before it.
"""

from distill_lessons.project.config import settings
from distill_lessons.project.distilling import distil
from distill_lessons.project.exporting import export
from distill_lessons.project.judging import calibrate, cost, evaluate, measure, shrink
from distill_lessons.project.learning import control, learn, student_of
from distill_lessons.project.predicting import predict
from distill_lessons.project.reporting import report, sentences
from distill_lessons.project.selecting import select
from distill_lessons.project.splitting import TEST, TRAIN, VALIDATION, places, split
from distill_lessons.project.stages import Result
from distill_lessons.project.starting import new
from distill_lessons.project.students import Student, load, probabilities, save
from distill_lessons.project.table import Table, read
from distill_lessons.project.teaching import teach

__all__ = [
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Result",
    "Student",
    "Table",
    "calibrate",
    "control",
    "cost",
    "distil",
    "evaluate",
    "export",
    "learn",
    "load",
    "measure",
    "new",
    "places",
    "predict",
    "probabilities",
    "read",
    "report",
    "save",
    "select",
    "sentences",
    "settings",
    "shrink",
    "split",
    "student_of",
    "teach",
]
