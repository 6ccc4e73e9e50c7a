"""Source to module on disk, safely.

Generated source becomes a real file, so that `inspect.getsource`, pdb, tracebacks and Numba's cache
work on it as on any other module. Files are named by the hash of their content and put in place
whole, so any number of threads and processes can share the folder. What is run is the text in hand,
never what the disk returns: a damaged or foreign file can slow jitgrad down, not change an answer.

>>> source = "def twice(x): return 2 * x"
>>> load(source, "twice_" + digest(source)).twice(21)
42
"""

import atexit
import functools
import hashlib
import importlib.metadata
import linecache
import os
import platform
import shutil
import stat
import sys
import tempfile
import threading
from pathlib import Path
from types import ModuleType

import platformdirs

PACKAGE = "jitgrad_cache"  # the name under which generated modules stand in sys.modules
_lock = threading.RLock()
_sources: dict[str, str] = {}  # of the modules loaded, by name


def cache_folder() -> Path | None:
    """Return the folder that generated modules are kept in, made if need be.

    It is ``$JITGRAD_CACHE_DIR`` if that is set, else the user's cache folder for jitgrad.

    Returns
    -------
    Path or None
        None if there can be no such folder, or if it, or the ``__pycache__`` in it that holds
        Numba's pickles, belongs to somebody else or can be written by others. What lies there is
        executed, so whoever writes there runs code as this user.
    """
    given = os.environ.get("JITGRAD_CACHE_DIR")
    try:
        folder = Path(given) if given else platformdirs.user_cache_path("jitgrad")
        folder = folder.expanduser().resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        compiled = folder / "__pycache__"
        if not compiled.exists() and os.access(folder, os.W_OK):
            compiled.mkdir(mode=0o700, exist_ok=True)
        safe = _is_private(folder) and (not os.path.lexists(compiled) or _is_private(compiled))
    except (OSError, RuntimeError):  # RuntimeError: no home folder, or a loop of links
        return None
    return folder if safe else None


def digest(text: str, *extra: str) -> str:
    """Return 16 hexadecimal digits that name a text and everything that decides its machine code.

    Parameters
    ----------
    text : str
        Source of the module.
    *extra : str
        Compiler flags and whatever else two kernels of the same text may differ in.

    Notes
    -----
    Numba's own key knows neither flags nor callees, so this has to be in the kernel's name. The
    versions of jitgrad, Python, NumPy, Numba and llvmlite are part of it.
    """
    parts = (text, *extra, *_versions())
    # Lengths first, so that ("ab", "c") and ("a", "bc") differ.
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def load(source: str, name: str) -> ModuleType:
    """Return the module of a source text, whose file stands on disk.

    Parameters
    ----------
    source : str
        Python source; trusted, as it is executed.
    name : str
        The module's name, an identifier that holds the digest of the source. It is in
        ``sys.modules`` as ``jitgrad_cache.<name>``.

    Raises
    ------
    ValueError
        If the name is not an identifier, or stands for another source already.
    """
    if not name.isidentifier():
        raise ValueError(f"a generated module's name must be an identifier, not {name!r}")
    with _lock:
        full_name = f"{PACKAGE}.{name}"
        if name not in _sources:
            sys.modules[full_name] = _execute(source, full_name, _put(source, name))
            _sources[name] = source
        elif _sources[name] != source:
            raise ValueError(f"module {name} is loaded already, with another source")
        return sys.modules[full_name]


def _execute(source: str, full_name: str, path: Path) -> ModuleType:
    """Run the text as a module that says it came from `path`."""
    module = ModuleType(full_name)
    module.__file__ = str(path)
    module.__package__ = PACKAGE
    exec(compile(source, path, "exec"), vars(module))
    setattr(_package(), full_name.rpartition(".")[2], module)
    return module


def _package() -> ModuleType:
    """Return the parent of all generated modules: empty, and nothing is ever found through it."""
    if PACKAGE not in sys.modules:
        package = ModuleType(PACKAGE, "Modules that jitgrad generated.")
        package.__path__ = []
        sys.modules[PACKAGE] = package
    return sys.modules[PACKAGE]


def _put(source: str, name: str) -> Path:
    """Put the text where it will be found again; failing that, where it lasts for this process."""
    data = source.encode()
    folder = cache_folder()
    if folder is not None:
        try:
            return _place(data, folder / f"{name}.py")
        except OSError:  # read-only, disk full, a folder of that name
            pass
    return _place(data, _temporary_folder(os.getpid()) / f"{name}.py")


def _place(data: bytes, path: Path) -> Path:
    """Make `path` a file of exactly these bytes, in one step."""
    if _read(path) != data:
        descriptor, temporary = tempfile.mkstemp(suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        linecache.checkcache(str(path))
    return path


def _read(path: Path) -> bytes | None:
    """Return what a regular file holds, or None; a symbolic link is not followed."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
            return file.read()
    except OSError:
        return None


def _is_private(folder: Path) -> bool:
    """Say whether this is a folder, not a link, that only the current user can write to."""
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode):
        return False
    if sys.platform == "win32":  # the profile's access list, not mode bits, protects it there
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@functools.cache
def _temporary_folder(process: int) -> Path:
    """Return this process's own folder, gone when it ends (a forked child has another)."""
    folder = Path(tempfile.mkdtemp(prefix="jitgrad-"))
    (folder / "__pycache__").mkdir(mode=0o700)
    atexit.register(_remove, folder, process)
    return folder


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a forked child inherits the exit handler, not the folder
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _versions() -> tuple[str, ...]:
    packages = ("jitgrad", "numpy", "numba", "llvmlite")
    return (*(f"{name} {_version(name)}" for name in packages), platform.python_version())


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        return "unknown"
