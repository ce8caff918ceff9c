"""One thread for every test: tiny models are several times faster on one than on two, and the more so on a busy machine.

And no network: after set-up no test needs one, and a model's name that is nowhere is told at once.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402

torch.set_num_threads(1)
