"""The clients against a real server: real TLS on loopback, keys by gpg and by ssh-keygen."""
import json
import os
import pty
import select
import signal
import subprocess

from harness import MIB, Settings, expect, expect_equal, test, wait_until
from server import Server, program, read_until
from test_places import make_tree, tree_of


@test(engine=True, seconds=600, needs=("gpg", "ssh-keygen"))
def copying_to_a_server_and_back():
    with Server() as server:
        for user, keys in (("app1", server.key_by_gpg("app1")), ("app2", server.key_by_ssh("app2"))):
            server.add_remote(user, *server.add_user(user, keys))
            source = os.path.join(server.base, f"source-{user}")
            make_tree(source)
            with open(os.path.join(source, "huge.bin"), "wb") as file:
                file.write(os.urandom(40 * MIB + 12345))
            server.efs("cp", "-r", source, f"{user}:/{user}/")
            back = os.path.join(server.base, f"back-{user}")
            server.efs("cp", "-r", f"{user}:/{user}/source-{user}", back)
            expect_equal(tree_of(back), tree_of(source), "what came back")
            summary = server.efs("cp", "--sync", "--json", source, f"{user}:/{user}/source-{user}").out.splitlines()[-1]
            expect_equal(json.loads(summary)["unchangedFiles"], 6, "the second time")
            summary = server.efs("cp", "--sync", "--checksum", "--json", f"{user}:/{user}/source-{user}", back).out.splitlines()[-1]
            expect_equal(json.loads(summary)["unchangedFiles"], 6, "by content")
        mode = os.stat(os.path.join(server.home, ".config/efs/config.toml")).st_mode & 0o777
        expect_equal(mode, 0o600, "mode of the configuration")


@test(engine=True, seconds=300, needs=("ssh-keygen",))
def verbs_on_a_server():
    with Server() as server:
        server.add_remote("drive", *server.add_user("app1", server.key_by_ssh("app1")))
        path = os.path.join(server.base, "file")
        with open(path, "w") as file:
            file.write("hello\n")
        server.efs("mkdir", "drive:/a/b")
        server.efs("cp", path, "drive:/a/b/")
        expect_equal(server.efs("cat", "drive:/a/b/file").out, "hello\n")
        server.efs("mv", "drive:/a/b/file", "drive:/a/moved")
        expect_equal(server.efs("ls", "drive:/a").out, "b/\nmoved\n")
        expect_equal(json.loads(server.efs("stat", "--json", "drive:/a/moved").out)["size"], 6)
        expect_equal(server.efs("cat", "drive:/a/b/file", ok=False).status, 17, "what is gone")
        server.efs("rm", "-r", "drive:/a")
        expect_equal(server.efs("ls", "drive:/").out, "")
        server.efs("remote", "remove", "drive")
        expect_equal(server.efs("ls", "drive:/", ok=False).status, 17, "a remote that is removed")


@test(engine=True, seconds=300, needs=("ssh-keygen",))
def closed_doors():
    with Server() as server:
        one = server.add_user("app1", server.key_by_ssh("app1"))
        two = server.add_user("app2", server.key_by_ssh("app2"))
        server.add_remote("crossed", one[0], two[1])
        expect_equal(server.efs("ls", "crossed:/", ok=False).status, 24, "another user's certificate")
        server.add_remote("posing", one[0], two[1], "--user", "app1")
        expect_equal(server.efs("ls", "posing:/", ok=False).status, 24, "another user's certificate and name")
        server.add_remote("good", *one)
        server.efs("ls", "good:/")
        server.control("revoke-user", "app1")
        expect_equal(server.efs("ls", "good:/", ok=False).status, 24, "a revoked user")
        server.stop()
        expect_equal(server.efs("ls", "good:/", ok=False).status, 23, "a server that is not there")
    with Server("other") as other:
        bundle = two[1]
        other.add_remote("foreign", two[0], bundle)
        expect_equal(other.efs("ls", "foreign:/", ok=False).status, 24, "another server")


