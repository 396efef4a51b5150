"""The command line: answers, errors with their exit statuses, passwords from everywhere. No mount is needed here."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

from harness import IS_ROOT, ROOT, Context, Settings, Volume, efs, expect, expect_equal, run, scratch, small_disk, test


def refused(status, pattern, *arguments, **options):
    """The command fails with that status and says so in one line, and perhaps a hint, on standard error alone."""
    result = efs(*arguments, ok=False, **options)
    words = " ".join(map(str, arguments))
    expect_equal(result.status, status, f"status of 'efs {words}' ({result.err.strip()})")
    lines = result.err.splitlines()
    lines = [line for line in lines if not line.startswith(("efs: creating", "efs: warning: "))]
    expect(lines and lines[0].startswith("efs: error: "), f"'efs {words}' says {result.err!r}")
    expect(len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("efs: hint: ")), f"'efs {words}' says {result.err!r}")
    expect(re.search(pattern, lines[0]), f"'efs {words}' says {lines[0]!r}, not /{pattern}/")
    expect_equal(result.out, "", f"output of 'efs {words}'")
    return result


@test(engine=True)
def usage_errors():
    here = scratch("here")
    refused(2, "frobnicate", "frobnicate")
    refused(2, "unknown option.*--frob", "mount", "--frob", "a", "b")
    refused(2, "data directory is missing", "mount")
    refused(2, "mount point is missing", "mount", here)
    refused(2, "unexpected argument 'c'", "mount", here, here, "c")
    refused(2, "data directory is missing", "init")
    refused(2, "given twice", "init", here, "--data-dir", here)
    refused(2, "invalid for '-*c", "init", "--cipher", "rot13", here)
    refused(2, "invalid for '-*l", "mount", "--log-level", "loud", here, here)
    refused(2, "only one of", "check", here, "--password-fd", "0", "--password-file", "x")
    refused(2, "unknown mount option 'bogus'", "mount", "--options", "bogus", here, here)
    refused(2, "empty path", "init", "")
    refused(2, "empty path", "mount", "", "")
    refused(2, "at least 1", "mount", "--cache", "0", here, here)
    refused(2, "mount point is missing", "umount")
    refused(2, "mount point is missing", "sync")


@test(engine=True)
def help_and_version():
    for command in ([], ["init"], ["mount"], ["umount"], ["sync"], ["passwd"], ["info"], ["check"], ["tar"], ["untar"], ["speed"], ["version"]):
        result = efs(*command, "--help")
        expect("USAGE: efs" in result.out and result.err == "", f"help of {command}")
        expect_equal(efs("help", *command).out.split("USAGE")[1], result.out.split("USAGE")[1], f"help of {command}")
    expect_equal(efs("--version").out.strip(), json.loads(efs("version", "--json").out)["version"])
    expect(efs().out.startswith("OVERVIEW"), "efs alone shows its help")
    for shell in ("bash", "zsh", "fish"):
        script = efs("--generate-completion-script", shell).out
        expect("umount-on-start" in script and "passwd" in script, f"completion for {shell}")
        if shell == "bash":
            run("bash", "-n", "-c", script)


@test(engine=True)
def documented_exit_codes():
    """The table of docs/EXIT_CODES.md and that of the man page hold the same numbers."""
    with open(os.path.join(ROOT, "docs/EXIT_CODES.md")) as file:
        documented = set(re.findall(r"^\| (\d+) \|", file.read(), re.M))
    with open(os.path.join(ROOT, "man/efs.1")) as file:
        manual = set(re.findall(r"^\.It (\d+)$", file.read(), re.M))
    expect_equal(manual, documented, "exit statuses of the man page")
    expect(len(documented) > 10, "no table found")


@test(engine=True)
def data_directories_that_are_none():
    base = scratch("base")
    volume = Volume()
    password = ["--password-file", volume.password_file]
    point = scratch("point")
    missing, empty, full, file = (os.path.join(base, name) for name in ("missing", "empty", "full", "file"))
    os.mkdir(empty), os.mkdir(full)
    for path in (file, os.path.join(full, "letter")):
        with open(path, "w") as handle:
            handle.write("dear sir\n")
    commands = (["info"], ["check", *password], ["passwd", *password, "--new-password-file", volume.password_file])
    for command in (*commands, ["mount", *password]):
        tail = [point] if command[0] == "mount" else []
        refused(17, "missing", *command, missing, *tail)
        refused(10, "full.*not an efs volume", *command, full, *tail)
        expect(efs(*command, file, *tail, ok=False).status in (10, 17), "a file as the data directory")
    for command in commands:
        refused(10, "empty.*not an efs volume", *command, empty)
    refused(17, "missing", "init", *password, os.path.join(missing, "deeper"))
    refused(11, "full.*not empty", "init", *password, full)
    expect(efs("init", *password, file, ok=False).status in (10, 11, 15, 17), "init on a file")
    expect_equal(os.listdir(full), ["letter"], "init touched a directory that was not its own")
    efs("init", *password, empty)
    refused(15, "already", "init", *password, empty)
    efs("init", *password, missing)
    expect(json.loads(efs("info", "--json", missing).out), "info of a created volume")


@test(engine=True)
def passwords_from_everywhere():
    volume = Volume(password="pass word ü")
    volume.create()
    check = ["check", volume.data]
    efs(*check, "--password-file", volume.password_file)
    efs(*check, env={"EFS_PASSWORD": "pass word ü"})
    efs(*check, "--password-command", f"cat '{volume.password_file}'")
    efs(*check, "--password-command", "echo 'pass word ü'; echo more")
    with open(volume.password_file) as file:
        efs(*check, "--password-fd", file.fileno(), pass_fds=[file.fileno()])
    # an option wins over the environment
    efs(*check, "--password-file", volume.password_file, env={"EFS_PASSWORD": "wrong"})
    refused(12, "password", *check, env={"EFS_PASSWORD": "wrong"})
    refused(12, "password", *check, env={"EFS_PASSWORD": "pass word ü "})
    refused(17, "nowhere", *check, "--password-file", "/nowhere")
    refused(2, "status 3", *check, "--password-command", "echo x; exit 3")
    refused(22, "file descriptor 99", *check, "--password-fd", "99")
    refused(17, "no terminal", *check, start_new_session=True)
    result = efs("init", os.path.join(volume.base, "other"), env={"EFS_PASSWORD": ""}, ok=False)
    expect_equal(result.status, 2, "an empty new password")
    big = os.path.join(volume.base, "big")
    with open(big, "wb") as file:
        file.write(b"x" * 200000)
    refused(2, "longer", *check, "--password-file", big)
    if IS_ROOT:
        return
    os.chmod(volume.password_file, 0)
    refused(21, "password", *check, "--password-file", volume.password_file)


def on_terminal(command, answers, seconds=60):
    """Runs on a pseudo-terminal and types each answer when a prompt stands there. Returns status and what was shown."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(command[0], command)
    shown, asked, answers = b"", 0, list(answers)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            data = os.read(terminal, 4096)
        except OSError:
            data = b""
        if not data:
            break
        shown += data
        if answers and shown[asked:].rstrip(b" ").endswith(b":"):
            asked = len(shown)
            os.write(terminal, answers.pop(0).encode() + b"\n")
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status), shown.decode()


