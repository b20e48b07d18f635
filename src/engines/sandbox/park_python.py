# Runs inside a sandbox built ahead, before anybody's code or data is there: warms the interpreter
# up, says so, waits for its one job, becomes it. Never used twice. See sandbox_prepare().
import sys
import os
import _imp
import _warnings


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
            run(take_job(b"/\x003\0python3\0-c\0" + source.encode() + b"\0PATH=/bin\0"))
            sys.stdout.flush()
    sys.stdout = stdout
    with open("/dev/null", "rb") as null:
        null.read()


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
    strings = [os.fsdecode(s) for s in job.split(b"\0")[:-1]]
    end = 2 + int(strings[1])
    argv, env = strings[2:end], strings[end:]
    os.environ.clear()
    for entry in env:
        name, _, value = entry.partition("=")
        os.environ[name] = value
    os.chdir(strings[0])
    return argv


def code_of(source, path):
    """compile(source, path, "exec"), but that makes a hundred classes for syntax trees first, a tenth
    of what all this costs. exec() does not, and a trace function stops it before its first line.
    What has errors or warnings is left to compile(), which words them."""
    found = []

    def take(frame, event, argument):
        found.append(frame.f_code)
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
    if argv[1] == "-c":
        sys.argv, sys.path[0] = ["-c"] + argv[3:], ""
        return code_of(argv[2], "<string>"), None
    path = argv[1]
    sys.argv, sys.path[0] = argv[1:], os.path.dirname(os.path.abspath(path))
    with open(path, "rb") as file:
        return code_of(file.read(), path), path


def exit_code(error):
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xff
    print(error.code, file=sys.stderr)
    return 1


def report(error):
    import traceback
    frames = error.__traceback__
    while frames and frames.tb_frame.f_globals.get("__name__") == "__cupel_park__":
        frames = frames.tb_next  # ours are not part of the story
    error = error.with_traceback(frames)
    hook = sys.excepthook
    if hook is not sys.__excepthook__:
        hook(type(error), error, frames)
    else:
        traceback.print_exception(type(error), error, frames)
    return 1


def run(argv):
    status = 0
    try:
        code, path = load(argv)
        main = type(sys)("__main__")
        if path:
            main.__file__ = path
        main.__builtins__ = __builtins__
        sys.modules["__main__"] = main
        exec(code, main.__dict__)
    except SystemExit as error:
        status = exit_code(error)
    except BaseException as error:
        status = report(error)
    return status


def finish(status):
    """What the interpreter does at its end that a program can see; not the freeing of memory."""
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        import atexit
        atexit._run_exitfuncs()
    except SystemExit as error:
        status = exit_code(error)
    except BaseException as error:
        status = report(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            status = status or 120
    try:
        os.write(65, bytes([status]))
    except OSError:
        pass
    os._exit(status)


def zygote():
    """Fork a child for each message with its descriptors. Only children return, with their job
    to read; the parent closes what it was given, and has read nothing else."""
    import gc
    import _signal
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
        os.dup2(fd, number)
    for fd in fds:
        os.close(fd)


__name__ = "__cupel_park__"
warm_up()
if os.fstat(64).st_mode & 0o170000 == 0o140000:  # a socket: many jobs; a pipe: one
    zygote()
else:
    os.write(65, b"R")
finish(run(read_job()))