@test(engine=True, seconds=300, needs=("ssh-keygen",))
def uploads_go_on_after_the_server_was_killed():
    with Server() as server:
        server.add_remote("drive", *server.add_user("app1", server.key_by_ssh("app1")))
        path = os.path.join(server.base, "file")
        content = os.urandom(64 * MIB)
        with open(path, "wb") as file:
            file.write(content)
        client = subprocess.Popen(
            [Settings.efs, "cp", "--bwlimit", "16M", path, "drive:/file"], env=server.environment, stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE)
        notes = os.path.join(server.home, ".local/state/efs/uploads")
        wait_until(lambda: os.path.isdir(notes) and os.listdir(notes), 30, "the note of the upload")
        server.stop(signal.SIGKILL)
        error = client.communicate(timeout=120)[1].decode()
        expect_equal(client.returncode, 23, f"status of the cut copy ({error})")
        server.start()
        expect_equal(server.efs("ls", "drive:/").out, "", "after the cut")
        server.efs("cp", path, "drive:/file")
        back = os.path.join(server.base, "back")
        server.efs("cp", "drive:/file", back)
        with open(back, "rb") as file:
            expect(file.read() == content, "the content is another")
        expect_equal(os.listdir(notes), [], "notes that are left")


@test(engine=True, seconds=300, needs=("gpg",))
def the_shell():
    with Server() as server:
        secret, bundle = server.add_user("app1", server.key_by_gpg("app1"))
        shell = (program("efsc"), "-h", f"127.0.0.1:{server.port}", "-u", secret, "-c", bundle)
        out = server.run(*shell, "-e", "mkdir /a", "-e", "ls").out
        expect_equal(out.split(), ["a/"], "ls")
        server.run(*shell, "--batch", input=b"post /a/x\nthe content\nof a file")
        expect_equal(server.run(*shell, "-e", "get /a/x").out, "the content\nof a file")
        expect_equal(server.run(*shell, "-e", "get /nothing", "-e", "mkdir /b", ok=False).status, 17, "a command that fails")
        expect_equal(server.run(*shell, "-e", "ls").out.split(), ["a/"], "nothing after a failure")

        def talk(*steps):
            """At a terminal: what is typed, and what is waited for then. Waits for the shell's end."""
            process, terminal = pty.fork()
            if process == 0:
                os.execve(shell[0], shell, server.environment)
            try:
                read_until(terminal, "efs> ")
                for typed, waits in steps:
                    os.write(terminal, typed)
                    read_until(terminal, waits)
                descriptor = os.pidfd_open(process)
                expect(select.select([descriptor], [], [], 30)[0], "the shell does not end")
                os.close(descriptor)
            finally:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                os.close(terminal)

        talk((b"help\n", "clear-cache           deletes"),
             (b"post /patient/0/diagnostic.txt\n", "Paste content:"), (b"a diagnosis\n\x04", "Encryption...\r\nStorage...\r\nDone.\r\nefs> "),
             # Completion: two directories to their end, and the file.
             (b"get /pat\t", "ient/"), (b"0\t", "/"), (b"\t\n", "a diagnosis"),
             (b"cd /patient\n", "efs> "), (b"ls\n", "0/"), (b"stat 0/diagnostic.txt\n", "size:      12"), (b"mv 0/diagnostic.txt /moved\n", "efs> "),
             (b"get /nothing\n", "there is nothing at this path"), (b"rm /moved\n", "efs> "),
             (b"clear-cache\n", "(y/N) : "), (b"n\n", "Nothing was done."), (b"clear-cache\n", "(y/N) : "), (b"y\n", "Cache cleared."),
             (b"stop\n", "shutting down"))
        history = os.path.join(server.home, ".local/state/efs/efsc-history")
        expect_equal(os.stat(history).st_mode & 0o777, 0o600, "mode of the history")
        # The lines of the session before are there.
        talk((b"\x1b[A\x1b[A", "clear-cache"), (b"\n", "(y/N) : "), (b"y\n", "Cache cleared."), (b"stop\n", "shutting down"))
        expect_equal(server.run(*shell, "-e", "ls /patient/0").out, "", "what was moved and removed")
        server.run(*shell, "--batch", input=b"# a comment\nmkdir '/a b'\npost \"/a b/c\"\nx")
        expect_equal(server.run(*shell, "-e", "get '/a b/c'").out, "x", "quoted")
        expect_equal(server.run(*shell, "-e", "frobnicate", ok=False).status, 2, "no command")


