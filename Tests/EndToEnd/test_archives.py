"""efs tar and efs untar against the programs that others have: pyAesCrypt, age, GNU tar, bsdtar."""
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time

from harness import (IS_ROOT, MIB, ROOT, Context, Settings, Skipped, Volume, attributes_of, efs, expect, expect_equal, note, run, scratch, shell,
                     test, wait_until)
from test_command_line import on_terminal, refused

PASSWORD = "pässwörd with spaces €😀"


def path(*names):
    return os.path.join(Context.directory, *names)


def file_of(name, text):
    with open(path(name), "w") as file:
        file.write(text)
    return path(name)


def seeded():
    seed = int(os.environ.get("EFS_TEST_SEED", random.SystemRandom().randrange(10**9)))
    note(f"EFS_TEST_SEED={seed}")
    return random.Random(seed)


def tree(name, generator, devices=False):
    """A directory with one of everything."""
    top = os.fsencode(scratch(name))

    def write(name, content, mode=0o644):
        with open(os.path.join(top, name), "wb") as file:
            file.write(content)
        os.chmod(os.path.join(top, name), mode)

    for directory in (b"a", b"a/b", b"empty", "ünï".encode(), b"x" * 200, b"x" * 200 + b"/" + b"y" * 200):
        os.mkdir(os.path.join(top, directory))
    write(b"nothing", b"")
    write(b"a/small", b"Hello\n", 0o600)
    write(b"a/b/program", generator.randbytes(70000), 0o755)
    write(b"large", generator.randbytes(3 * MIB + 17))
    write("ünï/ 'quoted\" \n name".encode(), b"1")
    write(b"x" * 200 + b"/" + b"y" * 200 + b"/" + b"z" * 200, b"2")
    os.link(os.path.join(top, b"large"), os.path.join(top, b"a/b/again"))
    os.symlink("../b/nowhere", os.path.join(top, b"a/link"))
    os.symlink("t" * 300, os.path.join(top, b"a/long link"))
    os.mkfifo(os.path.join(top, b"fifo"), 0o640)
    with open(os.path.join(top, b"sparse"), "wb") as file:
        file.seek(5 * MIB)
        file.write(b"data")
        file.truncate(9 * MIB)
    os.setxattr(os.path.join(top, b"a/small"), "user.note", b"\0binary\n=\xff")
    os.setxattr(os.path.join(top, b"a"), "user.directory", b"1")
    if devices and IS_ROOT:
        os.mknod(os.path.join(top, b"null"), 0o20666, os.makedev(1, 3))
        os.chown(os.path.join(top, b"a/small"), 1234, 56789)
    run("setfacl", "-m", "u:1234:rw-,g:77:r--", os.path.join(top, b"a/small"))
    run("setfacl", "-m", "u:1234:rwx,d:u:99:r-x,d:m:r-x", os.path.join(top, b"a"))
    os.chmod(os.path.join(top, b"a/b"), 0o500 if IS_ROOT else 0o750)
    for root, directories, files in os.walk(top, topdown=False):
        for name in files + directories:
            moment = generator.randrange(10**9, 17 * 10**8) * 10**9 + generator.randrange(10**9)
            os.utime(os.path.join(root, name), ns=(moment, moment), follow_symlinks=False)
    os.utime(top, ns=(10**18 + 1, 10**18 + 1))
    return os.fsdecode(top)


def same(a, b, xattrs=True):
    """`diff` cannot compare FIFOs and devices, so contents are compared here."""
    def contents(top):
        found = {}
        for root, _, files in os.walk(os.fsencode(top)):
            for name in files:
                place = os.path.join(root, name)
                if os.path.isfile(place) and not os.path.islink(place):
                    with open(place, "rb") as file:
                        found[os.path.relpath(place, os.fsencode(top))] = hashlib.sha256(file.read()).hexdigest()
        return found
    expect_equal(contents(b), contents(a), "contents")
    wanted, found = attributes_of(a), attributes_of(b)
    different = [(name, found.get(name), wanted.get(name)) for name in sorted(wanted.keys() | found.keys()) if found.get(name) != wanted.get(name)]
    expect(not different, f"{len(different)} of {len(wanted)} differ, such as {different[:3]}")
    if xattrs:
        for name in ("a", "a/small"):
            values = [{key: os.getxattr(os.path.join(top, name), key) for key in os.listxattr(os.path.join(top, name))} for top in (a, b)]
            expect_equal(values[1], values[0], f"extended attributes of {name}")


