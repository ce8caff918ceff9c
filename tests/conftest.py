"""One thread for every test: tiny models are several times faster on one than on two, and the more so on a busy machine."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402

torch.set_num_threads(1)