@test(engine=True, seconds=300, needs=("ssh-keygen",))
def names_that_are_no_utf8_go_both_ways():
    with Server() as server:
        server.add_remote("drive", *server.add_user("app1", server.key_by_ssh("app1")))
        base = os.fsencode(server.base)
        source = os.path.join(base, b"source")
        contents = {b"\xff\xfe": b"one", b"na\xefve/caf\xe9.txt": b"two", b"na\xefve/plain": b"three", b"large \x80": os.urandom(17 * MIB), b"100%": b"per cent"}
        for name, content in contents.items():
            path = os.path.join(source, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content)

        def read(top):
            found = {}
            for here, _, files in os.walk(os.path.join(base, top)):
                for name in files:
                    with open(os.path.join(here, name), "rb") as file:
                        found[os.path.relpath(os.path.join(here, name), os.path.join(base, top))] = file.read()
            return found

        server.efs("cp", "-r", os.path.join(server.base, "source"), "drive:/")
        server.efs("cp", "-r", "drive:/source", os.path.join(server.base, "back"))
        expect(read(b"back") == contents, f"what came back: {sorted(read(b'back'))}")
        summary = json.loads(server.efs("cp", "--sync", "--json", os.path.join(server.base, "source"), "drive:/source").out.splitlines()[-1])
        expect_equal((summary["unchangedFiles"], summary["copiedFiles"], summary["removed"]), (5, 0, 0), "the second time")
        listed = {json.loads(line).get("namePercentEncoded") for line in server.efs("ls", "--json", "drive:/source").out.splitlines()}
        expect_equal(listed, {"%FF%FE", "na%EFve", "large%20%80", None}, "names of the listing")
        expect_equal(server.efs("cat", "efs://drive/source/%FF%FE").out, "one", "by its percent-encoded name")
        expect_equal(server.efs("cat", "drive:/source/100%").out, "per cent", "elsewhere a per cent sign is one")
        server.efs("mv", "efs://drive/source/na%EFve/caf%E9.txt", "efs://drive/source/%AA")
        server.efs("cp", "efs://drive/source/%AA", os.path.join(server.base, "aa"))
        server.efs("cp", f"file://{server.base}/source/%FF%FE", "efs://drive/taken/%C0")
        expect_equal(server.efs("cat", "efs://drive/taken/%C0").out, "one", "from a local name")
        server.efs("rm", "efs://drive/source/%AA")
        expect_equal(server.efs("cat", "efs://drive/source/%AA", ok=False).status, 17, "what is removed")
        os.unlink(os.path.join(source, b"\xff\xfe"))
        server.efs("cp", "--sync", os.path.join(server.base, "source"), "drive:/source")
        expect_equal(server.efs("cat", "efs://drive/source/%FF%FE", ok=False).status, 17, "what the source lacks")


def audit(server):
    with open(os.path.join(server.root, "log/audit.log")) as file:
        return [json.loads(line) for line in file]


@test(engine=True, seconds=300, needs=("ssh-keygen",))
def options_of_a_copy():
    with Server() as server:
        server.add_remote("drive", *server.add_user("app1", server.key_by_ssh("app1")))
        source, back = (os.path.join(server.base, name) for name in ("source", "back"))
        make_tree(source)
        lines = [json.loads(line) for line in server.efs("cp", "-r", "--dry-run", "--json", source, "drive:/").out.splitlines()]
        expect_equal([line["event"] for line in lines], ["wouldCopy"] * 5 + ["summary"], "events of a dry run")
        expect_equal(server.efs("ls", "drive:/").out, "", "what a dry run left")
        server.efs("cp", "-r", "--exclude", "*.tmp", "--include", "*.txt", "--include", "*.tmp", source, "drive:/")
        server.efs("cp", "-r", "drive:/source", back)
        expect_equal(sorted(name for name in tree_of(back) if "." in name), ["a.txt", "sub/deeper/\u00e9 \u4e2d.txt"], "included and not excluded")
        # What has another content but the same size and time is seen by its digest, which the server tells.
        server.efs("cp", "-r", "--jobs", "16", source, "drive:/")
        for name in ("a.txt", "sub/big.bin"):
            path = os.path.join(source, name)
            state = os.stat(path)
            with open(path, "r+b") as file:
                file.write(b"two")
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        summary = json.loads(server.efs("cp", "--sync", "--json", source, "drive:/source").out.splitlines()[-1])
        expect_equal(summary["copiedFiles"], 0, "by size and time")
        before = len(audit(server))
        summary = json.loads(server.efs("cp", "--sync", "--checksum", "--json", source, "drive:/source").out.splitlines()[-1])
        expect_equal((summary["copiedFiles"], summary["unchangedFiles"]), (2, 3), "by content")
        asked = [entry for entry in audit(server)[before:] if entry["op"] == "HEAD" and entry["status"] == 200]
        expect_equal(len(asked), 5, "digests that the server was asked for")
        # One of several fails: the rest goes on, and the status says so.
        os.makedirs(os.path.join(server.base, "blocked/a.txt/in the way"))
        failed = server.efs("cp", "-r", "drive:/source/a.txt", "drive:/source/empty", os.path.join(server.base, "blocked"), ok=False)
        expect_equal(failed.status, 26, f"one of two ({failed.err})")
        expect(os.path.exists(os.path.join(server.base, "blocked/empty")), "the other one")
        expect_equal(server.efs("cp", source, "drive:/x", ok=False).status, 2, "a directory without -r")
        expect_equal(server.efs("cp", "drive:/nothing", back, ok=False).status, 17, "nothing")
        # A bar on a terminal.
        process, terminal = pty.fork()
        if process == 0:
            os.execve(Settings.efs, [Settings.efs, "cp", "--bwlimit", "4M", os.path.join(source, "sub/big.bin"), "drive:/bar"], server.environment)
        try:
            shown = read_until(terminal, "copied 1 file")
            expect("[####" in shown and "%" in shown, f"no bar: {shown!r}")
        finally:
            os.waitpid(process, 0)
            os.close(terminal)


