"""A Debian to install packages into: unpacked, entered, booted."""
import ctypes
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time

from harness import ROOT, Failed, mounts_below, run, scratch, wait_until

RELEASE = "bookworm"
CACHE = os.path.join(ROOT, ".build/shipping")
BASE = os.path.join(CACHE, f"{RELEASE}.tar")
PACKAGES = os.path.join(ROOT, ".build/packages")
# After that it is made anew, so that it does not lack too many updates.
KEPT_SECONDS = 14 * 86400


def prepare():
    """Makes the packages, and the Debian that tests begin with."""
    run(os.path.join(ROOT, "scripts/package"), env={"EFS_PACKAGE_LEVEL": "1"}, timeout=1800)
    if os.path.exists(BASE) and time.time() - os.path.getmtime(BASE) < KEPT_SECONDS:
        return
    os.makedirs(CACHE, exist_ok=True)
    work = tempfile.mkdtemp(dir=CACHE)
    try:
        mirror = [os.environ["EFS_DEBIAN_MIRROR"]] if "EFS_DEBIAN_MIRROR" in os.environ else []
        run("debootstrap", "--variant=minbase", RELEASE, os.path.join(work, "root"), *mirror, timeout=1800)
        run("tar", "-C", os.path.join(work, "root"), "-cf", os.path.join(work, "tar"), ".")
        os.rename(os.path.join(work, "tar"), BASE)
    finally:
        for point in mounts_below(work):
            run("umount", "-l", point, ok=False)
        run("rm", "-rf", "--one-file-system", work, ok=False)


def package(name):
    found = glob.glob(f"{PACKAGES}/{name}_*.deb")
    if len(found) != 1:
        raise Failed(f"{len(found)} packages {name} in {PACKAGES}")
    return found[0]


class Debian:
    """A directory with a Debian, and ways to run programs there."""

    # A process and mount namespace of its own, which take with them whatever is left in it.
    ENTER = """
        mount -t proc proc "$0/proc"
        mount --rbind /dev "$0/dev"
        [ "$1" = network ] || ip link set lo up
        shift
        exec chroot "$0" "$@"
    """

    def __init__(self, name="debian"):
        self.root = os.path.join(scratch(name), "root")
        os.makedirs(self.root)
        run("tar", "-C", self.root, "-xf", BASE)
        self.write("/etc/hosts", "127.0.0.1 localhost\n")
        shutil.copy("/etc/resolv.conf", os.path.join(self.root, "etc/resolv.conf"))

    def path(self, path):
        return self.root + path

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w") as file:
            file.write(text)
        os.chmod(self.path(path), mode)

    def read(self, path):
        with open(self.path(path)) as file:
            return file.read()

    def run(self, *command, network=False, **options):
        """In a network of its own with nothing but loopback, or in that of the machine."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "XDG_STATE_HOME": "/root/state", "DEBIAN_FRONTEND": "noninteractive"}
        return run("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", *([] if network else ["--net"]),
                   "sh", "-eu", "-c", self.ENTER, self.root, "network" if network else "alone", *command, env=environment, **options)

    def shell(self, script, **options):
        return self.run("bash", "-eu", "-o", "pipefail", "-c", script, **options)

    def install(self, *names, ours=()):
        """Debian's packages, and ours of `make deb` with what they depend on."""
        os.makedirs(self.path("/packages"), exist_ok=True)
        for name in ours:
            shutil.copy(package(name), self.path("/packages"))
        paths = [f"/packages/{os.path.basename(package(name))}" for name in ours]
        self.run("apt-get", "-qq", "update", network=True)
        self.run("apt-get", "-y", "--no-install-recommends", "install", *names, *paths, network=True)


class BootedDebian:
    """The same, with its own systemd as process 1. As a context: booted, and powered off in the end."""

    def __init__(self, debian):
        self.debian = debian
        self.process = self.leader = None

    def __enter__(self):
        log = open(os.path.join(os.path.dirname(self.debian.root), "console"), "ab")
        # Its end is that of the test, whichever comes first.
        ends_with_us = lambda: ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # noqa: E731
        self.process = subprocess.Popen(
            ["systemd-nspawn", f"--directory={self.debian.root}", "--boot", "--register=no", "--keep-unit", "--console=pipe",
             "--private-network", "--bind=/dev/fuse", "--resolv-conf=off", "--timezone=off", f"--machine=efs-{os.getpid()}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=ends_with_us)
        try:
            wait_until(self.is_up, 120, "the machine's start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise Failed(f"systemd-nspawn ended with {self.process.returncode}")
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            children = file.read().split()
        if not children:
            return False
        self.leader = children[0]
        return self.run("systemctl", "is-system-running", ok=False).out.strip() in ("running", "degraded")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()  # an orderly power-off
            try:
                self.process.wait(90)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def run(self, *command, **options):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "XDG_STATE_HOME": "/root/state"}
        return run("nsenter", "--target", self.leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--", *command, env=environment, **options)

    def shell(self, script, **options):
        return self.run("bash", "-eu", "-o", "pipefail", "-c", script, **options)