def aes(verb, source, target, password=PASSWORD):
    """pyAesCrypt, which `scripts/setup --tests` installs."""
    python = os.path.join(ROOT, ".build/test-tools/bin/python3")
    if not os.path.exists(python):
        raise Skipped("pyAesCrypt is missing: scripts/setup --tests installs it")
    script = "import pyAesCrypt, sys; getattr(pyAesCrypt, sys.argv[1] + 'File')(*sys.argv[2:5])"
    return run(python, "-c", script, verb, source, target, password)


def key():
    run("age-keygen", "-o", path("key"))
    return run("age-keygen", "-y", path("key")).out.strip()


@test(engine=True)
def volume_to_archive_and_back():
    """Through a mount, an encrypted archive, another volume, and a plain directory: the same tree."""
    source = tree("source", seeded(), devices=True)
    secret = file_of("secret", PASSWORD + "\n")
    with Volume("first") as first:
        run("cp", "-a", source, first.file("tree"))
        os.sync()
        busy = refused(16, "in use|another process", "tar", "--fs", first.data, "--password-file", first.password_file, "-o", path("no.tar"))
        expect(not os.path.exists(path("no.tar")), busy.err)
    second = Volume("second").create()
    for ending in ("tar.gz.aes", "tar.zst.age", "tar"):
        archive = path("drive.efs." + ending)
        protection = ["-p", secret] if ending != "tar" else []
        efs("tar", "--fs", first.data + ":/tree", "--password-file", first.password_file, "-o", archive, *protection)
        expect_equal(os.stat(archive).st_mode & 0o777, 0o600, "mode of the archive")
        efs("untar", archive, "--fs", f"{second.data}:/{ending}", "--password-file", second.password_file, *protection)
        efs("untar", archive, "-C", path("plain-" + ending), *protection)
        same(source, path("plain-" + ending))
        expect_equal(os.stat(path("plain-" + ending)).st_mtime_ns, 10**18 + 1, "time of the root")
        expect(os.stat(path("plain-" + ending, "sparse")).st_blocks < 100, "holes became data")
    second.check("--deep")
    second.mount()
    try:
        expect_equal(sorted(os.listdir(second.path)), ["tar", "tar.gz.aes", "tar.zst.age"])
        for ending in os.listdir(second.path):
            same(source, second.file(ending))
    finally:
        second.umount()


@test(engine=True, needs=("tar", "bsdtar", "zstd"))
def other_tars_read_what_we_write():
    source = tree("source", seeded(), devices=True)
    for name in ("x.tar", "x.tar.gz", "x.tgz", "x.tar.zst"):
        efs("tar", "-C", source, "-o", path(name))
        unpack = {"x.tar": "cat", "x.tar.zst": "zstd -dc"}.get(name, "gzip -dc")
        for program, options in (("tar", "--xattrs --acls --numeric-owner"), ("bsdtar", "--xattrs --acls --numeric-owner")):
            target = scratch(f"{name}-{program}")
            result = shell(f"{unpack} < {path(name)} | {program} -xp {options} -f - -C {target}")
            expect_equal(result.err, "", f"{program} on {name} says something")
            same(source, target)
            expect(os.stat(os.path.join(target, "sparse")).st_blocks < 100, f"{program}: holes became data")


