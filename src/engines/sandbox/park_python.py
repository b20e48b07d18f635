# Runs inside a sandbox built ahead, before anybody's code or data is there: warms the interpreter
# up, says so, waits for its one job, becomes it. Never used twice. See sandbox_prepare().
#
# The job must not be able to tell. What is usual (FILE or -c CODE, an end with nothing left to
# write) is done here, and fast; all else is left to the interpreter itself, at the start by exec(),
# at the end by returning to it.
import sys
import os
import gc
import _imp
import _io
import _signal
import _warnings
import _weakref
from builtins import *  # ours, whatever a job does to its own

INTERRUPTED = "interrupted"  # instead of an exit code
PAGES_TO_LOOK_THROUGH = 16384
SETTINGS = ("PYTHON", "LANG=", "LC_", "HOME=", "LD_", "MALLOC_", "GLIBC_")  # looked at at the start
IS_COLLECTED = 1 << 14  # Py_TPFLAGS_HAVE_GC
FILES = {_io.FileIO, _io.BufferedReader, _io.BufferedWriter, _io.BufferedRandom, _io.TextIOWrapper}


def warm_up():
    """Compile, run, fail and print, through the very functions a job takes. Imports nothing: a
    module costs as much here as in the job that wants it, and most jobs want another."""
    source = ("class A(dict):\n    def f(self, *a, **k):\n        return {x: str(x) for x in a}\n"
              "def g(n):\n    for i in range(n):\n        yield i\n"
              "try:\n    int('x')\nexcept ValueError as error:\n    text = str(error)\n"
              "t = '%s %d' % ('a', 1) + f'{text!r}'\n"
              "sorted(g(3), key=lambda x: -x)\nA().f(1, b=2)\nprint(t, 1)\n")
    stdout = sys.stdout
    with open("/dev/null", "w", encoding=stdout.encoding) as sys.stdout:
        for _ in range(2):
            run(*load(take_job(b"/\x003\0python3\0-c\0" + source.encode() + b"\0PATH=/bin\0")[0]))
            flush()
            has_open_files()
    sys.stdout = stdout
    with open("/dev/null", "rb") as null:
        null.read()
    import atexit
    gc.freeze()  # no look at our own things when those of the job are collected


def read_job():
    parts = []
    while True:
        part = os.read(64, 65536)
        if not part:
            break
        parts.append(part)
    os.close(64)
    return take_job(b"".join(parts))


def take_job(job):
    """The arguments, and what the environment tells the interpreter."""
    strings = [os.fsdecode(s) for s in job.split(b"\0")[:-1]]
    end = 2 + int(strings[1])
    argv, env = strings[2:end], strings[end:]
    os.environ.clear()
    for entry in env:
        name, _, value = entry.partition("=")
        os.environ.setdefault(name, value)
    if "TZ" in os.environ:
        import time
        time.tzset()
    os.chdir(strings[0])
    return argv, settings_of(env)


def settings_of(env):
    return {entry for entry in env if entry.startswith(SETTINGS)}


def code_of(source, path):
    """compile(source, path, "exec"), but that makes a hundred classes for syntax trees first, a tenth
    of what all this costs. exec() does not, and a trace function stops it before its first line.
    What has warnings is left to compile(), which words them; what has errors it raises, and begin()
    leaves that to the interpreter."""
    found = []

    def take(frame, event, argument):
        code = frame.f_code
        if (code.co_filename, code.co_name) == ("<string>", "<module>"):  # else a codec's
            found.append(code)
            raise InterruptedError

    filters = _warnings.filters[:]
    _warnings.filters.insert(0, ("error", None, Warning, None, 0))
    _warnings._filters_mutated()
    sys.settrace(take)
    try:
        exec(source, {})
    except BaseException:
        pass
    sys.settrace(None)
    _warnings.filters[:] = filters
    _warnings._filters_mutated()
    if not found:
        return compile(source, path, "exec")
    _imp._fix_co_filename(found[0], path)
    return found[0]


