"""What the end-to-end tests stand on: a registry, a process per test, volumes with their mounts, and cleaning up by id."""
import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
IS_ROOT = os.geteuid() == 0
TESTS = []
MIB = 1 << 20


class Settings:
    efs = plain = full = keep = None


def configure(**settings):
    for name, value in settings.items():
        setattr(Settings, name, value)


class Failed(Exception):
    """A test's expectation does not hold."""


class Skipped(Exception):
    """A test cannot run here; says why."""


class Test:
    def __init__(self, function, full, seconds, root, needs, engine):
        self.function, self.full, self.seconds, self.root, self.needs, self.engine = function, full, seconds, root, needs, engine
        self.name = function.__module__.removeprefix("test_") + "." + function.__name__


def test(full=False, seconds=300, root=False, needs=(), engine=False):
    """Registers a test: whether only --full runs it, its time limit, whether it needs root, the programs it needs, and
    whether it is about efs itself (and so makes no sense with --plain)."""
    def register(function):
        TESTS.append(Test(function, full, seconds, root, needs, engine))
        return function
    return register


def expect(condition, message="the expectation does not hold"):
    if not condition:
        raise Failed(message)


def expect_equal(actual, expected, what=""):
    expect(actual == expected, f"{what}: {repr(actual)[:600]} is not {repr(expected)[:600]}")


def note(text):
    """A figure or a seed, shown under the test's line."""
    with open(os.path.join(Context.directory, "notes"), "a") as file:
        file.write(text + "\n")


class Result:
    def __init__(self, completed):
        self.status = completed.returncode
        self.out = completed.stdout.decode("utf-8", "replace")
        self.err = completed.stderr.decode("utf-8", "replace")


def run(*command, cwd=None, ok=True, timeout=600, input=None, env=None, **options):
    """Runs a program to its end. With `ok`, a status other than 0 fails the test."""
    environment = dict(os.environ, **(env or {}))
    command = [str(word) if not isinstance(word, bytes) else word for word in command]
    completed = subprocess.run(command, cwd=cwd, capture_output=True, timeout=timeout, env=environment,
                               stdin=subprocess.DEVNULL if input is None else None, input=input, **options)
    result = Result(completed)
    if ok and result.status != 0:
        words = " ".join(str(word) for word in command)
        raise Failed(f"'{words[:300]}' ended with {result.status}: {(result.err + result.out)[-1500:].strip()}")
    return result


def shell(script, **options):
    return run("bash", "-eu", "-o", "pipefail", "-c", script, **options)


def efs(*arguments, **options):
    return run(Settings.efs, *arguments, **options)


def wait_until(condition, seconds, what):
    """Polls: for what another process does and tells nobody."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"after {seconds} s: {what}")
        time.sleep(0.05)


def in_processes(count, body):
    """Runs `body(number)` in so many processes at once; fails if one of them fails."""
    children = []
    for number in range(count):
        process = os.fork()
        if process == 0:
            try:
                body(number)
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(process)
    for process in children:
        expect_equal(os.waitpid(process, 0)[1], 0, "a writer's status")


class Context:
    """The running test's own directory."""
    directory = None


def scratch(name):
    path = os.path.join(Context.directory, name)
    os.makedirs(path, exist_ok=True)
    return path


