"""The clients against a real server: real TLS on loopback, keys by gpg and by ssh-keygen."""
import json
import os
import pty
import select
import signal
import socket
import subprocess

from harness import MIB, Settings, Skipped, expect, expect_equal, run, scratch, test, wait_until
from test_places import make_tree, tree_of


def program(name):
    path = os.path.join(os.path.dirname(Settings.efs), name)
    if not os.path.exists(path):
        raise Skipped(f"{path} is not built")
    return path


class Server:
    """A server with a file system and users, and a home for a client."""

    def __init__(self, name="server", metrics="none"):
        self.metrics = metrics
        self.base = scratch(name)
        self.root = os.path.join(self.base, "root")
        self.key = os.path.join(self.base, "starter.key")
        self.home = os.path.join(self.base, "home")
        os.makedirs(self.home)
        os.chmod(self.home, 0o700)
        self.environment = {**os.environ, "HOME": self.home, "GNUPGHOME": os.path.join(self.home, "gnupg")}
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            self.environment.pop(name, None)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        run(program("efs-server"), "make-starter-key", self.key)
        self.process = None

    def __enter__(self):
        self.start()
        self.control("create-fs", "user-data")
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.process = subprocess.Popen(
            [program("efs-server"), "--root", self.root, "--address", "127.0.0.1", "--port", str(self.port), "--host", "127.0.0.1",
             "--metrics-address", self.metrics, "--starter-key-file", self.key], stdin=subprocess.DEVNULL,
            stderr=open(os.path.join(self.base, "log"), "ab"))
        wait_until(lambda: self.is_up(), 60, "the server's port")

    def is_up(self):
        expect(self.process.poll() is None, "the server ended: " + open(os.path.join(self.base, "log")).read()[-2000:])
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def control(self, *arguments, **options):
        return run(program("efsctl"), *arguments, "--socket", os.path.join(self.root, "server/admin.sock"), **options)

    def run(self, *command, **options):
        return run(*command, env=self.environment, **options)

    def efs(self, *arguments, **options):
        return self.run(Settings.efs, *arguments, **options)

    def key_by_gpg(self, user):
        os.makedirs(self.environment["GNUPGHOME"], mode=0o700, exist_ok=True)
        gpg = ("gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")
        public, secret = (os.path.join(self.home, f"{user}.{kind}.pgp") for kind in ("pub", "priv"))
        self.run(*gpg, "--quick-generate-key", f"{user} <{user}@example.org>", "ed25519", "sign", "never")
        self.run(*gpg, "--armor", "--output", public, "--export", user)
        self.run(*gpg, "--output", secret, "--export-secret-keys", user)
        self.run("gpgconf", "--kill", "all")
        return public, secret

    def key_by_ssh(self, user, passphrase=""):
        secret = os.path.join(self.home, f"{user}.ssh")
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", secret)
        return secret + ".pub", secret

    def add_user(self, user, keys, *arguments):
        """The user's secret key and client bundle."""
        public, secret = keys
        self.control("create-user", user, "--fs", "user-data", "--key", public, *arguments)
        bundle = os.path.join(self.home, f"{user}.pem")
        run("cp", os.path.join(self.root, "user-data/system/users", user, "client.pem"), bundle)
        return secret, bundle

    def add_remote(self, name, secret, bundle, *arguments):
        self.efs("remote", "add", name, "--host", f"127.0.0.1:{self.port}", "--user-key", secret, "--cert", bundle, *arguments)


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


def read_until(descriptor, text, seconds=30):
    """What a program shows at a terminal, up to and with `text`."""
    shown = ""
    while text not in shown:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        expect(ready, f"waiting for {text!r}, got {shown!r}")
        try:
            shown += os.read(descriptor, 65536).decode(errors="replace")
        except OSError:
            expect(False, f"it ended without {text!r}: {shown!r}")
    return shown


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

        process, terminal = pty.fork()
        if process == 0:
            os.execve(shell[0], shell, server.environment)
        try:
            read_until(terminal, "efs> ")
            os.write(terminal, b"post /patient/0/diagnostic.txt\n")
            read_until(terminal, "Paste content:")
            os.write(terminal, b"a diagnosis\n\x04")
            read_until(terminal, "Done.")
            read_until(terminal, "efs> ")
            # Completion: two directories to their end, and the file.
            os.write(terminal, b"get /pat\t0\t")
            read_until(terminal, "/patient/0/")
            os.write(terminal, b"\t\n")
            read_until(terminal, "a diagnosis")
            os.write(terminal, b"clear-cache\n")
            read_until(terminal, "(y/N) : ")
            os.write(terminal, b"y\n")
            read_until(terminal, "Cache cleared.")
            os.write(terminal, b"stop\n")
            read_until(terminal, "shutting down")
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            os.close(terminal)
