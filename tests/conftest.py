"""Every test run starts with an empty kernel cache of its own, one per xdist worker."""

import os
import shutil
import tempfile

# Before anything imports jitgrad, and for the subprocesses that tests start.
_FOLDER = tempfile.mkdtemp(prefix="jitgrad-tests-")
os.environ["JITGRAD_CACHE_DIR"] = _FOLDER
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages have bytecode


def pytest_unconfigure(config):
    shutil.rmtree(_FOLDER, ignore_errors=True)
