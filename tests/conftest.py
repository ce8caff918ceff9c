"""One thread for every test: tiny models are several times faster on one than on two, and the more so on a busy machine.

And no network: after set-up no test needs one, and a model's name that is nowhere is told at once.
"""

import os
import random

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def same_numbers_whatever_ran_before():
    """A test that draws without a seed of its own draws the same each time, so that what fails once fails again."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 — libraries draw from it
    random.seed(0)
