"""A parked interpreter, and one forked from a zygote, is the interpreter: the same program gives the
same bytes and the same exit code as in a sandbox where it starts."""
import os
import subprocess
import time

import pytest

import service as svc

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
SANDBOX = svc.BUILD / "src/programs/cupel-sandbox/cupel-sandbox"
CODE = {
    "nothing": "",
    "arguments": "import sys; print(sys.argv, sys.orig_argv, sys.path[0], sys.flags.safe_path)",
    "main": "print(sorted((k, str(v)[:40]) for k, v in globals().items() if k != '__builtins__'))",
    "annotations": "x: int = 1\nprint(__annotations__)",
    "pickle": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)",
    "input": "print(input('? '), input())",
    "environment": "import os; print(os.environ['A'], len(os.environ))",
    "time zone": "import time; print(time.tzname, time.localtime(0)[:5])",
    "umask": "import os; print(oct(os.umask(0)))",
    "signals": "import signal; print([signal.getsignal(n) for n in (1, 2, 13, 15, 17, 25)])",
    # how it ends
    "exit code": "exit(7)",
    "exit text": "exit('bye')",
    "exit large": "exit(2**70)",
    "exit negative": "exit(-1)",
    "exit false number": "class I(int):\n  def __bool__(s): return False\n  def __abs__(s): 1/0\nexit(I(5))",
    "exit with a property": "class E(SystemExit): code = property(lambda s: 1/0)\nraise E",
    "exit tuple": "exit((1, 2))",
    "exit without stderr": "import sys; sys.stderr = None; exit('x')",
    "exception": "1/0",
    "chained": "try:\n  1/0\nexcept Exception as e:\n  raise KeyError('x') from e",
    "group": "raise ExceptionGroup('a', [ValueError(1)])",
    "syntax error": "def f(:\n pass",
    "syntax warning": "print('\\d')",
    "interrupted": "raise KeyboardInterrupt",
    "own KeyboardInterrupt": "class Stop(KeyboardInterrupt): pass\nraise Stop('enough')",
    "patched": "import builtins, os\nbuiltins.type = builtins.abs = os.getpid = None\nprint('k')\nraise SystemExit(4)",
    "warning of the caller": "import warnings\nwarnings.warn('w', stacklevel=2)\n"
                             "def f(): warnings.warn('v', stacklevel=3)\nf()",
    "SIGINT": "import os, time; os.kill(os.getpid(), 2); time.sleep(1)",
    "SIGTERM": "import os; os.kill(os.getpid(), 15)",
    "abort": "import os; os.abort()",
    "_exit": "import os; print('lost'); os._exit(3)",
    "own hook": "import sys\nsys.excepthook = lambda *a: print(a[:2])\n1/0",
    "hook that raises": "import sys\ndef h(*a): raise ValueError('h')\nsys.excepthook = h\n1/0",
    "hook that exits": "import sys\ndef h(*a): exit(7)\nsys.excepthook = h\n1/0",
    "without main": "import sys\ndel sys.modules['__main__']\n1/0",
    "atexit": "import atexit; atexit.register(print, 'bye')",
    "atexit that exits": "import atexit\ndef f(): exit(4)\natexit.register(f)\nf.__qualname__ = 'g'\n"
                         "import sys; sys.unraisablehook = lambda a: print(a.exc_type)",
    "threads": "import threading, time\ndef f():\n  time.sleep(.1); print('t')\n"
               "threading.Thread(target=f).start()",
    "daemon threads": "import threading, time\nthreading.Thread(target=time.sleep, args=(9,), "
                      "daemon=True).start()",
    # processes that it forks
    "child that ends": "import os, time\np = os.fork()\nif p == 0: exit(3)\ntime.sleep(.1)\n"
                       "print(os.waitpid(p, 0)[1] >> 8)\nexit(5)",
    "child that fails": "import os, time\np = os.fork()\nif p == 0: 1/0\ntime.sleep(.1)\n"
                        "print(os.waitpid(p, 0)[1] >> 8)\nexit(5)",
    "child that speaks for its parent": """
import os, time
if os.fork() == 0:
    for how in (lambda: os.write(65, b'\\0'),
                lambda: __import__('socket').socket(fileno=os.dup(65)).send(b''),
                lambda: open(f'/proc/{os.getppid()}/fd/65', 'wb', 0).write(b'\\0')):
        try:
            how()
        except OSError:
            pass
    os._exit(0)
os.wait()
time.sleep(.1)
print('mine')
exit(5)
""",
    "no core file, no advice": "import os\nprint(open('/proc/self/coredump_filter').read())\n"
                               "f = os.open('/usr/bin/python3', 0)\n"
                               "print(os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED))",
    "child that goes on": "import os, time\nif os.fork() == 0:\n  print('child', flush=True)\nelse:\n"
                          "  os.wait()\n  time.sleep(.1)\n  print('parent')",
    "multiprocessing": "import multiprocessing as m\nwith m.Pool(2) as p: print(p.map(abs, [-1, 2]))",
    "subprocess": "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'print(1)'], "
                  "capture_output=True))",
    "exec": "import os; os.execv('/bin/echo', ['echo', 'x'])",
    "asyncio": "import asyncio\nasync def m():\n  p = await asyncio.create_subprocess_exec('true')\n"
               "  print(await p.wait())\nasyncio.run(m())",
    "child at the end": "import atexit, os\n@atexit.register\ndef f():\n  p = os.fork()\n  if p:\n"
                        "    os.waitpid(p, 0); print('result')\n",
    # what it wrote and did not close
    "open file": "f = open('/dev/stdout', 'w')\nf.write('x')",
    "open file of a function": "def f():\n  f = open('/dev/stdout', 'w')\n  f.write('x')\n  exit(0)\nf()",
    "open descriptor": "import os\nf = os.fdopen(os.dup(1), 'w')\nf.write('x')",
    "second writer": "import io, sys\nf = io.TextIOWrapper(sys.stdout.buffer)\nf.write('x')",
    "csv": "import csv\nw = csv.writer(open('/dev/stdout', 'w'))\nw.writerow([1, 2])",
    "gzip": "import gzip\nf = gzip.GzipFile('/dev/stdout', 'w', mtime=0)\nf.write(b'x')",
    "file used by a function": "f = open('/dev/stdout', 'w')\ndef emit(x): f.write(x)\nemit('x')",
    "file of an object": "class A:\n  def __init__(s): s.f = open('/dev/stdout', 'w')\n"
                         "  def say(s, x): s.f.write(x)\nA().say('x')\na = A()\na.say('y')",
    "file of a class": "import os\nclass A:\n  f = os.fdopen(os.dup(1), 'w')\nA.f.write('x')\nexit(4)",
    "file of a default": "def log(t, f=open('/dev/stdout', 'w')): f.write(t)\nlog('x')\n1/0",
    "file without number": "import json\njson.f = open(1, 'w', closefd=False)\njson.f.write('x')",
    "file in a gzip": "import gzip, sys\nclass A: f = gzip.GzipFile(fileobj=sys.stdout.buffer, mode='w', mtime=0)"
                      "\nA.f.write(b'x')",
    "stream of its own": "import io, json, sys\nclass T(io.TextIOBase):\n"
                         "  def write(s, x): sys.__stdout__.write(x); return len(x)\n"
                         "json.t = T(); json.t.write('abc')",
    "closed file": "f = open('/dev/stdout', 'w')\nprint('x', file=f)\nf.close()",
    "in a module": "import json\njson.f = open('/dev/stdout', 'w')\njson.f.write('x')",
    "replaced stdout": "import io, sys\nprint('a')\nsys.stdout = io.StringIO()\nprint('b')",
    "closed stdout": "import sys; sys.stdout.close()",
    "closed descriptor": "import os; print('x'); os.close(1)",
    "closed range": "import os; os.closerange(3, 256); exit(4)",
    "del": "class A:\n  def __del__(s): print('del')\na = A()",
    "del in a cycle": "class A:\n  def __del__(s): print('del')\na = A()\na.a = a",
    "del in a function's names": "class A:\n  def __del__(s): print('del', f())\na = A()\ndef f(): return 1",
    "del without a look": "class A:\n  __slots__ = ()\n  def __del__(s): print('del')\na = A()",
    "weak reference": "import weakref\nclass A: pass\na = A()\nr = weakref.ref(a, lambda r: print('gone'))",
    "frozen": "import gc\nclass A:\n  def __del__(s): print('del')\na = A()\na.a = a\ngc.freeze()",
    "task never waited for": "import asyncio\nasync def m(): asyncio.ensure_future(asyncio.sleep(9))\n"
                             "asyncio.run(m())",
    "future never asked": "import asyncio\nasync def m():\n  global f\n  f = asyncio.get_running_loop().create_future()\n"
                          "  f.set_exception(ValueError('lost'))\nasyncio.run(m())",
    "coroutine never awaited": "async def m(): pass\nx = m()",
    "much memory": "x = [[] for i in range(1000000)]\nclass A:\n  def __del__(s): print('del')\na = A()",
    "generator": "def g():\n  try: yield\n  finally: print('finally')\nx = g(); next(x)",
    "kept by a handler": "import signal\nout = open(1, 'w', closefd=False)\ndef f(*a): pass\n"
                         "signal.signal(15, f)\nout.write('x')",
    "kept by a patch": "import builtins, sys, io\nout = io.TextIOWrapper(sys.stdout.buffer)\n"
                       "def f(*a): pass\nbuiltins.print = f\nout.write('x')",
    "stdout of its own": "import sys\nclass Out:\n  def __init__(s): s.all = ''\n"
                         "  def write(s, t): s.all += t\n  def flush(s): pass\n"
                         "  def __del__(s): sys.__stdout__.write(s.all)\nsys.stdout = Out()\n"
                         "print('x')",
    "note overwritten": "import os; os.dup2(1, 65); exit(3)",
    "last exception": "import atexit, sys\natexit.register(lambda: print(sys.last_type))\n1/0",
    "C streams": "import ctypes; ctypes.CDLL(None).puts(b'hello'); print('py')",
    # what is written before what (a FILE's streams are flushed after its last line, CODE's are not)
    "atexit that ends": "import atexit, os; atexit.register(os._exit, 4); print('x')",
    "atexit that is killed": "import atexit, os; atexit.register(os.kill, os.getpid(), 15); print('x')",
    "atexit writes": "import atexit, os; atexit.register(os.write, 1, b'b'); print('a')",
    "finalizer writes": "import os, weakref\nclass A: pass\na = A()\nweakref.finalize(a, os.write, 1, b'b')\n"
                        "print('a')",
    "hook ends": "import os, sys\nsys.excepthook = lambda *a: os._exit(5)\nprint('a')\n1/0",
    "hook writes": "import os, sys\nsys.excepthook = lambda *a: os.write(1, b'b')\nprint('a')\n1/0",
    "thread ends": "import os, threading, time\nthreading.Thread(target=lambda: (time.sleep(.2), "
                   "os._exit(3))).start()\nprint('a')",
    "late exit": "import atexit, os; atexit.register(os.write, 1, b'b'); print('a'); exit(3)",
    "own stdout's flush": "import os, sys\nclass Out:\n  def write(s, t): os.write(1, t.encode())\n"
                          "  def flush(s): os.write(1, b'F')\nsys.stdout = Out()\nprint('x')",
    "no streams at the end": "import sys\nprint('a')\ndel sys.stdout, sys.stderr",
    "logging": "import logging\nlogging.basicConfig(filename='/dev/stdout', force=True)\n"
               "logging.warning('a')",
}
FILES = {
    "coding cp1252": b"# -*- coding: cp1252 -*-\nprint(ascii('caf\xe9'))\n",
    "coding shift_jis": b"# coding: shift_jis\nprint(ascii('\x82\xa0'))\n",
    "coding utf-8-sig": b"\xef\xbb\xbfprint('a')\n",
    "byte in a comment": b"print(1)  # \xff\n",
    "coding nonsense": b"# coding: nonsense\nprint(1)\n",
    "names": b"import os, sys\nprint(__file__, __cached__, type(__loader__), sys.argv, sys.path[0])\n"
             b"os.chdir('/')\nprint(os.path.exists(__file__))\n1/0\n",
    "syntax error in a file": b"def f(:\n",
}
WORDS = {
    "standard input": [], "dash": ["-"], "module": ["-m", "this"], "option": ["-u", "-c", "print(1)"],
    "version": ["-V"], "missing": ["/work/nope.py"], "directory": ["/app/dir"],
    "link": ["/app/link.py"], "relative": ["names.py", "a"],
    "option like a file": ["-q", "names.py"], "input as a file": ["/dev/stdin"], "own modules": ["own/main.py"],
}