@test(engine=True)
def passwords_on_the_terminal():
    volume = Volume()
    status, shown = on_terminal([Settings.efs, "init", volume.data], ["typed secret", "typed secret"])
    expect_equal(status, 0, f"init ({shown})")
    expect("typed secret" not in shown, "the terminal shows the password")
    status, shown = on_terminal([Settings.efs, "check", volume.data], ["typed secret"])
    expect_equal(status, 0, f"check ({shown})")
    status, shown = on_terminal([Settings.efs, "check", volume.data], ["typed wrong"])
    expect_equal(status, 12, f"check with a wrong password ({shown})")
    status, shown = on_terminal([Settings.efs, "passwd", volume.data], ["typed secret", "new secret", "new secret"])
    expect_equal(status, 0, f"passwd ({shown})")
    status, shown = on_terminal([Settings.efs, "check", volume.data], ["new secret"])
    expect_equal(status, 0, f"check ({shown})")
    status, shown = on_terminal([Settings.efs, "passwd", volume.data], ["new secret"] + ["a", "b"] * 3)
    expect_equal(status, 2, f"passwd with two that differ ({shown})")


@test(engine=True)
def password_change():
    volume = Volume(password="old").create()
    new = os.path.join(volume.base, "new")
    with open(new, "w") as file:
        file.write("new one\n")
    before = {name: os.stat(os.path.join(root, name)).st_mtime_ns for root, _, names in os.walk(volume.data) for name in names}
    efs("passwd", volume.data, "--password-file", volume.password_file, "--new-password-file", new)
    refused(12, "password", "check", volume.data, "--password-file", volume.password_file)
    efs("check", volume.data, "--password-file", new)
    refused(12, "password", "passwd", volume.data, "--password-file", volume.password_file, "--new-password-file", new)
    after = {name: os.stat(os.path.join(root, name)).st_mtime_ns for root, _, names in os.walk(volume.data) for name in names}
    changed = {name for name in after if after[name] != before.get(name)}
    expect(changed <= {"efs.volume", "efs.lock"}, f"a change of the password rewrites {changed}")
    refused(2, "empty", "passwd", volume.data, "--password-file", new, "--new-password-file", "/dev/null")
    efs("check", volume.data, "--password-file", new)