def load(argv):
    """python FILE ARG... or python -c CODE ARG...: the code object, and sys as python sets it."""
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = argv
    if argv[1] == "-c":
        sys.argv, sys.path[0] = ["-c"] + argv[3:], ""
        return code_of(argv[2], "<string>"), None
    path = argv[1]
    if path.startswith("-") or path.endswith(".pyc") or \
            os.stat(path).st_mode & 0o170000 != 0o100000:
        raise ValueError  # options; what is not read as text; what can be read only once
    sys.argv, sys.path[0] = argv[1:], os.path.dirname(os.path.realpath(path))
    if sys.version_info >= (3, 9) and not path.startswith("/"):
        path = os.getcwd() + "/" + path
    with open(path, "rb") as file:
        source = file.read()
    source.decode()  # also in comments; what declares another encoding is the interpreter's
    return code_of(source, path), path


def trimmed(error):
    """Without our frames: they are not part of the story."""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_globals.get("__name__") == "__cupel_park__":
        frames = frames.tb_next
    return error.with_traceback(frames)


def report(error):
    """As the interpreter does of what nobody caught."""
    error = trimmed(error)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit as second:
        return second
    except BaseException as second:
        second.__context__ = None
        print("Error in sys.excepthook:", file=sys.stderr)
        sys.__excepthook__(type(second), second, trimmed(second).__traceback__)
        print("\nOriginal exception was:", file=sys.stderr)
        sys.__excepthook__(type(error), error, error.__traceback__)
    return INTERRUPTED if type(error) is KeyboardInterrupt else 1


def new_main(path):
    main = type(sys)("__main__")
    importer = sys.modules["_frozen_importlib"].BuiltinImporter
    if path:
        importer = sys.modules["_frozen_importlib_external"].SourceFileLoader("__main__", path)
        main.__file__, main.__cached__ = path, None
    main.__loader__, main.__annotations__, main.__builtins__ = importer, {}, __builtins__
    sys.modules["__main__"] = main
    return main.__dict__


def flush_file_streams():
    """As the interpreter does after the last line of a FILE, not of CODE; whatever they say."""
    for name in ("stderr", "stdout"):
        try:
            getattr(sys, name).flush()
        except BaseException:
            pass


def run(code, path):
    """Gives the exit code, None after the last line; or SystemExit, where that says something else; or
    INTERRUPTED."""
    try:
        try:
            exec(code, new_main(path))
        finally:
            if path:
                flush_file_streams()
    except SystemExit as error:
        try:
            code = error.code
        except BaseException:
            return error
        return 0 if code is None else int.__int__(code) if issubclass(type(code), int) else error
    except BaseException as error:
        return report(error)
    return None


def flush():
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None and not stream.closed:
            stream.flush()


def has_open_files():
    names = os.listdir("/proc/self/fd")  # itself is the fifth
    return len(names) != 5 or not {"0", "1", "2", "65"} < set(names)


def has_code_of_c():
    """Which may hold back what it writes in buffers of its own."""
    for name, module in list(sys.modules.items()) if len(sys.modules) != module_count else ():
        file = module.__dict__.get("__file__") if type(module) is type(sys) else None
        if name in ("_ctypes", "_curses", "readline") or \
                (str(file).endswith(".so") and "/lib-dynload/" not in file):
            return True
    return False


class Mark:
    """One of it is made after all that is frozen."""


def has_last_words():
    """Whether anything that is alive may say or write something when it goes. Nobody is asked, only
    types are looked at; what is frozen is ours."""
    with open("/proc/self/statm", "rb") as file:
        if int(file.read().split()[1]) > PAGES_TO_LOOK_THROUGH:
            return True  # the look itself takes memory
    objects = gc.get_objects()
    kinds = {type(o) for o in objects}
    if Mark not in kinds:
        return True  # the job froze what there was
    for kind in kinds:
        if kind in FILES:
            if not all(o.closed for o in objects if type(o) is kind):
                return True
        elif kind is _weakref.ref:
            if not all(is_of_the_library(o.__callback__) for o in objects if type(o) is kind):
                return True
        elif kind not in (_io.StringIO, _io.BytesIO) and has_finalizer(kind):
            return True
    return any(not o.__flags__ & IS_COLLECTED and has_finalizer(o)  # its instances are not among them
               for o in objects if issubclass(type(o), type))


def is_of_the_library(callback):
    if type(callback) is type(len):
        return type(callback.__self__) is _weakref.ref
    return callback is None or (type(callback) is type(flush) and
                                callback.__code__.co_filename.startswith(sys.prefix + "/lib/"))