def servers_of(text):
    """The ids of the efs processes whose command line holds `text`."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            if len(words) > 2 and words[1:2] == [b"mount"] and os.path.basename(words[0]) == b"efs" and any(text.encode() in word for word in words):
                found.append(int(entry))
    return found


def mounts_below(directory):
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = [line.split(" ")[4] for line in file]
    points = [point.encode("utf-8", "surrogateescape").decode("unicode_escape") if "\\" in point else point for point in points]
    return [point for point in reversed(points) if point == directory or point.startswith(directory + "/")]


class Volume:
    """A volume with a mount point. As a context: created and mounted, and unmounted in the end."""

    def __init__(self, name="volume", data=None, options=(), password="correct horse"):
        self.base = scratch(name)
        self.data = data or os.path.join(self.base, "data")
        self.path = os.path.join(self.base, "mnt")
        self.options = list(options)
        self.password_file = os.path.join(self.base, "password")
        with open(self.password_file, "w") as file:
            file.write(password + "\n")
        os.chmod(self.password_file, 0o600)  # or every command warns
        os.makedirs(self.path, exist_ok=True)
        os.chmod(self.base, 0o755)

    def create(self, *arguments):
        if not Settings.plain:
            efs("init", self.data, "--password-file", self.password_file, *arguments)
        return self

    def mount(self, *arguments, **options):
        if Settings.plain:
            return None
        return efs("mount", self.data, self.path, "--password-file", self.password_file, *self.options, *arguments, **options)

    def umount(self):
        if not Settings.plain:
            efs("umount", self.path)
            expect(not self.is_mounted(), "still mounted after umount")

    def remount(self):
        self.umount()
        self.mount()

    def sync(self):
        if not Settings.plain:
            efs("sync", self.path)

    def check(self, *arguments):
        if not Settings.plain:
            efs("check", self.data, "--password-file", self.password_file, *arguments)

    def is_mounted(self):
        return self.path in mounts_below(self.path)

    def server(self):
        found = servers_of(self.data)
        expect(len(found) == 1, f"{len(found)} servers for {self.data}")
        return found[0]

    def kill(self):
        """kill -9, and waits until the process is gone."""
        process = self.server()
        descriptor = os.pidfd_open(process)
        os.kill(process, signal.SIGKILL)
        import select
        expect(select.select([descriptor], [], [], 30)[0], "the server did not die")
        os.close(descriptor)

    def file(self, *names):
        return os.path.join(self.path, *names)

    def __enter__(self):
        self.create()
        self.mount()
        return self

    def __exit__(self, kind, *_):
        if kind is None and not Settings.plain and self.is_mounted():
            self.umount()


def data_size(directory):
    total = 0
    for root, _, files in os.walk(directory):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
    return total


def drop_caches():
    if IS_ROOT:
        with contextlib.suppress(OSError), open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3")


def compare_trees(a, b):
    run("diff", "-r", "--no-dereference", a, b)
    wanted, found = attributes_of(a), attributes_of(b)
    different = [(name, found.get(name), wanted.get(name)) for name in sorted(wanted.keys() | found.keys()) if found.get(name) != wanted.get(name)]
    expect(not different, f"{len(different)} of {len(wanted)} files differ, such as {different[:3]}")


def attributes_of(top):
    """Type, mode, owner, size, times and link targets of everything below `top`."""
    found = {}
    top = os.fsencode(top)
    for root, directories, files in os.walk(top):
        for name in directories + files:
            path = os.path.join(root, name)
            state = os.lstat(path)
            is_directory = os.path.isdir(path) and not os.path.islink(path)
            found[os.path.relpath(path, top)] = (
                state.st_mode, state.st_uid, state.st_gid, 0 if is_directory else state.st_size, state.st_mtime_ns,
                1 if is_directory else state.st_nlink, os.readlink(path) if os.path.islink(path) else None)
    return found


# Loop devices and other mounts of the tests, for root.

@contextlib.contextmanager
def small_disk(size_mib, kind="ext4", mount_options="", make_options=()):
    """A small file system of its own, from an image file. Yields its mount point."""
    image = os.path.join(Context.directory, f"disk-{len(os.listdir(Context.directory))}.img")
    point = scratch(os.path.basename(image) + ".mnt")
    with open(image, "wb") as file:
        file.truncate(size_mib * MIB)
    if kind == "tmpfs":
        run("mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", point)
    else:
        run(f"mkfs.{kind}", "-q", "-F" if kind == "ext4" else "-f", *make_options, image)
        mounted = run("mount", "-o", "loop" + ("," + mount_options if mount_options else ""), image, point, ok=False)
        if mounted.status != 0:
            raise Skipped(f"cannot mount a loop device: {mounted.err.strip()}")
    try:
        yield point
    finally:
        if run("umount", point, ok=False).status != 0:
            run("umount", "-l", point, ok=False)


# As an ordinary user.

@contextlib.contextmanager
def ordinary_user():
    """Makes a user, who may open /dev/fuse meanwhile, and gives the words that run a program as that user."""
    name = "efs-end-to-end"
    run("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name, ok=False)  # left by a run that was killed
    mode = os.stat("/dev/fuse").st_mode & 0o7777
    os.chmod("/dev/fuse", mode | 0o666)
    try:
        account = pwd.getpwnam(name)
        yield ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--"]
    finally:
        os.chmod("/dev/fuse", mode)
        run("userdel", name, ok=False)


def run_as_user(arguments):
    """Runs the tests as an ordinary user, who mounts through fusermount3. What they need is copied: that user may not read this tree."""
    if not IS_ROOT:
        print("run: error: --as-user makes a user, which needs root\nrun: hint: leave it out: you are an ordinary user", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="efs-e2e-user.", dir="/var/tmp") as copy, ordinary_user() as as_user:
        os.chmod(copy, 0o755)
        for name in ("Tests/EndToEnd", "scripts", "docs", "man", "packaging"):
            shutil.copytree(os.path.join(ROOT, name), os.path.join(copy, name), ignore=shutil.ignore_patterns("__pycache__"))
        binary = os.path.join(copy, ".build/release/efs")
        os.makedirs(os.path.dirname(binary))
        shutil.copy(Settings.efs, binary)
        for name in ("efs-server", "efsc", "efsctl"):
            if os.path.exists(os.path.join(os.path.dirname(Settings.efs), name)):
                shutil.copy(os.path.join(os.path.dirname(Settings.efs), name), os.path.dirname(binary))
        run("chmod", "-R", "a+rX", copy)
        program = os.path.join(copy, "Tests/EndToEnd/run")
        return subprocess.run([*as_user, sys.executable, program, *arguments], cwd="/", check=False).returncode


# The runner.

def clean(directory):
    """Ends what the test left: its servers by their ids, its mounts by their paths. Says whether there was any."""
    left = servers_of(directory)
    for process in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    points = mounts_below(directory)
    for point in points:
        if IS_ROOT:
            run("umount", "-l", point, ok=False)
        else:
            run("fusermount3", "-uz", point, ok=False)
    return bool(left or points)


def in_child(one, directory):
    """Runs in the test's own process."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: the runner's end is ours
    os.setsid()
    os.environ.update(XDG_STATE_HOME=os.path.join(directory, "state"), HOME=os.path.join(directory, "home"), LC_ALL="C.UTF-8",
                      GIT_CONFIG_NOSYSTEM="1")
    os.environ.pop("EFS_PASSWORD", None)
    os.makedirs(os.environ["HOME"])
    try:
        one.function()
        return 0, ""
    except Skipped as skipped:
        return 2, str(skipped)
    except Failed as failed:
        place = traceback.extract_tb(failed.__traceback__)
        lines = [frame.lineno for frame in place if frame.filename.endswith(one.function.__module__ + ".py")]
        return 1, f"{failed} ({one.function.__module__}.py:{lines[-1] if lines else '?'})"
    except BaseException:
        return 1, traceback.format_exc()