@test(engine=True, seconds=900)
def password_change_killed_at_any_time():
    """Whenever it is killed, exactly one of the two passwords opens the volume; in the end both outcomes were seen."""
    volume = Volume(password="p0").create()
    files = []
    for name in ("p0", "p1"):
        files.append(os.path.join(volume.base, name))
        with open(files[-1], "w") as file:
            file.write(name + "\n")
    current, seen = 0, set()
    # How long a change takes is measured again at each that ends by itself, so that a machine that is busy now and idle then does not
    # make all kills too early or too late.
    whole = None
    for attempt in range(72):
        start = time.monotonic()
        process = subprocess.Popen([Settings.efs, "passwd", volume.data, "--password-file", files[current], "--new-password-file", files[1 - current]],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(None if whole is None else whole * (0.3 + 0.04 * (attempt % 24)))
            whole = time.monotonic() - start
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        opens = [efs("check", volume.data, "--password-file", path, ok=False).status for path in files]
        expect(sorted(opens) == [0, 12], f"the passwords open with {opens} after a kill")
        seen.add(opens.index(0) == current)
        current = opens.index(0)
        if attempt >= 20 and len(seen) == 2:
            break
    expect(seen == {True, False}, "the kills were all too early, or all too late")


@test(engine=True, needs=("prlimit", "setpriv"))
def keys_that_cannot_be_locked():
    # Root may lock without limit, unless it gives that up.
    limited = ["prlimit", "--memlock=0:0"] + (["setpriv", "--inh-caps=-ipc_lock", "--bounding-set=-ipc_lock"] if IS_ROOT else [])
    volume = Volume()
    made = run(*limited, Settings.efs, "init", volume.data, "--password-file", volume.password_file)
    mounted = run(*limited, Settings.efs, "mount", volume.data, volume.path, "--password-file", volume.password_file)
    volume.umount()
    for result in (made, mounted):
        lines = [line for line in result.err.splitlines() if "locked" in line]
        expect(len(lines) == 1 and lines[0].startswith("efs: warning: ") and "ulimit -l" in lines[0], f"it said {result.err!r}")
    if IS_ROOT:
        expect_equal(volume.mount().err, "", "with enough locked memory")
        volume.umount()


@test(engine=True)
def info_and_check_answer():
    volume = Volume().create("--cipher", "chacha20poly1305")
    information = json.loads(efs("info", "--json", volume.data).out)
    expect_equal(information["cipher"], "ChaCha20Poly1305", "cipher")
    expect_equal(information["format"], 1, "format")
    expect(re.fullmatch("[0-9a-f]{32}", information["volumeID"]), "volume id")
    slot = information["keySlots"][0]
    expect(slot["source"] == "password" and slot["passes"] >= 1 and slot["memoryKibibytes"] >= 8192, f"key slot {slot}")
    expect("ChaCha20Poly1305" in efs("info", volume.data).out)
    report = json.loads(efs("check", "--json", volume.data, "--password-file", volume.password_file).out)
    expect(report["clean"] and report["problems"] == [] and report["generation"] > 0, f"check of a new volume: {report}")
    rows = json.loads(efs("speed", "--json", "--seconds", "0.02").out)
    expect_equal({row["cipher"] for row in rows}, {"Aes256Gcm", "ChaCha20Poly1305", "Aes256GcmSiv"}, "ciphers")
    expect(all(row["sealMebibytesPerSecond"] > 0 for row in rows))
    for cipher in ("Aes256Gcm", "Aes256GcmSiv"):
        other = Volume(name=cipher).create("-c", cipher)
        expect_equal(json.loads(efs("info", "--json", other.data).out)["cipher"], cipher)


@test(engine=True)
def damaged_and_newer_headers():
    volume = Volume().create()
    path = os.path.join(volume.data, "efs.volume")
    with open(path, "rb") as file:
        good = file.read()

    def with_header(content):
        with open(path, "wb") as file:
            file.write(content)

    open_it = ["check", volume.data, "--password-file", volume.password_file]
    newer = bytearray(good)
    newer[8:12] = (2).to_bytes(4, "little")
    with_header(newer)
    refused(14, "format 2", *open_it)
    refused(14, "format 2", "info", volume.data)
    for size in (9, 40, len(good) - 1):
        with_header(good[:size])
        refused(13, "damaged", *open_it)
    with_header(b"")
    expect(efs(*open_it, ok=False).status in (10, 13), "an empty header")
    with_header(good + b"\0")
    refused(13, "damaged", "info", volume.data)
    for place in range(0, len(good), 1 if len(good) < 400 else 3):
        bad = bytearray(good)
        bad[place] ^= 0x10
        with_header(bad)
        result = efs("info", volume.data, ok=False)
        expect(result.status in (10, 13, 14), f"a flipped bit at {place} gives {result.status}: {result.err}")
    with_header(os.urandom(4096))
    expect_equal(efs(*open_it, ok=False).status, 10, "random bytes as a header")
    os.unlink(path)
    refused(10, "not an efs volume", *open_it)
    os.mkdir(path)
    expect(efs(*open_it, ok=False).status in (10, 13, 22), "a directory as a header")
    os.rmdir(path)
    with_header(good)
    efs(*open_it)


@test(engine=True, root=True)
def disks_that_cannot_be_written():
    password = ["--password-file", Volume().password_file]
    with small_disk(8, make_options=["-m", "0"]) as disk:
        with open(os.path.join(disk, "filler"), "wb") as file:
            try:
                while True:
                    file.write(bytes(4096))
                    file.flush()
            except OSError:
                pass
        refused(19, "space", "init", *password, os.path.join(disk, "data"))
        expect(not os.path.exists(os.path.join(disk, "data", "efs.volume")), "a header of a volume that is none")
    with small_disk(400) as disk:
        data = os.path.join(disk, "data")
        efs("init", *password, data)
        run("mount", "-o", "remount,ro", disk)
        refused(20, "[Rr]ead-only", "init", *password, os.path.join(disk, "more"))
        refused(20, "[Rr]ead-only", "passwd", *password, "--new-password-file", password[1], data)
        refused(20, "[Rr]ead-only", "mount", *password, data, scratch("point"))
        efs("check", *password, data)
        efs("info", data)


@test(engine=True, root=True)
def rights_that_are_missing():
    base = scratch("base")
    os.chmod(base, 0o755)
    volume = Volume().create()
    os.chmod(volume.data, 0o700)
    os.chmod(volume.password_file, 0o644)
    os.chmod(Context.directory, 0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    for arguments in (["info", volume.data], ["check", volume.data, "--password-file", volume.password_file],
                      ["init", os.path.join(base, "new"), "--password-file", volume.password_file]):
        result = run(*nobody, Settings.efs, *arguments, ok=False, env={"HOME": "/nonexistent"})
        expect_equal(result.status, 21, f"'efs {arguments[0]}' without rights: {result.err}")
