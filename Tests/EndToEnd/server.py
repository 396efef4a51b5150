"""What tests of the server and its clients stand on: a server of their own, and a client that says exactly what it is told to."""
import base64
import hashlib
import http.client
import json
import os
import select
import signal
import socket
import ssl
import struct
import subprocess

from harness import Settings, Skipped, expect, run, scratch, wait_until

HOST = "127.0.0.1"
# Users whom a program of the tests makes; the curve's number in a public key's DER (RFC 8410).
ED25519_PREFIX_BYTES = 12


def program(name):
    path = os.path.join(os.path.dirname(Settings.efs), name)
    if not os.path.exists(path):
        raise Skipped(f"{path} is not built")
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Server:
    """A server with a file system and users, and a home for a client."""

    def __init__(self, name="server", options=()):
        self.base = scratch(name)
        self.root = os.path.join(self.base, "root")
        self.key = os.path.join(self.base, "starter.key")
        self.home = os.path.join(self.base, "home")
        self.options = list(options)
        os.makedirs(self.home, mode=0o700)
        self.environment = {**os.environ, "HOME": self.home, "GNUPGHOME": os.path.join(self.home, "gnupg"),
                            "XDG_CONFIG_HOME": os.path.join(self.home, ".config"), "XDG_STATE_HOME": os.path.join(self.home, ".local/state"),
                            "EFS_ADMIN_SOCKET": os.path.join(self.root, "server/admin.sock")}
        self.port = free_port()
        run(program("efs-server"), "make-starter-key", self.key)
        self.process = None

    def __enter__(self):
        self.start()
        self.control("create-fs", "user-data")
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        with open(os.path.join(self.base, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [program("efs-server"), "--root", self.root, "--address", HOST, "--port", str(self.port), "--host", HOST,
                 "--starter-key-file", self.key, "--metrics-address", "none", *self.options], stdin=subprocess.DEVNULL, stderr=log)
        wait_until(self.is_up, 60, "the server's port")

    def log(self):
        with open(os.path.join(self.base, "log"), errors="replace") as file:
            return file.read()

    def is_up(self):
        expect(self.process.poll() is None, "the server ended: " + self.log()[-2000:])
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                expect(False, "the server did not end")

    def kill(self):
        self.stop(signal.SIGKILL)

    def control(self, *arguments, **options):
        return self.run(program("efsctl"), *arguments, **options)

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

    def key_by_openssl(self, user):
        """A raw public key in base64, and the secret one as openssl keeps it: for clients that a test makes by hand."""
        secret, public = (os.path.join(self.home, f"{user}.{kind}") for kind in ("pem", "key"))
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", secret)
        raw = subprocess.run(["openssl", "pkey", "-in", secret, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        with open(public, "w") as file:
            file.write(base64.b64encode(raw[ED25519_PREFIX_BYTES:]).decode() + "\n")
        return public, secret

    def add_user(self, user, keys, *arguments):
        """The user's secret key and client bundle."""
        public, secret = keys
        self.control("create-user", user, "--fs", "user-data", "--key", public, *arguments)
        bundle = os.path.join(self.home, f"{user}.bundle.pem")
        run("cp", os.path.join(self.root, "user-data/system/users", user, "client.pem"), bundle)
        return secret, bundle

    def add_remote(self, name, secret, bundle, *arguments):
        self.efs("remote", "add", name, "--host", f"{HOST}:{self.port}", "--user-key", secret, "--cert", bundle, *arguments)

    def identity(self, user, *arguments):
        """A user for clients that a test makes by hand."""
        return Identity(user, *self.add_user(user, self.key_by_openssl(user), *arguments))

    def connect(self, identity, **options):
        return Connection(self.port, identity, **options)

    def log_in(self, identity):
        """A connection with a session."""
        connection = self.connect(identity)
        connection.log_in()
        return connection


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Identity:
    """A user's key and certificate."""

    def __init__(self, user, secret, bundle):
        self.user, self.secret, self.bundle = user, secret, bundle
        raw = subprocess.run(["openssl", "pkey", "-in", secret, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        self.fingerprint = hashlib.sha256(raw[ED25519_PREFIX_BYTES:]).digest()
        with open(bundle) as file:
            text = file.read()
        self.certificates = ["-----BEGIN CERTIFICATE-----" + part.split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
                             for part in text.split("-----BEGIN CERTIFICATE-----")[1:]]
        self.certificate_fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.certificates[0])).digest()

    def context(self, alpn=("http/1.1",)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.certificates[1])
        context.load_cert_chain(self.bundle)
        context.set_alpn_protocols(list(alpn))
        return context

    def sign(self, message):
        """By openssl, from a file: Ed25519 signs in one go."""
        path = f"{self.secret}.{os.getpid()}.{id(message)}"
        with open(path, "wb") as file:
            file.write(message)
        try:
            return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.secret, "-in", path], check=True, capture_output=True).stdout
        finally:
            os.unlink(path)

    def transcript(self, answer, server_certificate, client_nonce):
        """docs/HTTP_API.md, *The transcript*."""
        fields = [b"efs-auth-v1", b"client-session", self.user.encode(), self.fingerprint, from_base64url(answer["serverID"]), server_certificate,
                  self.certificate_fingerprint, from_base64url(answer["nonce"]), client_nonce, struct.pack(">Q", answer["expires"])]
        return b"".join(struct.pack(">I", len(field)) + field for field in fields)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        try:
            return self.json.get("code")
        except ValueError:
            return None


class Connection:
    """One TLS connection that speaks HTTP/1.1, by Python's own http.client."""

    def __init__(self, port, identity, timeout=120, session=None, context=None):
        self.identity, self.tokens = identity, {}
        raw = socket.create_connection((HOST, port), timeout)
        self.socket = (context or identity.context()).wrap_socket(raw, server_hostname=HOST, session=session)
        self.http = http.client.HTTPConnection(HOST, port, timeout=timeout)
        self.http.sock = self.socket
        self.http.auto_open = 0
        self.server_certificate = hashlib.sha256(self.socket.getpeercert(True)).digest()

    def request(self, method, path, body=None, headers=None, chunked=False):
        self.http.request(method, path, body=body, headers={**self.tokens, **(headers or {})}, encode_chunked=chunked)
        return self.answer()

    def answer(self):
        response = self.http.getresponse()
        return Answer(response.status, response.headers, response.read())

    def log_in(self):
        nonce = os.urandom(32)
        name = {"user": self.identity.user, "keyFingerprint": base64url(self.identity.fingerprint), "clientNonce": base64url(nonce)}
        offered = self.request("POST", "/v1/auth/nonce", json.dumps(name))
        expect(offered.status == 200, f"nonce: {offered.status} {offered.body[:300]}")
        signature = self.identity.sign(self.identity.transcript(offered.json, self.server_certificate, nonce))
        answer = self.request("POST", "/v1/auth/session", json.dumps({**name, "nonce": offered.json["nonce"], "signature": base64url(signature)}))
        expect(answer.status == 201, f"session: {answer.status} {answer.body[:300]}")
        self.tokens = {"Authorization": "Basic " + answer.json["basic"], "Efs-Session": answer.json["session"]}
        return answer.json

    def put(self, path, body, **headers):
        return self.request("PUT", "/v1/data" + path, body, headers)

    def get(self, path):
        return self.request("GET", "/v1/data" + path)

    def names(self, path="/"):
        """The names in a directory, of all pages."""
        found, after = [], ""
        while True:
            page = self.request("GET", f"/v1/data{path}{'' if path.endswith('/') else '/'}?limit=1000{after}")
            expect(page.status == 200, f"listing: {page.status} {page.body[:300]}")
            found += [entry["name"] for entry in page.json["entries"]]
            if "next" not in page.json:
                return found
            after = "&after=" + page.json["next"]

    def raw(self, data):
        """Sends bytes as they are; what comes back until the other side has answered or closed."""
        self.socket.sendall(data)
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        return Answer(response.status, response.headers, response.read())

    def close(self):
        self.http.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


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
