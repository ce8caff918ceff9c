"""Hidden states as targets: layer maps, projections, and three ways to say how far two sets of states are apart.

State 0 of a model is its embedding, state i the output of layer i, the last one what the head sees: the numbering of
`transformers`' ``hidden_states``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KINDS = ("cosine", "mse", "relation")


def direction_distance(student: Tensor, teacher: Tensor) -> Tensor:
    r"""``1 − cos`` of each pair of states: their direction, whatever their length.

    Half the squared distance of the two vectors scaled to length 1. Between 0 and 2, without a unit.

    Args:
        student, teacher: ``[N, D]`` each.
    Returns:
        ``[N]``.
    Source: Sun et al. 2019 (Patient-KD), equation 7, up to the half.
    """
    return 1 - F.cosine_similarity(student.float(), teacher.float(), dim=-1)


def squared_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared difference of each pair of states over the teacher's square: 0 is equal, 1 as good as zeros.

    Args and returns: as `direction_distance`. Source: Romero et al. 2015 (FitNets), made independent of scale.
    """
    student, teacher = student.float(), teacher.float()
    return (student - teacher).square().sum(-1) / teacher.square().sum(-1).clamp(min=1e-12)


def relation_distance(student: Tensor, teacher: Tensor, rows: Tensor) -> Tensor:
    """How differently two models see which positions of a text are alike; widths may differ, no projection is needed.

    Cosine similarity of each position to all positions of the same text, squared difference, mean over those.

    Args:
        student: ``[N, D]``; teacher: ``[N, E]``; rows: ``[N]``, the text that each position belongs to.
    Returns:
        ``[N]``. Source: Park et al. 2019 (relational distillation); Wang et al. 2020 (MiniLM) relate values instead.
    """
    s, t = F.normalize(student.float(), dim=-1), F.normalize(teacher.float(), dim=-1)
    same = (rows[:, None] == rows[None, :]).float()
    return ((s @ s.T - t @ t.T).square() * same).sum(-1) / same.sum(-1).clamp(min=1)


def cka(one: Tensor, other: Tensor) -> float:
    """Linear centred kernel alignment of two sets of states: 1 if one is a rotation and rescaling of the other.

    Args:
        one: ``[N, D]``; other: ``[N, E]``, states of the same N positions; N well above D and E, or it reads too high.
    Returns:
        float in [0, 1]. Source: Kornblith et al. 2019.
    Raises:
        ValueError: not the same number of positions, or fewer than two; all states of one set equal.
    """
    if len(one) != len(other) or len(one) < 2:
        raise ValueError(f"CKA compares the same positions, two or more, and got {len(one)} and {len(other)}")
    one, other = (states.double() - states.double().mean(0) for states in (one, other))
    scale = torch.linalg.norm(one.T @ one) * torch.linalg.norm(other.T @ other)
    if scale == 0:
        raise ValueError("all states of one set are equal: there is nothing to align")
    return (torch.linalg.norm(other.T @ one) ** 2 / scale).item()


def uniform_map(student_layers: int, teacher_layers: int) -> dict[int, int]:
    """Every student state to the teacher state at the same share of the depth: {1: …, …, student_layers: teacher_layers}."""
    return {i: round(i * teacher_layers / student_layers) for i in range(1, student_layers + 1)}


def last_map(student_layers: int, teacher_layers: int, count: int | None = None) -> dict[int, int]:
    """The last `count` student states to the teacher's last `count` states; all the student's by default."""
    count = student_layers if count is None else count
    return {student_layers - i: teacher_layers - i for i in reversed(range(count))}


class Matching(nn.Module):
    """The distance of a student's hidden states to its teacher's, with what has to be learned for it.

    Args:
        layers: {student state: teacher state}, or {student state: [teacher states]}: then the target is their mixture,
            with softmax weights that are learned along (equal at the start).
        student_width, teacher_width: of the states. Where they differ, a learned linear map brings the student's to
            the teacher's width, one for each student state ("relation" needs none).
        kind: "cosine", "mse" or "relation".
        project: a linear map even where the widths agree.
    Raises:
        ValueError: no layers, or an unknown kind.
    """

    def __init__(
        self,
        layers: dict[int, int | list[int]],
        student_width: int,
        teacher_width: int,
        kind: str = "cosine",
        project: bool = False,
    ):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, and it is {kind!r}")
        if not layers:
            raise ValueError("no layers to match: give {student state: teacher state}")
        self.kind = kind
        self.layers = {s: list(t) if isinstance(t, (list, tuple)) else [t] for s, t in layers.items()}
        self.teacher_layers = sorted({t for many in self.layers.values() for t in many})
        if kind != "relation" and (project or student_width != teacher_width):
            make = lambda: nn.Linear(student_width, teacher_width, bias=False)  # noqa: E731
        else:
            make = nn.Identity
        self.projections = nn.ModuleDict({str(s): make() for s in self.layers})
        self.weights = nn.ParameterDict(
            {str(s): nn.Parameter(torch.zeros(len(t))) for s, t in self.layers.items() if len(t) > 1}
        )

    def forward(self, student: dict[int, Tensor], teacher: dict[int, Tensor], rows: Tensor) -> Tensor:
        """The sum over positions of the mean distance over the mapped layers.

        Args:
            student, teacher: {state: ``[N, D]``}; rows: ``[N]``, the text of each position.
        """
        total = 0.0
        for s, many in self.layers.items():
            own = self.projections[str(s)](student[s])
            if len(many) > 1:
                mixed = zip(self.weights[str(s)].softmax(0), many)
                target = sum(weight * teacher[t].float() for weight, t in mixed)
            else:
                target = teacher[many[0]]
            if self.kind == "relation":
                distance = relation_distance(own, target, rows)
            else:
                distance = (direction_distance if self.kind == "cosine" else squared_distance)(own, target)
            total = total + distance.sum() / len(self.layers)
        return total