@test(engine=True, seconds=300, needs=("ssh-keygen",))
def downloads_go_on_after_the_client_was_killed():
    with Server() as server:
        server.add_remote("drive", *server.add_user("app1", server.key_by_ssh("app1")))
        path, back = (os.path.join(server.base, name) for name in ("file", "back"))
        content = os.urandom(48 * MIB)
        with open(path, "wb") as file:
            file.write(content)
        server.efs("cp", path, "drive:/file")
        client = subprocess.Popen([Settings.efs, "cp", "--bwlimit", "16M", "drive:/file", back], env=server.environment, stdin=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)

        def part():
            sizes = [os.path.getsize(os.path.join(server.base, name)) for name in os.listdir(server.base) if name.endswith(".efs-part")]
            return sizes and sizes[0] > 8 * MIB

        wait_until(part, 60, "a part of the file")
        client.kill()
        client.wait()
        expect(not os.path.exists(back), "a part has the file's name")
        server.efs("cp", "drive:/file", back)
        with open(back, "rb") as file:
            expect(file.read() == content, "the content is another")
        expect_equal([name for name in os.listdir(server.base) if name.endswith(".efs-part")], [], "parts that are left")
        expect(any(entry["op"] == "GET" and entry["status"] == 206 for entry in audit(server)), "all of it was fetched again")


@test(engine=True, seconds=300, needs=("ssh-keygen",))
def archives_of_what_a_server_has():
    with Server() as server:
        server.add_remote("drive", *server.add_user("app1", server.key_by_ssh("app1")))
        source, back = (os.path.join(server.base, name) for name in ("source", "back"))
        make_tree(source)
        server.efs("cp", "-r", source, "drive:/")
        password, archive = (os.path.join(server.base, name) for name in ("password.txt", "drive.efs.tar.gz.aes"))
        with open(password, "w") as file:
            file.write("a long password of an archive\n")
        os.chmod(password, 0o600)
        server.efs("tar", "--fs", "drive", "--exclude", "*.tmp", "-o", archive, "-p", password)
        server.efs("untar", archive, "-C", back, "-p", password)
        wanted = {name: state for name, state in tree_of(source).items() if not name.endswith(".tmp")}
        expect_equal(tree_of(os.path.join(back, "source")), wanted, "what came out of the archive")
        part = os.path.join(server.base, "sub.tar.zst")
        server.efs("tar", "--fs", "drive:/source/sub/deeper", "-o", part)
        expect("\u00e9 \u4e2d.txt" in server.run("tar", "--zstd", "-tf", part, "--quoting-style=literal").out, "a directory's own archive")
        expect_equal(server.efs("tar", "--fs", "nowhere", "-o", part, ok=False).status, 17, "a remote that is not noted")
        expect_equal(server.efs("untar", archive, "--fs", "drive", "-p", password, ok=False).status, 2, "restoring to a server")