def run_one(one):
    """Status (0 passed, 1 failed, 2 skipped), message, notes."""
    if one.engine and Settings.plain:
        return 2, "about efs itself", ""
    if one.root and not IS_ROOT:
        return 2, "needs root", ""
    for program in one.needs:
        if not shutil.which(program):
            return 1, f"'{program}' is missing; scripts/setup --tests installs it", ""
    directory = tempfile.mkdtemp(prefix="efs-e2e.", dir=os.environ.get("EFS_TEST_DIR", "/var/tmp"))
    os.chmod(directory, 0o755)
    Context.directory = directory
    message_file = os.path.join(directory, "message")
    process = os.fork()
    if process == 0:
        status, message = in_child(one, directory)
        with open(message_file, "w") as file:
            file.write(message)
        os._exit(status)
    try:
        status, message = wait_for(process, one.seconds, message_file)
    except BaseException:  # the runner is told to end
        end(process)
        clean(directory)
        run("rm", "-rf", "--one-file-system", directory, ok=False)
        raise
    left = clean(directory)
    if left and status == 0:
        status, message = 1, "it left a mount or a server behind"
    notes = ""
    with contextlib.suppress(OSError), open(os.path.join(directory, "notes")) as file:
        notes = file.read()
    if status == 1 and Settings.keep:
        message += f"\n    kept: {directory}"
    else:
        run("rm", "-rf", "--one-file-system", directory, ok=False)
    return status, message, notes


def end(process):
    """Lets a test put away what it made, and ends it if that takes long."""
    descriptor = os.pidfd_open(process)
    os.kill(process, signal.SIGTERM)
    import select
    if not select.select([descriptor], [], [], 60)[0]:
        clean(Context.directory)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
    os.close(descriptor)
    os.waitpid(process, 0)


def wait_for(process, seconds, message_file):
    descriptor = os.pidfd_open(process)
    import select
    ended = select.select([descriptor], [], [], seconds)[0]
    os.close(descriptor)
    if not ended:
        clean(Context.directory)  # first, since a process that waits for a dead mount cannot be killed
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process, signal.SIGKILL)
    _, code = os.waitpid(process, 0)
    if not ended:
        return 1, f"not done after {seconds} s"
    message = ""
    with contextlib.suppress(OSError), open(message_file) as file:
        message = file.read()
    if os.WIFSIGNALED(code):
        return 1, f"the test was ended by signal {os.WTERMSIG(code)}"
    return os.WEXITSTATUS(code), message


def run_all(selected):
    if not Settings.plain and not os.access(Settings.efs, os.X_OK):
        print(f"run: error: {Settings.efs} is missing\nrun: hint: make build", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    counts = [0, 0, 0]
    failed = []
    start = time.monotonic()
    try:
        for one in selected:
            began = time.monotonic()
            status, message, notes = run_one(one)
            counts[status] += 1
            if status == 1:
                failed.append(one.name)
            word = ("ok  ", "FAIL", "skip")[status]
            print(f"{word} {time.monotonic() - began:7.1f} s  {one.name}" + (f": {message.strip()}" if message else ""), flush=True)
            for line in notes.splitlines():
                print(f"                 {line}", flush=True)
    finally:
        if Context.directory:
            clean(Context.directory)
    print(f"end-to-end: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped in {time.monotonic() - start:.0f} s")
    for name in failed:
        print(f"  failed: {name}")
    return 1 if counts[1] else 0