def has_finalizer(kind):
    return any("__del__" in base.__dict__ for base in kind.__mro__)


def end_quickly(code):
    """All that the interpreter does at its end and a program can see; not the freeing of memory.
    Returns where something is left to do."""
    if "threading" in sys.modules:
        if sys.modules["threading"].active_count() != 1:
            return  # the wait for them may be interrupted, which is told
        sys.modules["threading"]._shutdown()
    import atexit
    atexit._run_exitfuncs()
    flush()
    if os.getpid() != own_pid or has_last_words() or has_open_files():
        return
    note = os.fstat(65)
    if (note.st_dev, note.st_ino) == own_note:
        os.write(65, bytes([code & 0xff]))
        _signal.sigtimedwait((), 0.1)  # killed meanwhile; what we used is looked up before
        os._exit(code & 0xff)


def finish(status):
    code = 0 if status is None else status
    try:
        # Not in a child that it forked; and a code beyond a long means something else.
        if type(code) is int and abs(code) < 2**63 and os.getpid() == own_pid:
            is_watched = sys.gettrace() or sys.getprofile() or gc.get_debug() or gc.callbacks
            if not is_watched and not has_code_of_c():
                end_quickly(code)
    except BaseException:
        pass
    if status is None:
        return
    if status == INTERRUPTED:
        sys.excepthook = lambda *_: None  # it was reported
        raise KeyboardInterrupt
    raise status if isinstance(status, SystemExit) else SystemExit(status)


def set_executable(name):
    """As the interpreter finds itself when it is started by this name."""
    places = [place + "/" + name for place in os.environ.get("PATH", "").split(":")]
    if name.startswith("/"):
        places = [os.path.normpath(name)]
    elif "/" in name:
        places = [os.getcwd() + "/" + (name[2:] if name.startswith("./") else name)]
    is_base = getattr(sys, "_base_executable", None) == sys.executable
    sys.executable = next((place for place in places if os.access(place, os.X_OK)), "")
    if is_base:
        sys._base_executable = sys.executable


def begin(argv, settings):
    """Only what can be told before the first line of the job has run."""
    try:
        if argv[0] != own_name or not sys.executable:  # another name, or started without this PATH
            set_executable(argv[0])
        if settings == own_settings:
            os.environ.update(coerced)
            return load(argv)
    except BaseException:
        pass
    os.execve("/proc/self/exe", argv, os.environ)


def zygote():
    """Fork a child for each message with its descriptors. Only children return, with their job
    to read; the parent closes what it was given, and has read nothing else."""
    import _socket
    control = _socket.socket(fileno=64)
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.close(null)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    os.write(65, b"R")
    os.close(65)
    while True:
        message = control.recvmsg(1, 256, _socket.MSG_CMSG_CLOEXEC)[1]
        if not message:
            os._exit(0)
        raw = message[0][2]
        fds = [int.from_bytes(raw[i:i + 4], sys.byteorder) for i in range(0, len(raw), 4)]
        if os.fork() == 0:
            break
        for fd in fds:
            os.close(fd)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    control.detach()
    for fd, number in zip(fds, (0, 1, 2, 64, 65)):
        os.dup2(fd, number, number < 3)
    for fd in fds:
        os.close(fd)


__name__ = "__cupel_park__"
# Frames of files named so are passed over where warnings look for who called: also that of -c.
_imp._fix_co_filename((sys._getframe().f_back or sys._getframe()).f_code, "<importlib_bootstrap>")
with open("/proc/self/environ", "rb") as given:  # os.environ is as the start left it
    own_settings = settings_of(os.fsdecode(given.read()).split("\0"))
# It would add the same again.
coerced = {name: value for name, value in os.environ.items() if name == "LC_CTYPE" and
           name + "=" + value not in own_settings}
own_name = sys.orig_argv[0] if hasattr(sys, "orig_argv") else ""
warm_up()
os.set_inheritable(65, False)
module_count = len(sys.modules)
if os.fstat(64).st_mode & 0o170000 == 0o140000:  # a socket: many jobs; a pipe: one
    zygote()
else:
    os.write(65, b"R")
mark = Mark()
own_pid = os.getpid()
own_note = (os.fstat(65).st_dev, os.fstat(65).st_ino)
finish(run(*begin(*read_job())))
