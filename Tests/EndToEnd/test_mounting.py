"""Mounting and unmounting in all ways, options, the mount helper, and who may not mount."""
import os
import pwd
import re
import select
import signal
import stat
import subprocess
import time

from harness import (IS_ROOT, ROOT, Context, Failed, Settings, Skipped, Volume, efs, expect, expect_equal, mounts_below, note, run, scratch,
                     servers_of, test, wait_until)
from test_command_line import on_terminal, refused


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def read(path):
    with open(path) as file:
        return file.read()


def wait_for_end(process, seconds=30):
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return
    ended = select.select([descriptor], [], [], seconds)[0]
    os.close(descriptor)
    expect(ended, f"the server still runs after {seconds} s")


@test(engine=True)
def mount_returns_when_it_serves():
    volume = Volume().create()
    began = time.monotonic()
    result = volume.mount()
    note(f"mounted in {time.monotonic() - began:.2f} s")
    expect_equal((result.out, result.err), ("", ""), "what mount says")
    write(volume.file("a"), "at once")
    server = volume.server()
    with open(f"/proc/{server}/cmdline", "rb") as file:
        expect(b"correct horse" not in file.read(), "the password is an argument")
    if IS_ROOT:
        with open(f"/proc/{server}/environ", "rb") as file:
            expect(b"EFS_PASSWORD" not in file.read(), "the password is in the environment")
        targets = {os.readlink(f"/proc/{server}/fd/{number}") for number in (0, 1, 2)}
        expect_equal(targets, {"/dev/null"}, "standard streams of the server")
    expect_equal(os.getsid(server), server, "session of the server")
    with open("/proc/self/mountinfo") as file:
        line = next(line for line in file if volume.path in line)
    expect(" fuse.efs " in line and volume.data in line, f"the mount table says {line}")
    volume.umount()
    wait_for_end(server, 1)


@test(engine=True)
def every_way_to_end_a_mount():
    volume = Volume().create()
    ways = {
        "efs umount": lambda server: efs("umount", volume.path),
        "efs umount -m": lambda server: efs("umount", "--mount-point", volume.path),
        "SIGTERM": lambda server: os.kill(server, signal.SIGTERM),
        "SIGINT": lambda server: os.kill(server, signal.SIGINT),
        "SIGHUP": lambda server: os.kill(server, signal.SIGHUP),
        "fusermount3 -u": lambda server: run("fusermount3", "-u", volume.path),
    }
    if IS_ROOT:
        ways["umount"] = lambda server: run("umount", volume.path)
    for number, (name, way) in enumerate(ways.items()):
        volume.mount()
        server = volume.server()
        for earlier in range(number):
            expect_equal(read(volume.file(f"file-{earlier}")), f"{earlier}" * 5000, f"content written before {list(ways)[earlier]}")
        write(volume.file(f"file-{number}"), f"{number}" * 5000)
        way(server)
        wait_for_end(server)
        expect(not volume.is_mounted(), f"still mounted after {name}")
        volume.check()


@test(engine=True)
def a_busy_mount_stays():
    with Volume() as volume:
        write(volume.file("open"), "x")
        server = volume.server()
        with open(volume.file("open")) as file:
            refused(16, "in use", "umount", volume.path)
            expect_equal(read(volume.file("open")), "x", "after a refused umount")
            efs("umount", "--lazy", volume.path)
            expect(not volume.is_mounted(), "still there after --lazy")
            expect_equal(file.read(), "x", "an open file after --lazy")
        wait_for_end(server)
        volume.mount()


