"""A forked copy of a process whose torch has used its threads: it goes on with one, where it would wait for ever."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import os, signal
import torch
import twin.engine
torch.set_num_threads(2)
a = torch.ones(600, 600, requires_grad=True)
(a @ a + a).sum().backward()
child = os.fork()
signal.alarm(60)  # ends either process
(a @ a + a).sum().backward()
if child == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), torch.get_num_threads())
"""


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="this system does not fork")
def test_torch_works_after_a_fork():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["7", "2"], done.stderr
