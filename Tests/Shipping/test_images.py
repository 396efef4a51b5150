"""The container images: built by buildah from the packages, and running, without a Docker engine or a registry."""
import contextlib
import json
import os
import signal
import socket
import subprocess

import debian
from harness import ROOT, Context, Failed, efs, expect, expect_equal, note, run, scratch, test, wait_until

BASE = "localhost/debian:12-slim"


class Buildah:
    """Images and containers in the test's own directory."""

    def __init__(self):
        # Each in namespaces of its own, which take with them whatever is left of it.
        self.storage = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "buildah", "--storage-driver", "vfs",
                        "--root", os.path.join(scratch("buildah"), "root"), "--runroot", os.path.join(scratch("buildah"), "run"))
        context = scratch("base")
        run("cp", "--reflink=auto", debian.BASE, os.path.join(context, "base.tar"))
        with open(os.path.join(context, "Dockerfile"), "w") as file:
            file.write("FROM scratch\nADD base.tar /\n")
        self.build(BASE, "--file", os.path.join(context, "Dockerfile"), context)

    def __call__(self, *arguments, **options):
        return run(*self.storage, *arguments, **options)

    def build(self, tag, *arguments):
        return self("bud", "--isolation", "chroot", "--format", "docker", "--pull-never", "--tag", tag, *arguments, timeout=1200)

    def image(self, name):
        """Builds docker/NAME with the packages of `make deb`. Gives its configuration."""
        tag = f"localhost/efs-{name}"
        self.build(tag, "--file", os.path.join(ROOT, "docker", name, "Dockerfile"), "--build-arg", f"BASE_IMAGE={BASE}",
                   "--build-arg", f"BUILD_IMAGE={BASE}", "--build-arg", "PACKAGES=prebuilt", ROOT)
        configuration = json.loads(self("inspect", "--type", "image", tag).out)["Docker"]["config"]
        layers = json.loads(json.loads(self("inspect", "--type", "image", tag).out)["Manifest"])["layers"]
        note(f"{tag}: {sum(layer['size'] for layer in layers[1:]) >> 20} MiB more than its base")
        return tag, configuration