@test(engine=True)
def foreground():
    volume = Volume().create()
    log = os.path.join(volume.base, "log")
    for number, extra in enumerate((["--log-level", "DEBUG"], ["--log-file", log])):
        with open(os.path.join(volume.base, "stderr"), "wb") as errors:
            process = subprocess.Popen([Settings.efs, "mount", "--foreground", volume.data, volume.path, "--password-file", volume.password_file, *extra],
                                       stdin=subprocess.DEVNULL, stderr=errors)
        wait_until(volume.is_mounted, 30, "not mounted")
        write(volume.file(f"f{number}"), "x")
        process.send_signal(signal.SIGINT)
        expect_equal(process.wait(30), 0, "status after SIGINT")
        expect(not volume.is_mounted(), "still mounted")
    expect("mounted" in read(os.path.join(volume.base, "log")), "the log file says nothing")


@test(engine=True)
def signals_while_a_volume_is_opened():
    """Opening takes as long as the password's derivation: it ends at once, and leaves neither a mount nor a process."""
    volume = Volume().create()
    for number in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen([Settings.efs, "mount", "--foreground", volume.data, volume.path, "--password-file", volume.password_file],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Blocked, and taken by a thread: the program is past its start.
        def is_waiting():
            with open(f"/proc/{process.pid}/status") as file:
                blocked = next(line for line in file if line.startswith("SigBlk:"))
            return int(blocked.split()[1], 16) & 1 << (number - 1)
        wait_until(is_waiting, 30, "the signals are not waited for")
        process.send_signal(number)
        status = process.wait(30)
        expect(status in (-number, 0), f"status {status} after signal {number}")
        expect(not volume.is_mounted(), "mounted all the same")


@test(engine=True)
def a_caller_that_goes_away():
    """Who is interrupted while the mount is made leaves no process that goes on with it."""
    volume = Volume().create()
    process = subprocess.Popen([Settings.efs, "mount", volume.data, volume.path, "--password-file", volume.password_file],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: any(server != process.pid for server in servers_of(volume.data)), 30, "no serving process")
    process.kill()
    process.wait(30)
    wait_until(lambda: not servers_of(volume.data), 30, "the serving process goes on")
    expect(not volume.is_mounted(), "still mounted")


@test(engine=True)
def a_process_that_only_looks_like_the_server():
    """umount does not wait for what anybody can start; only for a process of the mounting user or root."""
    if not IS_ROOT:
        return
    with Volume() as volume:
        os.kill(volume.server(), signal.SIGKILL)
        # A command line as the server's.
        # A command line as the server's. `tail` takes the words for files and stays.
        liar = subprocess.Popen(["efs", "mount", "-F", volume.path, "/dev/null", "--", "--foreground"],
                                executable="/usr/bin/tail", user=1, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            efs("umount", volume.path, timeout=60)
        finally:
            liar.kill()
            liar.wait()
        volume.mount()


@test(engine=True)
def programs_of_a_volume_get_no_rights():
    """Without asking, set-user-ID and device files of a volume count for nothing, not even for root's mount."""
    with Volume() as volume:
        options = run("findmnt", "-n", "-o", "OPTIONS", volume.path).out.split(",")
        expect("nosuid" in options and "nodev" in options, f"options {options}")
        if IS_ROOT:
            volume.umount()
            volume.mount("--options", "suid,dev")
            options = run("findmnt", "-n", "-o", "OPTIONS", volume.path).out.split(",")
            expect("nosuid" not in options and "nodev" not in options, f"options {options}")
        else:
            volume.umount()
            refused(21, "only root", "mount", volume.data, volume.path, "--password-file", volume.password_file, "--options", "suid")
            volume.mount()


@test(engine=True)
def transports():
    with Volume(options=("--transport", "classic")) as volume:
        write(volume.file("f"), "x")
        volume.umount()
        volume.mount("--options", "transport=auto")
        expect_equal(read(volume.file("f")), "x")


@test(engine=True)
def umount_returns_when_all_is_done():
    """Also where the server was started in the foreground, with relative paths: it has ended and left the volume closed."""
    volume = Volume().create()
    content = os.urandom(20_000_000)
    for number, arguments in enumerate((["data", "mnt"], ["-d", "data", "--mount-point=./mnt"])):
        process = subprocess.Popen([Settings.efs, "mount", "--foreground", *arguments, "--password-file", volume.password_file],
                                   cwd=volume.base, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(volume.is_mounted, 30, "not mounted")
        with open(volume.file(f"f{number}"), "wb") as file:
            file.write(content)
        efs("umount", "mnt", cwd=volume.base)
        ended = process.poll()
        if ended is None:
            process.wait(30)
        expect_equal(ended, 0, "status of the server when umount returns")
        expect(not volume.is_mounted(), "still mounted")
        volume.mount("--read-only")
        with open(volume.file(f"f{number}"), "rb") as file:
            expect(file.read() == content, "what was written before umount")
        volume.umount()


@test(engine=True)
def mount_points_that_are_none():
    volume = Volume().create()
    base = scratch("points")
    password = ["--password-file", volume.password_file]
    file = os.path.join(base, "file")
    write(file, "")
    refused(17, "mount point does not exist", "mount", *password, volume.data, os.path.join(base, "missing"))
    refused(17, "mount point is not a directory", "mount", *password, volume.data, file)
    refused(2, "inside the data directory", "mount", *password, volume.data, volume.data)
    refused(2, "inside the mount point", "mount", *password, volume.data, volume.base)
    refused(17, "nothing is mounted", "umount", base)
    refused(17, "nothing is mounted", "sync", base)
    refused(10, "no volume of efs", "umount", "/proc")
    refused(10, "no volume of efs", "sync", "/proc")
    write(os.path.join(volume.path, "hidden"), "below")  # a mount point may hold files; they come back
    volume.mount()
    expect_equal(os.listdir(volume.path), [], "the files below the mount point")
    other = Volume(name="other").create()
    refused(16, "mounted there already", "mount", *password, other.data, volume.path)
    volume.umount()
    expect_equal(os.listdir(volume.path), ["hidden"], "after umount")


@test(engine=True)
def a_second_mount_is_refused():
    with Volume() as volume:
        write(volume.file("a"), "first")
        second = scratch("second")
        server = volume.server()
        result = refused(16, str(server), "mount", volume.data, second, "--password-file", volume.password_file)
        expect("hint" in result.err, "no hint")
        refused(16, "in use", "mount", "--read-only", volume.data, second, "--password-file", volume.password_file)
        expect_equal(read(volume.file("a")), "first")
        volume.kill()
        # the holder is dead: its lock is free, also while its mount is still there
        efs("mount", volume.data, second, "--password-file", volume.password_file)
        expect_equal(mounts_below(second), [second])
        efs("umount", second)
        refused(16, "has died", "mount", volume.data, volume.path, "--password-file", volume.password_file)
        volume.mount("-u")
        write(volume.file("b"), "again")


@test(engine=True)
def umount_on_start():
    with Volume() as volume:
        write(volume.file("a"), "x")
        volume.mount("--umount-on-start")
        expect_equal(read(volume.file("a")), "x")
        volume.kill()
        try:
            os.listdir(volume.path)
            raise Failed("a dead mount answers")
        except OSError:
            pass
        efs("umount", volume.path)
        volume.mount("-u")
        expect(volume.is_mounted())


@test(engine=True)
def options_of_rencfs():
    """The same words as rencfs's command line."""
    volume = Volume()
    os.mkdir(volume.data)
    environment = {"EFS_PASSWORD": "secret one"}
    options = ["-d", volume.data, "-m", volume.path]
    efs("--log-level", "DEBUG", "--cipher", "ChaCha20Poly1305", "mount", "-u", *options, env=environment)
    write(volume.file("a"), "x")
    efs("umount", "-m", volume.path)
    expect("ChaCha20Poly1305" in efs("info", "--data-dir", volume.data).out, "the cipher of a volume made by mount")
    efs("mount", "--data-dir", volume.data, "--mount-point", volume.path, "--umount-on-start", "--read-only", "-l", "warn", env=environment)
    expect_equal(read(volume.file("a")), "x")
    efs("umount", volume.path)
    if IS_ROOT:
        for option in ("-o", "--allow-other", "-s", "--allow-root"):
            efs("mount", option, *options, env=environment)
            nobody = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", volume.file("a"), ok=False)
            expect((nobody.status == 0) == ("o" in option.strip("-")[:1] or option == "--allow-other"), f"another user with {option}: {nobody.err}")
            efs("umount", volume.path)


@test(engine=True)
def an_empty_directory_becomes_a_volume():
    volume = Volume()
    os.mkdir(volume.data)
    status, shown = on_terminal([Settings.efs, "mount", volume.data, volume.path], ["twice typed", "twice typed"])
    expect_equal(status, 0, f"mount ({shown})")
    expect(shown.count(":") >= 2, "the password was not asked twice")
    write(volume.file("a"), "x")
    efs("umount", volume.path)
    volume.mount(env={"EFS_PASSWORD": "x"}, ok=False)
    status, shown = on_terminal([Settings.efs, "mount", volume.data, volume.path], ["twice typed"])
    expect_equal(status, 0, f"mount ({shown})")
    expect_equal(read(volume.file("a")), "x")
    efs("umount", volume.path)
    empty = scratch("empty")
    refused(10, "not an efs volume", "mount", "--read-only", empty, volume.path, env={"EFS_PASSWORD": "x"})
    refused(17, "missing", "mount", os.path.join(volume.base, "missing"), volume.path, env={"EFS_PASSWORD": "x"})


def listing(directory):
    found = {}
    for root, _, names in os.walk(directory):
        for name in names:
            state = os.stat(os.path.join(root, name))
            found[os.path.join(root, name)] = (state.st_size, state.st_mtime_ns, state.st_ino)
    return found


@test(engine=True)
def read_only_writes_nothing():
    volume = Volume()
    with volume:
        write(volume.file("a"), "x" * 100000)
        os.mkdir(volume.file("d"))
        volume.kill()  # there is something to recover, which a read-only mount must do in memory
        efs("umount", volume.path)
    before, state = listing(volume.data), listing(os.environ["XDG_STATE_HOME"])
    expect(not volume.is_mounted(), "still mounted")
    volume.mount("--read-only")
    for action in (lambda: write(volume.file("b"), "x"), lambda: os.unlink(volume.file("a")), lambda: os.mkdir(volume.file("e")),
                   lambda: os.chmod(volume.path, 0o700), lambda: os.utime(volume.path)):
        try:
            action()
            raise Failed("a read-only mount was changed")
        except OSError as error:
            expect_equal(error.errno, 30, "errno")
    os.listdir(volume.path)
    volume.umount()
    expect_equal(listing(volume.data), before, "the data directory after a read-only mount")
    expect_equal(listing(os.environ["XDG_STATE_HOME"]), state, "the state after a read-only mount")


@test(engine=True)
def sync_makes_all_durable():
    """What was written before `efs sync` is there after a kill, file by file, without any fsync."""
    with Volume() as volume:
        content = os.urandom(1 << 20)
        for round in range(3):
            for number in range(40):
                with open(volume.file(f"{round}-{number}"), "wb") as file:
                    file.write(content)
            efs("sync", volume.path)
            volume.kill()
            volume.mount("-u")
            for number in range(40):
                with open(volume.file(f"{round}-{number}"), "rb") as file:
                    expect(file.read() == content, f"file {number} of round {round} differs after sync and a kill")


@test(engine=True, root=True)
def mount_options_reach_the_kernel():
    volume = Volume().create()
    with open("/proc/self/mountinfo") as file:
        before = len(file.readlines())
    efs("mount", volume.data, volume.path, "--password-file", volume.password_file, "--options",
        "noatime,nosuid,nodev,noexec,default_permissions,allow_other,fsname=my\\,vault")
    with open("/proc/self/mountinfo") as file:
        lines = file.readlines()
    expect_equal(len(lines), before + 1, "mounts")
    line = next(line for line in lines if volume.path in line)
    for word in ("noatime", "nosuid", "nodev", "noexec", "default_permissions", "allow_other", "my,vault"):
        expect(word in line, f"'{word}' is not in the mount table: {line}")
    write(volume.file("script"), "#!/bin/sh\necho ran\n")
    os.chmod(volume.file("script"), 0o755)
    expect(run("sh", "-c", volume.file("script"), ok=False).status != 0, "noexec lets programs run")
    volume.umount()


@test(engine=True)
def access_times_are_kept_as_asked():
    """Each opening that is read from counts as the option says; the kernel's cache hides nothing from strictatime."""
    volume = Volume().create()

    def raised(option):
        """Of a file, then of a directory: whether looking at it raises the access time, and whether doing so again does."""
        volume.mount(*(["--options", option] if option else []))
        found = []
        for path, look in ((volume.file("f"), read), (volume.file("d"), os.listdir)):
            os.utime(path, (10**9, 10**9))
            times = []
            for _ in range(3):
                times.append(os.stat(path).st_atime_ns)
                look(path)
            found += [times[1] > times[0], times[2] > times[1]]
        volume.umount()
        return found

    volume.mount()
    write(volume.file("f"), "x")
    os.mkdir(volume.file("d"))
    write(volume.file("d", "g"), "x")
    volume.umount()
    expect_equal(raised("strictatime"), [True] * 4, "strictatime")
    expect_equal(raised("strictatime,nodiratime"), [True, True, False, False], "strictatime,nodiratime")
    expect_equal(raised("noatime"), [False] * 4, "noatime")
    expect_equal(raised("nodiratime"), [True, False, False, False], "nodiratime")
    expect_equal(raised("relatime,lazytime"), [True, False, True, False], "relatime,lazytime")
    expect_equal(raised(None), [True, False, True, False], "the default")


def with_helper(body):
    """Puts the built helper where mount(8) looks, and takes it away again."""
    link = "/sbin/mount.fuse.efs"
    if os.path.lexists(link):
        raise Skipped(f"{link} is there already")
    os.symlink(Settings.efs, link)
    try:
        body()
    finally:
        os.unlink(link)


@test(engine=True, root=True)
def mount_helper_and_fstab():
    volume = Volume().create()
    options = f"password_file={volume.password_file},_netdev,nofail,noatime,x-systemd.automount"

    def body():
        run("mount", "-t", "fuse.efs", "-o", options, volume.data, volume.path)
        write(volume.file("a"), "x")
        run("umount", volume.path)
        wait_until(lambda: not servers_of(volume.data), 30, "the server still runs")
        run("mount", "-t", "fuse.efs", "-o", f"password_command=cat {volume.password_file},ro,allow_other,default_permissions", volume.data, volume.path)
        expect_equal(read(volume.file("a")), "x")
        try:
            write(volume.file("b"), "x")
            raise Failed("ro is no read-only mount")
        except OSError:
            pass
        run("umount", volume.path)
        wait_until(lambda: not servers_of(volume.data), 30, "the server still runs")
        table = os.path.join(Context.directory, "fstab")
        write(table, f"{volume.data} {volume.path} fuse.efs noauto,user,{options},fsname=vault 0 0\n")
        run("mount", "-T", table, volume.path)
        expect_equal(read(volume.file("a")), "x")
        expect("vault" in run("findmnt", "-n", "-o", "SOURCE", volume.path).out, "fsname")
        run("umount", volume.path)
        bad = run("mount", "-t", "fuse.efs", "-o", "password_file=/nowhere", volume.data, volume.path, ok=False)
        expect(bad.status == 32 and "efs: error: /nowhere" in bad.err, f"a failed mount: {bad.status} {bad.err}")
        bad = run("mount", "-t", "fuse.efs", "-o", "bogus", volume.data, volume.path, ok=False)
        expect("unknown mount option 'bogus'" in bad.err, f"an unknown option: {bad.err}")
        inside = os.path.join(volume.data, "inside")
        os.mkdir(inside)
        bad = run("mount", "-t", "fuse.efs", "-o", f"password_file={volume.password_file}", volume.data, inside, ok=False)
        expect(bad.status == 1 and "inside the data directory" in bad.err, f"a mount point inside the data directory: {bad.status} {bad.err}")
        os.rmdir(inside)
        empty = scratch("empty")
        bad = run("mount", "-t", "fuse.efs", "-o", f"password_file={volume.password_file}", empty, volume.path, ok=False)
        expect(bad.status == 32 and os.listdir(empty) == [], "the helper made a volume where a disk is missing")

    with_helper(body)


@test(engine=True, root=True)
def another_user_mounts():
    """Without root, through fusermount3; and root does not see into it."""
    user = pwd.getpwnam("games").pw_uid  # fusermount3 wants a user with a name
    base = scratch("user")
    for name in ("data", "mnt", "home"):
        os.mkdir(os.path.join(base, name))
    write(os.path.join(base, "password"), "pw\n")
    run("chown", "-R", f"{user}:{user}", base)
    os.chmod(base, 0o755)
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    environment = {"HOME": os.path.join(base, "home"), "XDG_STATE_HOME": os.path.join(base, "home/state")}
    password = ["--password-file", os.path.join(base, "password")]
    data, point = os.path.join(base, "data"), os.path.join(base, "mnt")
    mode = os.stat("/dev/fuse").st_mode
    if mode & 0o006 != 0o006:
        os.chmod("/dev/fuse", stat.S_IMODE(mode) | 0o006)
    try:
        run(*as_user, Settings.efs, "init", *password, data, env=environment)
        run(*as_user, Settings.efs, "mount", *password, data, point, env=environment)
        run(*as_user, "sh", "-c", f"echo hello > {point}/a && cat {point}/a", env=environment)
        expect(run("ls", point, ok=False).status != 0, "root sees into another user's mount without allow_root")
        run(*as_user, Settings.efs, "sync", point, env=environment)
        run(*as_user, Settings.efs, "umount", point, env=environment)
        expect_equal(servers_of(data), [], "servers after umount")
        run(*as_user, Settings.efs, "mount", *password, data, point, env=environment)
        expect_equal(run(*as_user, "cat", f"{point}/a", env=environment).out, "hello\n")
        run(*as_user, "fusermount3", "-u", point)
        wait_until(lambda: not servers_of(data), 30, "the server still runs after fusermount3 -u")
        # Root cannot look into it, but can end it.
        run(*as_user, Settings.efs, "mount", *password, data, point, env=environment)
        run(*as_user, "sh", "-c", f"echo more > {point}/b", env=environment)
        efs("umount", point)
        expect_equal(servers_of(data), [], "servers after root's umount")
        run(*as_user, Settings.efs, "mount", *password, data, point, env=environment)
        expect_equal(run(*as_user, "cat", f"{point}/b", env=environment).out, "more\n")
        run(*as_user, Settings.efs, "umount", point, env=environment)
    finally:
        os.chmod("/dev/fuse", stat.S_IMODE(mode))


@test(engine=True)
def others_are_let_in_only_if_the_administrator_allows_it():
    if IS_ROOT:
        raise Skipped("root may let others in")
    with open("/etc/fuse.conf") as file:
        if any(line.strip() == "user_allow_other" for line in file):
            raise Skipped("this system allows it")
    volume = Volume().create()
    for option in ("--allow-other", "--allow-root"):
        result = refused(21, "other users may not be let in", "mount", option, volume.data, volume.path, "--password-file", volume.password_file)
        expect("user_allow_other in /etc/fuse.conf" in result.err, f"the hint of {option}: {result.err}")
        expect(not volume.is_mounted() and not servers_of(volume.data), f"{option} left something behind")


@test(engine=True)
def what_is_installed_works():
    """make install and uninstall, without the build."""
    programs = ("efs", "efs-server", "efsc", "efsctl")
    if not all(os.path.exists(os.path.join(ROOT, ".build/release", program)) for program in programs):
        raise Skipped("no release build")
    top = scratch("package")
    places = [f"{top}/opt/efs/bin", f"{top}/opt/efs/share", f"{top}/sbin", f"{top}/opt/efs/lib"]
    run(os.path.join(ROOT, "scripts/install"), *places, env={"DESTDIR": top})
    expect_equal(run(f"{top}/opt/efs/bin/efs", "--version").out, efs("--version").out, "the version")
    expect_equal(os.readlink(f"{top}/sbin/mount.fuse.efs"), "/opt/efs/bin/efs", "the mount helper")
    found = sorted(os.path.relpath(os.path.join(where, name), top) for where, _, names in os.walk(top) for name in names)
    wanted = ["lib/systemd/system/efs-mount@.service", "lib/systemd/system/efs-server.service", "lib/sysusers.d/efs-server.conf",
              "share/man/man1/efs.1", "share/man/man1/efsc.1", "share/man/man8/efs-server.8", "share/man/man8/efsctl.8",
              "share/man/man8/mount.fuse.efs.8"]
    for program in programs:
        wanted += [f"bin/{program}", f"share/bash-completion/completions/{program}", f"share/fish/vendor_completions.d/{program}.fish",
                   f"share/zsh/site-functions/_{program}"]
        # No toolchain is needed to run it.
        libraries = run("ldd", f"{top}/opt/efs/bin/{program}").out
        expect("swift" not in libraries.lower() and "not found" not in libraries, f"{program} needs {libraries}")
        run("bash", "-n", f"{top}/opt/efs/share/bash-completion/completions/{program}")
    expect_equal(found, sorted([f"opt/efs/{path}" for path in wanted] + ["sbin/mount.fuse.efs"]), "what is installed")
    for unit in ("efs-server.service", "efs-mount@.service"):
        with open(f"{top}/opt/efs/lib/systemd/system/{unit}") as file:
            text = file.read()
        expect("=/opt/efs/bin/efs" in text and "@bindir@" not in text, f"{unit} runs something else")
    run(os.path.join(ROOT, "scripts/install"), "--remove", *places, env={"DESTDIR": top})
    expect_equal([names for _, _, names in os.walk(top) if names], [], "what uninstall leaves")
    if not IS_ROOT:
        # Into a home: the helper's directory belongs to root.
        home = scratch("home")
        result = run(os.path.join(ROOT, "scripts/install"), f"{home}/bin", f"{home}/share", "/sbin", f"{home}/lib", env={"DESTDIR": ""})
        expect("mount.fuse.efs" in result.err and "root" in result.err, f"it says {result.err!r}")
        expect(os.access(f"{home}/bin/efs", os.X_OK), "efs is not there")


@test(engine=True)
def keys_stay_in_memory():
    """The server cannot be dumped or traced by its user, and its limit on core files is 0."""
    with Volume() as volume:
        server = volume.server()
        with open(f"/proc/{server}/limits") as file:
            core = next(line for line in file if line.startswith("Max core file size"))
        expect_equal(core.split()[4:6], ["0", "0"], "limit on core files")
        with open(f"/proc/{server}/status") as file:
            locked = int(re.search(r"VmLck:\s+(\d+)", file.read())[1])
        expect(locked > 0, "no memory is locked")
        if not IS_ROOT:
            expect(not os.access(f"/proc/{server}/mem", os.R_OK), "the server's memory can be read")
