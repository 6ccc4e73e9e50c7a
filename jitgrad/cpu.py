"""The CPU back end: a generated module compiled by Numba.

The text is plain Python: a few helper functions and one kernel that calls them. `compile_module`
compiles all of it and keeps the machine code beside the source; `interpret` runs the same text in
CPython, for tests and for stepping through with pdb.

>>> source = '''
... def half(x): return x / 2
... def quarter(x): return half(half(x))
... '''
>>> compile_module(source, "quarter", helpers=["half"], strict=False)(10.0)
2.5
"""

import contextlib
import hashlib
import pickle
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.compiler_lock import global_compiler_lock
from numba.core.serialize import dumps
from numba.extending import is_jitted

from jitgrad import cache, vector_math

SUM = "add_up"  # the helper `total + term`, whose additions may be done in any order


class Kernel(Protocol):
    """A compiled function: call it from Python or from the user's own ``@njit`` code."""

    py_func: Callable[..., Any]
    signatures: list[tuple[Any, ...]]
    stats: Any  # .cache_hits and .cache_misses count by signature

    def __call__(self, *arguments: Any) -> Any:
        """Run it."""


def compile_module(
    source: str,
    name: str,
    helpers: Sequence[str],
    strict: bool,
    signature: tuple[Any, ...] | None = None,
) -> Kernel:
    """Compile a generated module, or load what was compiled before.

    Parameters
    ----------
    source : str
        Plain Python. It defines the helpers, in order, and the kernel, and imports what they use.
    name : str
        The kernel's name and the module's. It has to hold ``cache.digest(text, flags(strict))``:
        neither Numba's cache key nor its symbols tell two kernels of one name apart.
    helpers : sequence of str
        Functions of the module, each calling only earlier ones. One called ``add_up``, if it is
        there, returns its first argument plus its second and is what sums are made with.
    strict : bool
        True: every operation as written. False: a product and a sum may become one fused operation
        with a single rounding, and ``add_up`` may add in another order, so that sums vectorise.
    signature : tuple of Numba types, optional
        The types of the arguments (see `types_of`): compile for them now, and never for others.
        Without it, the first call compiles.

    Returns
    -------
    Kernel
        The same object for the same module.

    Raises
    ------
    ValueError
        If the module is compiled already, with another source, another `strict` or for other types.
    """
    # Numba's own lock: with another beside it, a thread that comes here while Numba compiles its
    # caller and one that compiles from here would each wait for the other.
    with global_compiler_lock:
        module = cache.load(source, name)
        kernel = getattr(module, name)
        if not is_jitted(kernel):
            kernel = _decorate(module, name, helpers, strict)
        elif kernel.targetoptions.get("fastmath", False) != _fastmath(name, strict):
            raise ValueError(f"kernel {name} is compiled already, with strict={not strict}")
        if signature is not None and is_jitted(kernel):
            _compile_once(kernel, signature)
    return kernel  # type: ignore[no-any-return]


def flags(strict: bool) -> str:
    """Return the compiler flags as a text, to go into the digest of the kernel's name."""
    # Sorted: a set prints in another order in each process, and the kernel would get another name.
    allowed = [sorted(_fastmath(function, strict)) for function in (SUM, "")]
    return f"nogil error_model=numpy fastmath={allowed} library={vector_math.DIGEST}"


def types_of(*arguments: Any) -> tuple[Any, ...]:
    """Return the Numba types of some arguments, as a signature.

    >>> types_of(1.0, 2)
    (float64, int64)
    """
    return tuple(numba.typeof(argument) for argument in arguments)


def interpret(source: str, name: str) -> Callable[..., Any]:
    """Return the kernel of a generated module as plain Python, with plain helpers.

    Its lines are those of the file on disk, so that pdb shows them.
    """
    module = cache.load(source, name)
    namespace: dict[str, Any] = {"__name__": module.__name__}
    exec(compile(source, str(module.__file__), "exec"), namespace)
    return namespace[name]  # type: ignore[no-any-return]


def _decorate(module: ModuleType, name: str, helpers: Sequence[str], strict: bool) -> Any:
    """Put jitted functions in the place of the module's plain ones; return the kernel."""
    # Not inline="always": it would give a helper the caller's flags. LLVM inlines them anyway, and
    # leaves the flags on the instructions they came with.
    for helper in helpers:
        setattr(module, helper, numba.njit(**_options(helper, strict))(getattr(module, helper)))
    kernel = numba.njit(**_options(name, strict))(getattr(module, name))
    if is_jitted(kernel):  # it is not under NUMBA_DISABLE_JIT
        kernel._cache = _Cache(kernel.py_func)  # what njit(cache=True) does, with a cache of ours
    setattr(module, name, kernel)
    return kernel


def _options(function: str, strict: bool) -> dict[str, Any]:
    return {"nogil": True, "error_model": "numpy", "fastmath": _fastmath(function, strict)}


def _fastmath(function: str, strict: bool) -> set[str]:
    if strict:
        return set()
    return {"contract", "reassoc"} if function == SUM else {"contract"}


def _compile_once(kernel: Any, signature: tuple[Any, ...]) -> None:
    """Compile for these types and no others, without a warning."""
    if kernel.signatures == [signature]:
        return
    if kernel.signatures:
        raise ValueError(f"{kernel.py_func.__name__} is compiled for {kernel.signatures[0]}")
    with warnings.catch_warnings():
        # They advise on how to write the source (contiguity in `@`), which no person wrote.
        warnings.simplefilter("ignore", numba.NumbaWarning)
        kernel.compile(signature)
    # Two processes that save different signatures of one function at once can leave an entry that
    # never loads again (seen in 1 of 25 trials), so there is never a second one.
    kernel.disable_compile()


class _Locator(_CacheLocator):  # type: ignore[misc]
    """Look beside the source, nowhere else: `cache` has made sure of that folder."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    @classmethod
    def from_function(cls, function: object, file: str) -> "_Locator":
        return cls(file)

    def ensure_cache_path(self) -> None:
        """Do not insist on a folder that can be written: a full, read-only one is still of use."""

    def get_cache_path(self) -> str:
        return str(self.file.parent / "__pycache__")

    def get_source_stamp(self) -> str:
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    def get_disambiguator(self) -> str:
        return "0"  # a module has one kernel


class _Results(CompileResultCacheImpl):  # type: ignore[misc]
    """Machine code with its checksum.

    After a crash or on a failing disk a file can have its full length and blocks of zeros. That may
    unpickle well and then be executed. SHA-256 takes 0.1 ms on a typical kernel's 100 KB.
    """

    _locator_classes = (_Locator,)

    def reduce(self, result: Any) -> tuple[bytes, bytes]:
        data = dumps(super().reduce(result))
        return hashlib.sha256(data).digest(), data

    def rebuild(self, target_context: Any, payload: tuple[bytes, bytes]) -> Any:
        checksum, data = payload
        if hashlib.sha256(data).digest() != checksum:
            raise ValueError("damaged")
        return super().rebuild(target_context, pickle.loads(data))


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk, except that no trouble with the disk is the user's.

    Numba lets a truncated file's UnpicklingError, EOFError and the like escape on each later run.
    """

    _impl_class = _Results

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(signature, target_context)
        except Exception:  # random bytes, unpickled, can raise anything
            self._discard()
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        try:
            super().save_overload(signature, result)
        except Exception:  # read-only, disk full, or an index that could not be discarded
            self._discard()

    def _discard(self) -> None:
        for path in Path(self.cache_path).glob(f"{self._impl.filename_base}.*"):
            with contextlib.suppress(OSError):  # read-only, or another process was first
                path.unlink()