@test(engine=True, needs=("tar", "bsdtar", "zstd"))
def we_read_what_other_tars_write():
    source = tree("source", seeded(), devices=True)
    commands = {
        "gnu-pax": f"tar --format=pax --xattrs --acls --sparse -C {source} -cf - .",
        "gnu-pax-1": f"tar --format=pax --xattrs --acls --sparse --sparse-version=0.1 -C {source} -cf - .",
        "bsd-pax": f"bsdtar --format pax --xattrs --acls -C {source} -cf - .",
        "bsd-one": f"bsdtar --format pax --xattrs --acls -b 1 -C {source} -cf - .",
    }
    for name, command in commands.items():
        for filter, ending in (("cat", "tar"), ("gzip", "tar.gz"), ("zstd -q", "tar.zst")):
            shell(f"{command} | {filter} > {path(name)}.{ending}")
            efs("untar", f"{path(name)}.{ending}", "-C", path(f"{name}-{ending}"))
            same(source, path(f"{name}-{ending}"))
    # The older formats hold whole seconds, and no extended attributes.
    for root, directories, files in os.walk(os.fsencode(source), topdown=False):
        for name in files + directories:
            os.utime(os.path.join(root, name), ns=(10**18, 10**18), follow_symlinks=False)
    shell(f"tar --format=gnu --sparse -C {source} -cf {path('gnu.tar')} .")
    efs("untar", path("gnu.tar"), "-C", path("gnu"))
    same(source, path("gnu"), xattrs=False)


@test(engine=True)
def pyaescrypt_and_we_read_each_other():
    generator = seeded()
    secret = file_of("secret", PASSWORD + "\n")
    for round, size in enumerate([0, 1, 15, 16, 17, 65535, 65536, 65537, 3 * MIB + 5]):
        source = scratch(f"source-{round}")
        with open(os.path.join(source, "file"), "wb") as file:
            file.write(generator.randbytes(size))
        for ending in ("tar", "tar.gz", "tar.zst"):
            ours = path(f"{round}.{ending}")
            efs("tar", "-C", source, "-o", ours + ".aes", "-p", secret)
            aes("decrypt", ours + ".aes", ours)
            efs("untar", ours, "-C", path(f"{round}-{ending}-1"))
            same(source, path(f"{round}-{ending}-1"), xattrs=False)
            aes("encrypt", ours, path(f"theirs-{round}.{ending}.aes"))
            efs("untar", path(f"theirs-{round}.{ending}.aes"), "-p", secret, "-C", path(f"{round}-{ending}-2"))
            same(source, path(f"{round}-{ending}-2"), xattrs=False)


@test(engine=True, needs=("age", "age-keygen"))
def age_and_we_read_each_other():
    source = tree("source", seeded())
    secret = file_of("secret", PASSWORD + "\n")
    # With a key.
    recipient = key()
    run("age-keygen", "-o", path("other"))
    efs("tar", "-C", source, "-o", path("key.tar.gz.age"), "-r", recipient, "-r", run("age-keygen", "-y", path("other")).out.strip())
    for identity in ("key", "other"):
        run("age", "-d", "-i", path(identity), "-o", path("plain.tar.gz"), path("key.tar.gz.age"))
        efs("untar", path("plain.tar.gz"), "-C", path(f"out-{identity}"))
        same(source, path(f"out-{identity}"))
    run("age", "-r", recipient, "-o", path("theirs.tar.gz.age"), path("plain.tar.gz"))
    efs("untar", path("theirs.tar.gz.age"), "-i", path("key"), "-C", path("out-theirs"))
    same(source, path("out-theirs"))
    refused(12, "not sealed to this key", "untar", path("theirs.tar.gz.age"), "-i", path("other"), "-C", path("nothing"))
    refused(12, "sealed to keys", "untar", path("theirs.tar.gz.age"), "-p", secret, "-C", path("nothing"))
    # With a password, which age reads from a terminal only.
    efs("tar", "-C", source, "-o", path("pw.tar.age"), "-p", secret)
    age = shutil.which("age")
    status, shown = on_terminal([age, "-d", "-o", path("pw.tar"), path("pw.tar.age")], [PASSWORD])
    expect_equal(status, 0, f"age -d ({shown})")
    efs("untar", path("pw.tar"), "-C", path("out-pw"))
    same(source, path("out-pw"))
    status, shown = on_terminal([age, "-p", "-o", path("theirs-pw.tar.age"), path("pw.tar")], [PASSWORD, PASSWORD])
    expect_equal(status, 0, f"age -p ({shown})")
    efs("untar", path("theirs-pw.tar.age"), "-p", secret, "-C", path("out-theirs-pw"))
    same(source, path("out-theirs-pw"))
    refused(12, "sealed with a password", "untar", path("pw.tar.age"), "-i", path("key"), "-C", path("nothing"))
    expect(not os.path.exists(path("nothing")), "something was left")