def run(tier, words, *options):
    done = subprocess.run([SANDBOX, "run", "--root", "/", "--tier", tier, "--env", "LANG=C.UTF-8",
                           "--env", "A=a", *options, "--", "python3", *words],
                          input=b"print('hello')\nb\n", capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def same_everywhere(words, *options):
    cold = run("cold", words, *options)
    assert run("parked", words, *options) == cold
    assert run("zygote", words, *options) == cold
    return cold


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    app = tmp_path_factory.mktemp("app")
    for directory in app, *list(app.parents)[:2]:
        directory.chmod(0o755)
    for name, text in FILES.items():
        (app / f"{name.replace(' ', '-')}.py").write_bytes(text)
    for name, text in CODE.items():
        (app / f"code-{name.replace(' ', '-')}.py").write_text(text)
    for directory, name, text in (("dir", "__main__", "print(__file__)"), ("own", "traceback", "x = 1"),
                                  ("own", "helper", "f = open('/dev/stdout', 'w')"),
                                  ("own", "main", "import helper\nhelper.f.write('x')\n1/0")):
        (app / directory).mkdir(exist_ok=True)
        (app / directory / f"{name}.py").write_text(text)
    (app / "link.py").symlink_to("own/main.py")
    (app / "no.pyc").write_text("print(1)")
    (app / "-q").write_text("print('a file')")
    return app


@pytest.mark.parametrize("name", CODE)
def test_code(name):
    same_everywhere(["-c", CODE[name], "x", ""], "--env", "TZ=America/New_York")


@pytest.mark.parametrize("name", CODE)
def test_code_in_a_file(name, app):
    same_everywhere([f"/app/code-{name.replace(' ', '-')}.py", "x", ""], "--app", app)


@pytest.mark.parametrize("name", FILES)
def test_files(name, app):
    same_everywhere([f"/app/{name.replace(' ', '-')}.py", "x"], "--app", app)


@pytest.mark.parametrize("name", WORDS)
def test_other_uses(name, app):
    same_everywhere(WORDS[name], "--app", app, "--cwd", "/app")


@pytest.mark.parametrize("setting", ["PYTHONHASHSEED=0", "PYTHONPATH=/app/own", "PYTHONUNBUFFERED=1"])
def test_settings(setting):
    same_everywhere(["-c", "import sys; print(hash('a') % 7 if sys.flags.hash_randomization == 0 else 0,"
                     " '/app/own' in sys.path, sys.stdout.line_buffering)"], "--env", setting)


@pytest.mark.parametrize("setting", ["A=b", "LANG=C", "LANG=en_US.UTF-8", "LANG=", "LC_CTYPE=en_US.UTF-8",
                                     "LC_ALL=C", "LC_ALL=de_DE", "HOME=/app"])
def test_the_start(setting):
    code = ("import os, locale, site, sys; print(os.environ, locale.getlocale(), site.USER_BASE, "
            "sys.stdout.encoding, sys.getfilesystemencoding())")
    same_everywhere(["-c", code], "--env", "HOME=/work", "--env", setting)


@pytest.mark.parametrize("path", [(), ("--env", "PATH=/usr/bin:/bin")])
def test_executable(path):
    same_everywhere(["-c", "import sys; print(sys.executable)"], *path)


@pytest.mark.parametrize("parked", ["python3", "/usr/bin/python3"])
def test_other_names(parked, tmp_path):
    """A pool's interpreter may be asked for by another name than it was parked with."""
    code = "import sys; print(sys.executable, sys._base_executable)"
    listen = tmp_path / "pool"
    pool = subprocess.Popen([SANDBOX, "pool", "--root", "/", "--listen", listen, "--tier", "parked", parked],
                            stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if not listen.exists():
                time.sleep(.05)
        for name in ("python3", "/usr/bin/python3", "/bin/python3"):
            for env in ("A=a", "PATH=/bin", "PATH=/nope", "PATH=/usr/bin:/bin"):
                answers = [subprocess.run([SANDBOX, "run", *where, "--env", env, "--", name, "-c", code],
                                          capture_output=True, timeout=60)
                           for where in (("--root", "/"), ("--pool", listen))]
                assert answers[0].stdout == answers[1].stdout, (name, env, answers)
    finally:
        pool.terminate()
        pool.wait(20)


def test_a_directory_of_its_own():
    assert same_everywhere(["-c", "import os; print(os.getcwd()[:6])"], "--cwd", "/proc/self")[0] == 0


def test_a_directory_that_is_not_there():
    code, _, err = same_everywhere(["-c", "print(1)"], "--cwd", "/nope")
    assert code == 125 and b"working directory /nope: No such file" in err