class Container:
    def __init__(self, buildah, tag, volumes=()):
        """`volumes` are pairs of a directory here and one there."""
        self.buildah = buildah
        self.name = buildah("from", "--pull-never", tag).out.strip()
        self.volumes = [word for pair in volumes for word in ("--volume", ":".join(pair))]

    def command(self, *command):
        return (*self.buildah.storage, "run", "--isolation", "chroot", *self.volumes, self.name, "--", *command)

    def run(self, *command, **options):
        """`docker exec`."""
        return run(*self.command(*command), **options)

    @contextlib.contextmanager
    def running(self, *command):
        """`docker run -d`, then `docker stop`."""
        log = open(os.path.join(scratch("logs"), "log"), "ab")
        process = subprocess.Popen(self.command(*command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield process
        finally:
            for inner in below(process.pid):
                if name_of(inner) == os.path.basename(command[0]):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(inner, signal.SIGTERM)
            try:
                status = process.wait(60)
            except subprocess.TimeoutExpired:
                for each in [*below(process.pid), process.pid]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(each, signal.SIGKILL)
                process.wait()
                raise Failed("the container did not end at SIGTERM") from None
        expect_equal(status, 0, "the container's exit status: " + log_text())


def log_text():
    with open(os.path.join(Context.directory, "logs/log")) as file:
        return file.read()[-1500:]


def below(process):
    """The processes that it started, and theirs."""
    found = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/children") as file:
                for child in map(int, file.read().split()):
                    found += [child, *below(child)]
    return found


def name_of(process):
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return os.path.basename(file.read().split(b"\0")[0].decode())
    except OSError:
        return ""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def not_root(container, user):
    expect_equal(container.run("id", "-u").out.strip(), user, "the container's user")
    found = container.run("find", "/usr", "-newer", "/etc/debian_version", "-path", "*efs*", "-perm", "/6000").out
    expect_equal(found, "", "files of ours that run as somebody else")


def health(container, configuration):
    words = configuration["Healthcheck"]["Test"]
    expect_equal(words[0], "CMD", "the health check's form")
    return container.run(*words[1:], ok=False).status == 0


@test(root=True, seconds=1800, needs=("buildah",))
def server_and_client():
    """The seed of all this: a server in a container, administered by exec, and a client in another."""
    buildah = Buildah()
    tag, configuration = buildah.image("server")
    expect_equal(configuration["Entrypoint"], ["efs-server"], "what the server's image runs")
    expect_equal(sorted(configuration["Volumes"]), ["/efs", "/var/lib/efs-server-state"], "its volumes")
    expect_equal([port.removesuffix("/tcp") for port in configuration["ExposedPorts"]], ["443"], "its ports")
    # The image's own volumes stay with the container: buildah mounts them over or under others of the same place, as it comes.
    server = Container(buildah, tag)
    not_root(server, "10443")
    expect(not health(server, configuration), "a server that does not run is healthy")
    port, key = free_port(), secret()
    words = [*configuration["Entrypoint"], "--address", "127.0.0.1", "--host", "127.0.0.1", "--port", port, "--metrics-address", "none"]
    with server.running(*words):
        wait_until(lambda: health(server, configuration), 60, "the server is not healthy: " + log_text())
        expect_equal(json.loads(server.run("efsctl", "status").out)["state"], "sealed", "without its key it is")
        refused = server.run("efsctl", "create-fs", "user-data", ok=False)
        expect(refused.status != 0 and "sealed" in refused.err, f"it says {refused.err}")
        with open(key, "rb") as file:
            server.run("efsctl", "unseal", input=file.read())
        expect("Creating '/efs/user-data'" in server.run("efsctl", "create-fs", "user-data").out, "create-fs says something else")
        server.run("efsctl", "create-user", "app1", "--fs", "user-data")
        keys = scratch("keys")
        for name in ("priv.pgp", "client.pem"):
            with open(os.path.join(keys, name), "wb") as file:
                subprocess.run(server.command("cat", f"/efs/user-data/system/users/app1/{name}"), stdout=file, check=True)
            os.chown(os.path.join(keys, name), 1000, 1000)
            os.chmod(os.path.join(keys, name), 0o600)
        os.chown(keys, 1000, 1000)
        client = a_client(buildah, keys)
        shell = ("efsc", "-h", f"127.0.0.1:{port}", "-u", "priv.pgp", "-c", "client.pem")
        client.run(*shell, "-e", "post /patient/0/diagnostic.pdf", input=b"what nobody else shall read\n")
        expect("diagnostic.pdf" in client.run(*shell, "-e", "ls /patient/0").out, "ls does not show it")
        expect_equal(client.run(*shell, "-e", "get /patient/0/diagnostic.pdf").out, "what nobody else shall read\n", "what comes back")
    expect_equal(server.run("grep", "-rq", "what nobody else", "/efs", ok=False).status, 1, "plain text in the volume: grep")
    # Started again, with the key as a secret: open by itself.
    server.volumes = ["--volume", f"{os.path.dirname(key)}:/run/secrets:ro"]
    with server.running(*words):
        wait_until(lambda: health(server, configuration), 60, "the server is not healthy: " + log_text())
        expect_equal(json.loads(server.run("efsctl", "status").out)["state"], "ready", "with its secret it is")
        expect_equal(client.run(*shell, "-e", "get /patient/0/diagnostic.pdf").out, "what nobody else shall read\n", "what comes back")
    expect_equal(server.run("find", "/efs", "/var/lib/efs-server-state", "-name", "*starter*").out, "", "starter keys beside the data")


def secret():
    """A starter key as a secret that only the container's user can read."""
    key = os.path.join(scratch("secrets"), "efs-starter-key")
    run("openssl", "rand", "-hex", "-out", key, "32")
    os.chown(key, 10443, 10443)
    os.chmod(key, 0o400)
    return key


def a_client(buildah, keys):
    tag, configuration = buildah.image("client")
    expect_equal(configuration["WorkingDir"], "/keys", "where the client's image begins")
    client = Container(buildah, tag, [(keys, "/keys")])
    not_root(client, "1000")
    expect(health(client, configuration), "the client's health check fails")
    expect_equal(client.run("efs", "version").out, efs("version").out, "efs version")
    return client


@test(root=True, seconds=600, needs=("buildah",))
def no_packages_no_image():
    """What is asked for and not there is said, and nothing old is taken instead."""
    buildah = Buildah()
    empty = scratch("tree")
    run("cp", "-r", os.path.join(ROOT, "docker"), empty)
    said = run(os.path.join(empty, "docker/make-packages"), "prebuilt", ok=False)
    expect(said.status == 1 and ".build/packages has no packages" in said.err, f"{said.status}: {said.err}")
    result = buildah("bud", "--isolation", "chroot", "--pull-never", "--tag", "localhost/none", "--file", os.path.join(empty, "docker/server/Dockerfile"),
                     "--build-arg", f"BASE_IMAGE={BASE}", "--build-arg", f"BUILD_IMAGE={BASE}", "--build-arg", "PACKAGES=prebuilt", empty, ok=False)
    expect(result.status != 0 and "docker/make-packages" in result.err + result.out, f"{result.status}: {result.err[-500:]}")
    expect("localhost/none" not in buildah("images").out, "there is an image all the same")