@test(engine=True)
def wrong_passwords_and_damage_leave_nothing():
    generator = seeded()
    source = tree("source", generator)
    secret, wrong = file_of("secret", PASSWORD + "\n"), file_of("wrong", "wrong\n")
    volume = Volume().create()
    recipient = key()
    efs("tar", "-C", source, "-o", path("x.tar.zst.aes"), "-p", secret)
    efs("tar", "-C", source, "-o", path("x.tar.zst.age"), "-r", recipient)
    into_volume = ["--fs", volume.data, "--password-file", volume.password_file]

    def damaged(name, opening, change, status=13):
        with open(path(name), "rb") as file:
            content = bytearray(file.read())
        with open(path("bad-" + name), "wb") as file:
            file.write(change(content))
        for place in (into_volume, ["-C", path("nothing")], ["-C", scratch("there")]):
            refused(status, "damaged|whole|authentic|does not open", "untar", path("bad-" + name), *opening, *place)
        expect(not os.path.exists(path("nothing")) and not os.listdir(path("there")), "something was left")

    def flip(place):
        def change(content):
            content[place] ^= 1 << generator.randrange(8)
            return content
        return change

    for name, opening in (("x.tar.zst.aes", ["-p", secret]), ("x.tar.zst.age", ["-i", path("key")])):
        size = os.stat(path(name)).st_size
        for place in (size // 3, size - 2, size - 60, size - 100_000):
            damaged(name, opening, flip(place))
        for cut in (1, 16, 33, 65552, size // 2):
            damaged(name, opening, lambda content: content[:-cut])
        damaged(name, opening, lambda content: content + b"\0" * 16)
        efs("tar", "-C", source, "-o", path("plain.tar.zst"))
        exchanged = shutil.copy(path("plain.tar.zst"), path("exchanged-" + name))
        refused(13, "not what its name says", "untar", exchanged, *opening, "-C", path("nothing"))
        refused(13, "not encrypted", "untar", path("plain.tar.zst"), *opening, "-C", path("nothing"))
    for place in (into_volume, ["-C", path("nothing")]):
        refused(12, "does not open with this password", "untar", path("x.tar.zst.aes"), "-p", wrong, *place)
    volume.mount()
    try:
        expect_equal(os.listdir(volume.path), [], "left in the volume")
    finally:
        volume.umount()
    volume.check("--deep")


@test(engine=True)
def what_is_there_stays():
    source = scratch("source")
    for name in ("new", "old", "zzz"):
        file_of("source/" + name, name)
    efs("tar", "-C", source, "-o", path("x.tar"))
    target = scratch("target")
    file_of("target/old", "precious")
    refused(15, "old: is there already", "untar", path("x.tar"), "-C", target)
    expect_equal(os.listdir(target), ["old"])
    with open(os.path.join(target, "old")) as file:
        expect_equal(file.read(), "precious")
    # A failure while an archive is written leaves the old archive.
    os.mkdir(path("source", "sub"))
    before = os.stat(path("x.tar"))
    refused(17, "nowhere", "tar", "-C", path("nowhere"), "-o", path("x.tar"))
    expect_equal(os.stat(path("x.tar")), before)
    efs("tar", "-C", source, "-o", path("source", "own.tar"))
    expect_equal(sorted(os.listdir(source)), ["new", "old", "own.tar", "sub", "zzz"], "within the tree")
    expect("own.tar" not in run("tar", "-tf", path("source", "own.tar")).out, "the archive holds itself")


@test(engine=True)
def mistakes_of_usage():
    secret = file_of("secret", "x\n")
    source = scratch("source")
    refused(2, "tree is missing", "tar", "-o", path("x.tar"))
    refused(2, "volume and a directory", "tar", "-o", path("x.tar"), "-C", source, "--fs", source)
    refused(2, "does not say what", "tar", "-C", source, "-o", path("x.zip"))
    refused(2, "does not ask for encryption", "tar", "-C", source, "-o", path("x.tar.gz"), "-p", secret)
    refused(2, "no recipients", "tar", "-C", source, "-o", path("x.tar.aes"), "-r", "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj")
    refused(2, "no X25519 recipient", "tar", "-C", source, "-o", path("x.tar.age"), "-r", "age1frob")
    refused(2, "empty", "tar", "-C", source, "-o", path("x.tar.age"), "-p", file_of("empty", "\n"))
    refused(17, "no remote of this name", "tar", "--fs", "drive:/x", "-o", path("x.tar"))
    refused(2, "cannot be restored to a server", "untar", path("x.tar"), "--fs", "drive:/x")
    refused(10, "not an efs volume", "tar", "--fs", source, "-o", path("x.tar"))
    refused(17, "password file", "tar", "-C", source, "-o", path("x.tar.age"), "-p", path("nowhere"))
    refused(17, "archive failed", "untar", path("nowhere.tar"), "-C", path("target"))
    refused(13, "no tar archive", "untar", secret, "-C", path("target"))
    refused(13, "not what its name", "untar", shutil.copy(secret, path("x.tar.age")), "-C", path("target"), "-p", secret)
    expect(not os.path.exists(path("target")), "something was left")


@test(engine=True)
def passwords_of_archives_on_the_terminal():
    source = scratch("source")
    file_of("source/file", "content")
    archive = path("x.tar.aes")
    status, shown = on_terminal([Settings.efs, "tar", "-C", source, "-o", archive], ["typed secret", "typed secret"])
    expect_equal(status, 0, f"tar ({shown})")
    expect("typed secret" not in shown, "the terminal shows the password")
    status, shown = on_terminal([Settings.efs, "untar", archive, "-C", path("out")], ["typed wrong"])
    expect_equal(status, 12, f"untar with a wrong password ({shown})")
    status, shown = on_terminal([Settings.efs, "untar", archive, "-C", path("out")], ["typed secret"])
    expect_equal(status, 0, f"untar ({shown})")
    expect("restoring: 100 %" in shown, f"no progress: {shown!r}")


@test(engine=True)
def exclusions_and_sockets():
    source = scratch("source")
    for name in ("keep", "a.o", "sub/b.o", "sub/keep", "tmp/x"):
        os.makedirs(os.path.dirname(path("source", name)), exist_ok=True)
        file_of("source/" + name, name)
    efs("tar", "-C", source, "-o", path("x.tar"), "--exclude", "*.o", "--exclude", "/tmp")
    expect_equal(sorted(run("tar", "-tf", path("x.tar")).out.split()), ["./", "keep", "sub/", "sub/keep"])
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        # A socket's path may be 107 bytes long.
        os.chdir(source)
        listener.bind("socket")
        os.chdir(here)
        result = efs("tar", "-C", source, "-o", path("y.tar"), ok=False)
    expect_equal(result.status, 26, result.err)
    expect("efs: warning: socket: left out" in result.err, result.err)
    os.setxattr(path("source", "keep"), "user.a=b", b"1")
    result = efs("tar", "-C", source, "-o", path("z.tar"), ok=False)
    expect_equal(result.status, 26, result.err)
    expect("keep: left out" in result.err and "user.a=b" in result.err, result.err)
    for name in ("y.tar", "z.tar"):
        expect("sub/b.o" in run("tar", "-tf", path(name)).out, "the archive is not whole")


@test(engine=True)
def pipes_both_ways():
    source = tree("source", seeded())
    secret = file_of("secret", PASSWORD + "\n")
    efs("tar", "-C", source, "-o", path("x.tar.gz.aes"), "-p", secret)
    os.mkfifo(path("pipe.tar.gz.aes"))
    shell(f"cat {path('x.tar.gz.aes')} > {path('pipe.tar.gz.aes')} & '{Settings.efs}' untar {path('pipe.tar.gz.aes')} -p {secret} -C {path('out-in')}; wait")
    same(source, path("out-in"))
    shell(f"cat {path('pipe.tar.gz.aes')} > {path('y.tar.gz.aes')} & '{Settings.efs}' tar -C {source} -o {path('pipe.tar.gz.aes')} -p {secret}; wait")
    efs("untar", path("y.tar.gz.aes"), "-p", secret, "-C", path("out-out"))
    same(source, path("out-out"))
    shell(f"'{Settings.efs}' untar /dev/stdin -C {path('out-stdin')} < <(tar -C {source} --xattrs --acls --format=pax -cf - . | gzip)")
    same(source, path("out-stdin"))


@test(engine=True)
def stopped_by_a_signal():
    generator = seeded()
    source = scratch("source")
    with open(os.path.join(source, "large"), "wb") as file:
        for _ in range(64):
            file.write(generator.randbytes(4 * MIB))
    secret = file_of("secret", PASSWORD + "\n")
    efs("tar", "-C", source, "-o", path("x.tar.aes"), "-p", secret)
    before = os.stat(path("x.tar.aes"))
    for command, begun in (
            (["tar", "-C", source, "-o", path("x.tar.aes"), "-p", secret], lambda: any(name.startswith(".efs-tar-") for name in os.listdir(path()))),
            (["untar", path("x.tar.aes"), "-p", secret, "-C", path("out")], lambda: os.path.exists(path("out")))):
        process = subprocess.Popen([Settings.efs, *command], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until(lambda: begun() or process.poll() is not None, 60, "it did not begin")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        if process.returncode == 0:
            note(f"{command[0]} was done before the signal")
            continue
        expect_equal(process.returncode, 130, err.decode())
        expect(b"nothing is left" in err, err.decode())
        expect(not [name for name in os.listdir(path()) if name.startswith(".efs-")], "a temporary file was left")
        expect(not os.path.exists(path("out")), "something was restored")
        expect_equal(os.stat(path("x.tar.aes")).st_ino, before.st_ino, "the archive before")
        before = os.stat(path("x.tar.aes"))


@test(engine=True)
def deep_trees():
    """Deeper than any path that a system call takes, and than a process may have files open by default."""
    depth, name = 1500, "directory"
    shell(f"mkdir {path('top')}; cd {path('top')}; for i in $(seq {depth}); do mkdir {name}; cd {name}; done; echo bottom > file")
    efs("tar", "-C", path("top"), "-o", path("x.tar.gz"))
    try:
        efs("untar", path("x.tar.gz"), "-C", path("out"))
        found = run("find", path("out"), "-name", "file", "-printf", "%d").out
        expect_equal(found, str(depth + 1), "depth of the file")
        volume = Volume().create()
        volume_options = ["--fs", volume.data, "--password-file", volume.password_file]
        efs("untar", path("x.tar.gz"), *volume_options)
        efs("tar", *volume_options, "-o", path("y.tar.gz"))
        expect_equal(*[len(run("tar", "-tf", path(archive)).out) for archive in ("y.tar.gz", "x.tar.gz")], "names")
        refused(15, "there already", "untar", path("x.tar.gz"), "-C", path("out"))
        expect_equal(os.listdir(path("out")), [name], "left beside it")
    finally:
        # Deeper than Python's own way to remove a tree goes.
        run("rm", "-rf", path("top"), path("out"))


@test(engine=True, full=True, seconds=900)
def memory_stays_bounded():
    """A large file, and many small ones, through all stages in little memory."""
    source = scratch("source")
    with open(os.path.join(source, "large"), "wb") as file:
        block = os.urandom(MIB)
        for _ in range(2048):
            file.write(block)
    with open(os.path.join(source, "huge hole"), "wb") as file:
        file.truncate(1 << 40)
    for number in range(100):
        os.mkdir(os.path.join(source, str(number)))
        for name in range(500):
            os.mknod(os.path.join(source, str(number), str(name)))
    secret = file_of("secret", PASSWORD + "\n")

    def peak(*arguments):
        begun = time.monotonic()
        process = subprocess.Popen([Settings.efs, *arguments], stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        expect_equal(process.returncode, 0, str(arguments))
        note(f"{arguments[0]} {os.path.basename(arguments[-1])}: {usage.ru_maxrss >> 10} MiB, {time.monotonic() - begun:.1f} s")
        return usage.ru_maxrss >> 10
    for ending, limit in (("tar.aes", 60), ("tar.zst.aes", 80), ("tar.age", 320)):
        # scrypt alone takes 256 MiB for a moment.
        expect(peak("tar", "-C", source, "-p", secret, "-o", path("x." + ending)) < limit, "too much memory")
        expect(peak("untar", "-p", secret, path("x." + ending), "-C", path("out")) < limit, "too much memory")
        expect_equal(os.stat(path("out", "huge hole")).st_size, 1 << 40)
        expect(os.stat(path("out", "huge hole")).st_blocks == 0, "a hole became data")
        shutil.rmtree(path("out"))
