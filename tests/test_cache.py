"""The text in hand is what runs, whatever the disk holds; and the file is there when it can be."""

import inspect
import linecache
import os
import pickle
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from jitgrad import cache

SOURCE = "def answer():\n    return 42\n\nclass Thing:\n    pass\n"
NOBODY = 65534
needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "kernels"
    monkeypatch.setenv("JITGRAD_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def name(request):
    """A module name that no other test uses: modules last as long as the process."""
    return "m_" + cache.digest(SOURCE, request.node.nodeid)


def run(code, folder, **options):
    """Run a script in a fresh process with this cache folder; return what it printed."""
    environment = {**os.environ, "JITGRAD_CACHE_DIR": str(folder)}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


# The folder


def test_folder_is_made_for_the_owner_only(folder):
    assert cache.cache_folder() == folder
    for made in (folder, folder / "__pycache__"):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_folder_without_the_variable_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("JITGRAD_CACHE_DIR")
    monkeypatch.setattr(cache.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    assert cache.cache_folder() == tmp_path / "jitgrad"


@pytest.mark.parametrize("mode", [0o770, 0o720, 0o702, 0o777, 0o1777])
@pytest.mark.parametrize("which", [".", "__pycache__"])
def test_folder_that_others_can_write_to_is_refused(folder, name, mode, which):
    cache.cache_folder()
    (folder / which).chmod(mode)
    assert cache.cache_folder() is None
    module = cache.load(SOURCE, name)
    assert module.answer() == 42
    assert not Path(module.__file__).is_relative_to(folder)


@needs_root
@pytest.mark.parametrize("which", [".", "__pycache__"])
def test_folder_of_somebody_else_is_refused(folder, which):
    cache.cache_folder()
    os.chown(folder / which, NOBODY, NOBODY)
    assert cache.cache_folder() is None


def test_compiled_code_behind_a_link_is_refused(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.mkdir(mode=0o700)
    (folder / "__pycache__").symlink_to(tmp_path / "elsewhere")
    assert cache.cache_folder() is None


def test_linked_folder_is_judged_by_where_it_leads(folder, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "real")
    assert cache.cache_folder() == tmp_path / "real"
    (tmp_path / "real").chmod(0o777)
    assert cache.cache_folder() is None


def test_file_where_the_folder_should_be(folder, name):
    folder.write_text("in the way")
    assert cache.cache_folder() is None
    assert cache.load(SOURCE, name).answer() == 42
    assert folder.read_text() == "in the way"


# The digest


def test_digest_tells_apart_what_differs(monkeypatch):
    digests = [
        cache.digest("ab"),
        cache.digest("ab", ""),
        cache.digest("ab", "c"),
        cache.digest("a", "bc"),
        cache.digest("abc"),
    ]
    monkeypatch.setattr(cache, "_versions", lambda: ("numba 99",))
    digests.append(cache.digest("ab"))
    assert len(set(digests)) == len(digests)
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in digests)


def test_digest_is_the_same_in_another_process(folder):
    code = "from jitgrad import cache; print(cache.digest('text', 'flags'))"
    assert run(code, folder) == cache.digest("text", "flags")


# Loading


def test_load_puts_the_file_and_runs_it(folder, name):
    module = cache.load(SOURCE, name)
    path = folder / f"{name}.py"
    assert module.answer() == 42
    assert path.read_bytes() == SOURCE.encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert module.__name__ == f"jitgrad_cache.{name}"
    assert module.__file__ == str(path)
    assert sorted(os.listdir(folder)) == ["__pycache__", f"{name}.py"]


def test_tools_see_the_source(folder, name):
    module = cache.load(SOURCE, name)
    assert inspect.getsource(module.answer) == "def answer():\n    return 42\n"
    assert inspect.getsource(module) == SOURCE
    assert linecache.getline(module.__file__, 2) == "    return 42\n"


def test_import_and_pickle_find_the_module(folder, name):
    module = cache.load(SOURCE, name)
    assert __import__(f"jitgrad_cache.{name}", fromlist=["answer"]) is module
    assert getattr(sys.modules["jitgrad_cache"], name) is module
    assert pickle.loads(pickle.dumps(module.answer)) is module.answer
    assert type(pickle.loads(pickle.dumps(module.Thing()))) is module.Thing


def test_nothing_is_imported_from_the_folder(folder):
    cache.cache_folder()
    (folder / "planted.py").write_text("raise SystemExit('run')")
    cache.load(SOURCE, "m_" + cache.digest(SOURCE, "planted"))
    with pytest.raises(ModuleNotFoundError):
        __import__("jitgrad_cache.planted")


def test_load_twice_is_one_module(folder, name):
    assert cache.load(SOURCE, name) is cache.load(SOURCE, name)


def test_one_name_for_two_sources_is_an_error(folder, name):
    cache.load(SOURCE, name)
    with pytest.raises(ValueError, match="another source"):
        cache.load(SOURCE + "# more\n", name)


@pytest.mark.parametrize("bad", ["../up", "a/b", "", "a.b", "/etc/x"])
def test_name_cannot_lead_out_of_the_folder(folder, bad):
    with pytest.raises(ValueError, match="identifier"):
        cache.load(SOURCE, bad)


def test_source_that_fails_leaves_no_module(folder, name):
    with pytest.raises(ZeroDivisionError):
        cache.load("1 / 0", name)
    assert f"jitgrad_cache.{name}" not in sys.modules
    assert cache.load(SOURCE, name).answer() == 42


def test_same_file_is_not_written_again(folder, name):
    cache.cache_folder()
    path = folder / f"{name}.py"
    path.write_text(SOURCE)
    before = path.stat()
    cache.load(SOURCE, name)
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize(
    "found", [b"", SOURCE[:9].encode(), b"raise SystemExit('foreign')", b"\xff\x00" * 50]
)
def test_other_content_is_replaced_and_never_run(folder, name, found):
    cache.cache_folder()
    path = folder / f"{name}.py"
    path.write_bytes(found)
    linecache.getlines(str(path))
    assert cache.load(SOURCE, name).answer() == 42
    assert path.read_text() == SOURCE
    assert linecache.getlines(str(path)) == SOURCE.splitlines(keepends=True)


def test_link_is_replaced_not_followed(folder, name, tmp_path):
    cache.cache_folder()
    target = tmp_path / "target.py"
    path = folder / f"{name}.py"
    for text in ("precious", SOURCE):
        target.write_text(text)
        path.symlink_to(target)
        assert cache._place(SOURCE.encode(), path) == path
        assert not path.is_symlink()
        assert path.read_text() == SOURCE
        assert target.read_text() == text
        path.unlink()


def test_pipe_in_the_place_does_not_hang(folder, name):
    cache.cache_folder()
    os.mkfifo(folder / f"{name}.py")
    assert cache.load(SOURCE, name).answer() == 42
    assert (folder / f"{name}.py").read_text() == SOURCE


def test_folder_in_the_place_falls_back(folder, name):
    (folder / f"{name}.py" / "x").mkdir(parents=True)
    folder.chmod(0o700)
    module = cache.load(SOURCE, name)
    assert module.answer() == 42
    assert inspect.getsource(module.answer).startswith("def answer")


# Folders that cannot be written to


@pytest.mark.parametrize("where", ["mkstemp", "write", "replace"])
def test_failing_disk_falls_back_to_a_temporary_folder(folder, name, where, monkeypatch):
    cache.cache_folder()

    def fail(real, in_folder):
        def guarded(*arguments, **options):
            if in_folder(*arguments, **options):
                raise PermissionError("read-only, says the test")
            return real(*arguments, **options)

        return guarded

    if where == "mkstemp":
        check = lambda **options: options.get("dir") == folder  # noqa: E731
        monkeypatch.setattr(cache.tempfile, "mkstemp", fail(cache.tempfile.mkstemp, check))
    elif where == "replace":
        check = lambda old, new: Path(new).parent == folder  # noqa: E731
        monkeypatch.setattr(cache.os, "replace", fail(os.replace, check))
    else:
        left = [True]
        check = lambda *_: left and left.pop()  # noqa: E731
        monkeypatch.setattr(cache.os, "fdopen", fail(os.fdopen, check))
    module = cache.load(SOURCE, name)
    assert module.answer() == 42
    assert inspect.getsource(module.answer).startswith("def answer")
    assert not Path(module.__file__).is_relative_to(folder)
    assert os.listdir(folder) == ["__pycache__"], "nothing half-written is left"


AS_NOBODY = """
import os, sys
from jitgrad import cache  # while the environment can still be read
os.setgroups([]); os.setgid(65534); os.setuid(65534)
module = cache.load({source!r}, {name!r})
print(module.answer(), cache.cache_folder(), module.__file__)
"""


@needs_root
def test_read_only_folder_as_an_ordinary_user(name):
    # Not below tmp_path, which only root may enter.
    with tempfile.TemporaryDirectory() as parent:
        os.chmod(parent, 0o755)
        folder = Path(parent, "kernels")
        folder.mkdir(mode=0o500)
        os.chown(folder, NOBODY, NOBODY)
        code = AS_NOBODY.format(source=SOURCE, name=name)
        answer, found, file = run(code, folder).split()
        assert (answer, found) == ("42", str(folder))
        assert not Path(file).is_relative_to(folder)
        assert not Path(file).exists(), "the temporary folder goes when the process does"

        # Filled before it became read-only, it is used.
        (folder / f"{name}.py").write_text(SOURCE)
        assert run(code, folder).split() == ["42", str(folder), str(folder / f"{name}.py")]


@needs_root
def test_no_folder_as_an_ordinary_user(name, tmp_path):
    code = AS_NOBODY.format(source=SOURCE, name=name)
    answer, found, file = run(code, tmp_path / "not" / "allowed").split()
    assert (answer, found) == ("42", "None")
    assert not Path(file).exists()


# At the same time


def test_threads(folder, name):
    modules = []
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        modules.append(cache.load(SOURCE, name))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(modules) == 8
    assert len(set(map(id, modules))) == 1


def test_processes(folder):
    code = (
        "import sys; from jitgrad import cache; sys.stdin.read()\n"
        "for i in range(100):\n"
        "    source = f'def f(): return {i}' + ' ' * 10_000\n"
        "    assert cache.load(source, f'm{i}').f() == i\n"
        "    assert open(cache.sys.modules[f'jitgrad_cache.m{i}'].__file__).read() == source\n"
    )
    environment = {**os.environ, "JITGRAD_CACHE_DIR": str(folder)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, env=environment)
        for _ in range(4)
    ]
    for process in processes:
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0] * 4
    assert len(os.listdir(folder)) == 101


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_leaves_the_parents_folder_alone(folder):
    folder.write_text("in the way")
    code = (
        "import os, sys, warnings\n"
        "from jitgrad import cache\n"
        "parent = cache.load('x = 1', 'm').__file__\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    own = cache.load('x = 2', 'm2').__file__\n"
        "    sys.exit(os.path.dirname(own) == os.path.dirname(parent))\n"
        "print(os.waitpid(child, 0)[1], os.path.exists(parent))\n"
    )
    assert run(code, folder) == "0 True"
