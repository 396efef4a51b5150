"""The server, as clients of any make see it: curl, openssl, Python's own, hostile ones; and what is left after kill -9."""
import base64
import hashlib
import http.client
import json
import os
import pty
import random
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

from harness import MIB, Context, Settings, expect, expect_equal, note, run, test, wait_until
from server import HOST, Connection, Server, base64url, program, read_until


class Threads:
    """Runs all at once; `join` fails with what the first of them that failed says."""

    def __init__(self, bodies):
        self.failures = []
        self.threads = [threading.Thread(target=self.run, args=(body,), daemon=True) for body in bodies]
        for thread in self.threads:
            thread.start()

    def run(self, body):
        try:
            body()
        except BaseException as error:  # also a failed expectation
            self.failures.append(error)

    def are_alive(self):
        return any(thread.is_alive() for thread in self.threads)

    def join(self, seconds=280):
        for thread in self.threads:
            thread.join(seconds)
            expect(not thread.is_alive(), "a client came to no end")
        if self.failures:
            raise self.failures[0]


def in_threads(bodies):
    Threads(bodies).join()


def a_seed():
    seed = int(os.environ.get("EFS_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
    note(f"EFS_TEST_SEED={seed}")
    return random.Random(seed)


# curl

def curl_handshake(server, identity, folder, *options):
    """Both requests of the handshake by one curl, on one connection: pipes carry what lies between them."""
    nonce = os.urandom(32)
    name = {"user": identity.user, "keyFingerprint": base64url(identity.fingerprint), "clientNonce": base64url(nonce)}
    offered, signed, session = (os.path.join(folder, part) for part in ("offered", "signed", "session"))
    for pipe in (offered, signed):
        os.mkfifo(pipe)
    ca = os.path.join(folder, "ca.pem")
    with open(ca, "w") as file:
        file.write(identity.certificates[1])
    tls = ("--silent", "--show-error", "--fail", "--cacert", ca, "--cert", identity.bundle, *options)
    origin = f"https://{HOST}:{server.port}"
    with Connection(server.port, identity) as connection:
        certificate = connection.server_certificate
    curl = subprocess.Popen(
        ["curl", *tls, "--json", json.dumps(name), "-o", offered, origin + "/v1/auth/nonce",
         "--next", *tls, "-X", "POST", "-H", "Content-Type: application/json", "-T", signed, "-o", session, origin + "/v1/auth/session"],
        stderr=subprocess.PIPE)
    try:
        with open(offered) as file:
            answer = json.load(file)
        signature = identity.sign(identity.transcript(answer, certificate, nonce))
        with open(signed, "w") as file:
            json.dump({**name, "nonce": answer["nonce"], "signature": base64url(signature)}, file)
        error = curl.communicate(timeout=60)[1].decode()
        expect_equal(curl.returncode, 0, f"curl's handshake ({error})")
    finally:
        curl.kill()
    with open(session) as file:
        tokens = json.load(file)
    user_and_word = base64.b64decode(tokens["basic"]).decode()
    return tls, origin, ("-u", user_and_word, "-H", "Efs-Session: " + tokens["session"])


@test(engine=True, needs=("curl", "openssl"))
def curl_as_a_client():
    with Server() as server:
        identity = server.identity("app1")
        for protocol in ("--http1.1", "--http2"):
            folder = os.path.join(server.base, protocol)
            os.makedirs(folder)
            tls, origin, tokens = curl_handshake(server, identity, folder, protocol)

            def curl(*arguments, ok=True):
                return server.run("curl", *tls, *tokens, *arguments, ok=ok)

            content = os.urandom(5 * MIB + 7)
            path, back = os.path.join(folder, "file"), os.path.join(folder, "back")
            with open(path, "wb") as file:
                file.write(content)
            digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
            url = f"{origin}/v1/data/from%20curl/{protocol}"
            shown = curl("-T", path, url, "-H", f"Content-Digest: sha-256=:{digest}:", "-w", "%{http_code} %{http_version}").out
            expect(shown.endswith("201 2" if protocol == "--http2" else "201 1.1"), f"the upload says {shown[-60:]}")
            curl(url, "-o", back)
            with open(back, "rb") as file:
                expect(file.read() == content, "another content came back")
            curl("-r", "1000000-", url, "-o", back)
            with open(back, "rb") as file:
                expect(file.read() == content[1000000:], "another range came back")
            head = curl("-I", url, "-H", "Want-Repr-Digest: sha-256=1").out.lower()
            expect("etag:" in head and f"content-length: {len(content)}" in head, head)
            expect(f"repr-digest: sha-256=:{digest.lower()}:" in head, f"no digest: {head}")
            wrong = curl("-T", path, url, "-H", f"Content-Digest: sha-256=:{base64.b64encode(bytes(32)).decode()}:", ok=False)
            expect_equal(wrong.status, 22, "a wrong digest")
            listing = json.loads(curl(f"{origin}/v1/data/from%20curl/").out)
            expect(protocol in [entry["name"] for entry in listing["entries"]], f"{listing}")
            curl("-X", "DELETE", url)
            expect_equal(curl(url, ok=False).status, 22, "what is deleted")
        # No token, no certificate.
        expect_equal(server.run("curl", *tls, url, ok=False).status, 22, "without tokens")
        without = [word for word in tls if word not in ("--cert", identity.bundle)]
        shown = server.run("curl", *without, *tokens, url, "-w", "%{http_code}", ok=False)
        expect(shown.status not in (0, 22) and shown.out.endswith("000"), f"without a certificate: {shown.status} {shown.out[-200:]}")


# Doors

@test(engine=True, needs=("openssl",))
def a_resumed_tls_session_does_not_outlive_its_certificate():
    with Server() as server:
        identity = server.identity("app1")
        context = identity.context()
        first = server.connect(identity, context=context)
        first.log_in()
        expect_equal(first.put("/file", b"content").status, 201, "before")
        # The tickets of TLS 1.3 come with the first answer.
        resumed = server.connect(identity, context=context, session=first.socket.session)
        expect(resumed.socket.session_reused, "the TLS session was not resumed")
        resumed.tokens = first.tokens
        expect_equal(resumed.get("/file").status, 200, "over the resumed session")
        server.control("revoke-user", "app1")
        for connection in (first, resumed, server.connect(identity, context=context, session=first.socket.session)):
            connection.tokens = first.tokens
            answer = connection.get("/file")
            expect(answer.status in (401, 403), f"after the revocation: {answer.status}")


@test(engine=True, needs=("openssl",))
def only_tls_1_3_is_spoken():
    with Server() as server:
        identity = server.identity("app1")
        context = identity.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            server.connect(identity, context=context)
            expect(False, "TLS 1.2 was accepted")
        except ssl.SSLError:
            pass


# Paths

TRICKS = [
    "/..", "/../..", "/../../etc/passwd", "/a/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/%2E%2E%2Fetc%2Fpasswd", "/.%2e/x", "/./x",
    "/a/./b", "//etc/passwd", "/a//b", "/a%2fb", "/a%2Fb", "/a%00b", "/%00", "/a%0", "/a%", "/%zz", "/%u002e%u002e/x", "/" + "a" * 256,
    "/" + "%61" * 256, "/" + "a/" * 2100 + "b", "/" + "a" * 12000, "/a/" + "../" * 50 + "etc/passwd",
]
# These are names like any other: nothing may take them for something else.
STRANGE = ["/%c0%ae%c0%ae/x", "/..%c0%af..", "/...", "/%5c..%5c..%5cwindows", "/C:%5cx", "/~root", "/-rf", "/%0d%0aSet-Cookie:x", "/%25%32%65", "/%e2%80%ae",
           "/.efs-part", "/%EF%BC%8E%EF%BC%8E", "/con", "/%7f", "/%01"]


@test(engine=True, needs=("openssl",))
def path_tricks():
    with Server() as server:
        identity = server.identity("app1")
        with server.log_in(identity) as connection:
            tokens = "".join(f"{name}: {value}\r\n" for name, value in connection.tokens.items())

            def ask(method, target, body=b""):
                head = f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n{tokens}Content-Length: {len(body)}\r\n\r\n"
                with server.connect(identity) as one:
                    return one.raw(head.encode() + body)

            for trick in TRICKS:
                for method, route in (("GET", "/v1/data"), ("PUT", "/v1/data"), ("DELETE", "/v1/data"), ("GET", "/data"), ("GET", "/v1/metadata")):
                    answer = ask(method, route + trick, b"x" if method == "PUT" else b"")
                    expect(400 <= answer.status < 500 and answer.status not in (401, 403, 404), f"{method} {route}{trick[:60]}: {answer.status}")
                move = connection.request("POST", "/v1/copy", json.dumps({"from": trick.replace("%00", "\0"), "to": "/taken"}))
                expect(400 <= move.status < 500, f"copy from {trick[:60]}: {move.status}")
            expect_equal(connection.names(), [], "what the tricks left")
            # Whole targets: absolute, of another host, with a fragment, not beginning with a slash.
            for target in (f"https://{HOST}/v1/data/../x", "https://other/v1/data/x", "v1/data/x", "*", "/v1/data/x#y", "/v2/data/x", "/v1/data\\x",
                           "/V1/data/x", "/v1//data/x", "/v1/../v1/data/x", "/v1/%64ata/x"):
                answer = ask("GET", target)
                expect(400 <= answer.status < 500, f"{target}: {answer.status}")
            for strange in STRANGE:
                expect_equal(connection.get(strange).status, 404, f"{strange} before")
                expect_equal(connection.put(strange, strange.encode()).status, 201, strange)
                expect_equal(connection.get(strange).body, strange.encode(), strange)
            found = set()
            for here, directories, files in os.walk(os.path.join(server.root, "user-data")):
                found.update(directories + files)
            expect(not any("passwd" in name or "windows" in name or ".efs-part" == name for name in found), f"names on the disk: {found}")
        # Bytes that no HTTP allows close the connection, at worst; the server goes on.
        for junk in (b"GET /v1/data/a\0b HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /v1/data/a b HTTP/1.1\r\n\r\n", b"\x00" * 100, b"GET " + b"/" + b"a" * 200000,
                     b"PUT /v1/data/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", b"GET / HTTP/9.9\r\n\r\n",
                     b"PUT /v1/data/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"):
            with server.connect(identity) as one:
                try:
                    answer = one.raw(junk)
                    expect(400 <= answer.status < 500, f"{junk[:40]}: {answer.status}")
                except (OSError, ssl.SSLError, Exception) as error:
                    expect("Failed" not in type(error).__name__, str(error))
        with server.log_in(identity) as connection:
            expect_equal(connection.get("/-rf").status, 200, "after all of it")


# Writers and readers

def pattern(number, size):
    """Content that tells of each of its pieces whose it is."""
    return struct.pack(">Q", number) * (size // 8)


@test(engine=True, needs=("openssl",), seconds=200)
def readers_see_the_old_file_or_the_new():
    with Server() as server:
        identity = server.identity("app1")
        sizes = {0: 3 * MIB, 1: 200 * 1024}
        end = time.monotonic() + (60 if Settings.full else 8)
        written, seen = [0, 0], [set(), set(), set()]
        tags, lock = {}, threading.Lock()
        with server.log_in(identity) as connection:
            expect_equal(connection.put("/shared", pattern(0, sizes[0])).status, 201, "the first")

        def write(writer):
            with server.log_in(identity) as connection:
                while time.monotonic() < end:
                    number = 2 * written[writer] + writer
                    answer = connection.put("/shared", pattern(number, sizes[writer]))
                    expect_equal(answer.status, 200, "a writer")
                    with lock:
                        expect(answer.headers["ETag"] not in tags, "an entity tag came twice")
                        tags[answer.headers["ETag"]] = number
                    written[writer] += 1

        def read(reader):
            with server.log_in(identity) as connection:
                while time.monotonic() < end:
                    answer = connection.get("/shared")
                    expect_equal(answer.status, 200, "a reader")
                    number = struct.unpack(">Q", answer.body[:8])[0]
                    expect(answer.body == pattern(number, sizes[number % 2]), f"a mixture of {len(answer.body)} bytes, beginning as {number}")
                    seen[reader].add((answer.headers["ETag"], number))

        in_threads([lambda: write(0), lambda: write(1), lambda: read(0), lambda: read(1), lambda: read(2)])
        for tag, number in set.union(*seen):
            expect(tags.get(tag, number) == number, "an entity tag belongs to another state")
        note(f"{sum(written)} states written, {len(set.union(*seen))} of them read")
        expect(all(count > 2 for count in written) and len(set.union(*seen)) > 2, "hardly anything was written or read")


# kill -9

def upload_until_killed(server, identity, writer, dice, acknowledged, sent, stop):
    """Uploads files of all sizes until the connection breaks. What is sent is noted before, what is acknowledged after."""
    number = 0
    try:
        with server.log_in(identity) as connection:
            while not stop.is_set():
                size = dice.choice([0, 10, 1000, 5000, 70_000, 600_000, 2 * MIB, 5 * MIB])
                name, content = f"/w{writer}/{stop.round}-{number}", pattern(writer << 32 | stop.round << 16 | number, size)
                number += 1
                if number > 2 and dice.random() < 0.3:
                    # Over what is there: the old or the new.
                    name = dice.choice([other for other in list(acknowledged) if other.startswith(f"/w{writer}/{stop.round}-")] or [name])
                sent.setdefault(name, []).append(content)
                answer = connection.put(name, content)
                expect(answer.status in (200, 201), f"an upload: {answer.status} {answer.body[:200]}")
                acknowledged[name] = len(sent[name]) - 1
    except (OSError, ssl.SSLError, http.client.HTTPException):
        pass


def upload_and_cut(server, identity, stop):
    """Uploads that are cut in the middle, again and again."""
    number = 0
    try:
        with server.log_in(identity) as connection:
            while not stop.is_set():
                with server.connect(identity) as cut:
                    cut.http.putrequest("PUT", f"/v1/data/cut/{stop.round}/{number}")
                    for name, value in connection.tokens.items():
                        cut.http.putheader(name, value)
                    cut.http.putheader("Content-Length", str(3 * MIB))
                    cut.http.endheaders()
                    cut.http.send(bytes((number % 3) * 700_000 + 1))
                number += 1
    except (OSError, ssl.SSLError, http.client.HTTPException):
        pass


class Stop(threading.Event):
    round = 0


@test(engine=True, needs=("openssl",), seconds=1500)
def what_was_acknowledged_survives_kill_9():
    dice = a_seed()
    rounds = 40 if Settings.full else 5
    acknowledged, sent = {}, {}
    with Server() as server:
        identity = server.identity("app1")
        for number in range(rounds):
            stop = Stop()
            stop.round = number
            before = len(acknowledged)
            wanted = before + dice.randrange(3, 30)
            writers = Threads(
                [lambda writer=writer, own=random.Random(dice.random()): upload_until_killed(server, identity, writer, own, acknowledged, sent, stop)
                 for writer in range(4)] + [lambda: upload_and_cut(server, identity, stop)])
            wait_until(lambda: len(acknowledged) >= wanted or writers.failures or not writers.are_alive(), 60, "enough uploads")
            server.kill()
            stop.set()
            writers.join(60)
            expect(len(acknowledged) > before, "nothing was written before the kill: " + server.log()[-500:])
            server.start()
            verify_acknowledged(server, identity, acknowledged, sent)
    note(f"{rounds} kills, {len(acknowledged)} files acknowledged, {sum(map(len, sent.values())) - len(acknowledged)} sent besides")


def verify_acknowledged(server, identity, acknowledged, sent):
    with server.log_in(identity) as connection:
        for name, index in acknowledged.items():
            answer = connection.get(name)
            expect_equal(answer.status, 200, f"{name}, which was acknowledged")
            # A later write that was on its way may have come through, whole; an earlier one may not come back.
            states = sent[name][index:]
            expect(answer.body in states, f"{name} has another content of {len(answer.body)} bytes")
            sent[name][:] = sent[name][:index + 1] if answer.body == sent[name][index] else [answer.body]
            acknowledged[name] = len(sent[name]) - 1
        for directory in connection.names("/"):
            if directory == "cut":
                expect(False, f"cut uploads left something: {connection.names('/cut')}")
            for name in connection.names("/" + directory):
                path = f"/{directory}/{name}"
                if path not in acknowledged:
                    expect(connection.get(path).body in sent.get(path, []), f"{path} is there and is nothing that was sent whole")


# Many clients

@test(engine=True, needs=("openssl",), seconds=280)
def a_hundred_clients_and_slow_ones_among_them():
    with Server(options=("--idle-timeout", "30")) as server:
        identities = [server.identity(f"user{number}") for number in range(4)]
        slow_go = threading.Event()
        done, lock = [0], threading.Lock()

        def fast(number):
            with server.log_in(identities[number % 4]) as connection:
                for round in range(4):
                    content = pattern(number << 8 | round, (number % 7) * 40_000 + 8)
                    path = f"/client{number}/{round}"
                    expect_equal(connection.put(path, content).status, 201, path)
                    expect(connection.get(path).body == content, f"{path}: another content")
                expect_equal(sorted(connection.names(f"/client{number}")), ["0", "1", "2", "3"], "its own files")
            with lock:
                done[0] += 1

        def slow_writer(number):
            """Some bytes at a time, until the fast ones are done."""
            content = pattern(number, 40_000)
            with server.log_in(identities[number % 4]) as connection:
                connection.http.putrequest("PUT", f"/v1/data/slow/{number}")
                for name, value in connection.tokens.items():
                    connection.http.putheader(name, value)
                connection.http.putheader("Content-Length", str(len(content)))
                connection.http.endheaders()
                sent = 0
                while not slow_go.wait(0.2) and sent < len(content) - 500:
                    connection.http.send(content[sent:sent + 500])
                    sent += 500
                connection.http.send(content[sent:])
                expect_equal(connection.answer().status, 201, "a slow writer")
                expect(connection.get(f"/slow/{number}").body == content, "a slow writer's file")

        def slow_reader(number):
            with server.log_in(identities[number % 4]) as connection:
                connection.http.request("GET", "/v1/data/large", headers=connection.tokens)
                response = connection.http.getresponse()
                got = [response.read(1000)]
                slow_go.wait(60)
                got.append(response.read())
                expect(b"".join(got) == large, "a slow reader's file")

        def silent(number):
            """Connects, and says nothing, or only half of something."""
            with socket.create_connection((HOST, server.port)) as raw:
                if number % 2:
                    raw.sendall(b"\x16\x03\x01")
                slow_go.wait(60)

        large = pattern(99, 4 * MIB)
        with server.log_in(identities[0]) as connection:
            expect_equal(connection.put("/large", large).status, 201, "the large file")

        def release():
            try:
                wait_until(lambda: done[0] == 70, 200, "the fast clients, while slow ones are there")
            finally:
                slow_go.set()

        began = time.monotonic()
        in_threads([release] + [lambda n=n: fast(n) for n in range(70)] + [lambda n=n: slow_writer(n) for n in range(10)]
                   + [lambda n=n: slow_reader(n) for n in range(10)] + [lambda n=n: silent(n) for n in range(10)])
        note(f"in {time.monotonic() - began:.1f} s")


# The seed

@test(engine=True, needs=("gpg", "ssh-keygen"), seconds=280)
def the_transcript_of_the_seed():
    """As `make server-demo` shows it; here its words are looked at."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/server-demo")
    result = run(script, env={"EFS_BUILT": os.path.dirname(Settings.efs), "TMPDIR": Context.directory}, timeout=270, ok=False)
    expect_equal(result.status, 0, f"{result.out[-1500:]} {result.err[-1000:]}")
    place = 0
    for line in (
            "$ efsctl create-fs user-data\n> Creating '/efs/user-data'\n> Creating files directory '/efs/user-data/files'\n"
            "> Creating system config directory '/efs/user-data/system'\n> Creating AES key '/efs/user-data/system/aes.key'\n"
            "> Creating filename salt '/efs/user-data/system/filename-salt'\n",
            "$ efsctl create-user app1 --fs user-data\nCopy app1 PGP public key:\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n", "\nPub key hash:\n    - sha256: ",
            "\n    - sha1: ", "\n    - md5: ", "\nUse this key for TLS Client Certificate Authentication:\n-----BEGIN CERTIFICATE-----\n",
            "> Creating user '/efs/user-data/system/users/app1'\n", "> Saving user public key '/efs/user-data/system/users/app1/pub.pgp'\n",
            "Connected to 127.0.0.1...\nTLS Client Auth: OK.\nPGP User Auth: OK.\nConnection to efs server active.\n", "efs> help\n", "post <path>", "get <path>",
            "clear-cache           deletes decrypted local copies of files\n", "efs> post /patient/0/diagnostic.pdf\nPaste content:", "Encryption...\nStorage...\nDone.\n",
            "efs> get /patient/0/diagnostic.pdf\nnothing serious\n", "efs> clear-cache\n", "Continue ? (y/N) : y\nCache cleared.\n", "efs> stop\nshutting down",
            "$ efs cp ./Important-Document.pdf drive:/Documents/\n", "$ efs cp --sync --no-delete drive:/Documents ./Documents\n", "the same\n",
            "$ efs tar --fs drive -o ./drive.efs.tar.gz.aes -p ./password.txt\n", "the same\n", "for all\n"):
        found = result.out.find(line, place)
        expect(found >= 0, f"{line!r} does not come after {result.out[max(0, place - 300):place]!r}")
        place = found + len(line)
    expect_equal([name for name in os.listdir(Context.directory) if name.startswith("efs-server-demo")], [], "what the demonstration left")


# Other people's tools

def tool(name):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.build/test-tools/bin", name)
    expect(os.path.exists(path), f"{name} is missing; scripts/setup --tests installs it")
    return path


@test(engine=True, needs=("openssl",), seconds=280)
def sslyze_finds_nothing():
    with Server() as server:
        identity = server.identity("app1")
        ca, found = os.path.join(server.base, "ca.pem"), os.path.join(server.base, "found.json")
        with open(ca, "w") as file:
            file.write(identity.certificates[1])

        def scan(*words):
            server.run(tool("sslyze"), f"--json_out={found}", *words, f"{HOST}:{server.port}", ok=False)
            with open(found) as file:
                target = json.load(file)["server_scan_results"][0]
            expect_equal(target["scan_status"], "COMPLETED", f"{target.get('connectivity_error_trace')}")
            done = {name: part for name, part in target["scan_result"].items() if part and part["status"] != "NOT_SCHEDULED"}
            for name, part in done.items():
                expect_equal(part["status"], "COMPLETED", f"{name}: {part['error_trace']}")
            return {name: part["result"] for name, part in done.items()}

        results = scan("--certinfo", f"--certinfo_ca_file={ca}", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--compression", "--early_data",
                       "--fallback", "--heartbleed", "--openssl_ccs", "--reneg", "--robot", "--elliptic_curves", "--ems",
                       "--cert", identity.bundle, "--key", identity.bundle)
        # sslyze itself stumbles over client certificates in SSL 2.0.
        results |= scan("--sslv2")
        for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2"):
            expect_equal(results[version + "_cipher_suites"]["accepted_cipher_suites"], [], version)
        suites = {suite["cipher_suite"]["name"] for suite in results["tls_1_3_cipher_suites"]["accepted_cipher_suites"]}
        expect(suites and suites <= {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}, f"{suites}")
        expect(not results["tls_compression"]["supports_compression"], "compression")
        expect(not results["tls_1_3_early_data"]["supports_early_data"], "early data can be replayed")
        expect(not results["heartbleed"]["is_vulnerable_to_heartbleed"], "heartbleed")
        expect(not results["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"], "CCS injection")
        expect(results["robot"]["robot_result"].startswith("NOT_VULNERABLE"), "ROBOT")
        expect(not results["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"], "renegotiation")
        curves = {curve["name"] for curve in results["elliptic_curves"]["supported_curves"]}
        expect(curves <= {"X25519", "secp256r1", "secp384r1", "secp521r1"}, f"{curves}")
        deployment = results["certificate_info"]["certificate_deployments"][0]
        expect(deployment["received_chain_has_valid_order"], "the chain's order")
        expect(deployment["verified_chain_has_sha1_signature"] is False, "SHA-1")
        verified = [path for path in deployment["path_validation_results"] if path["was_validation_successful"]]
        expect(verified, "the certificate does not verify against the CA")
        note(f"{', '.join(sorted(suites))}")


# Half of the requests that schemathesis makes up are pointed at what is there.
SCHEMATHESIS_HOOKS = """
import os
import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")

@schemathesis.hook
def map_path_parameters(context, path_parameters):
    if path_parameters:
        for name, real in (("path", ["a", "dir", "large"]), ("id", os.environ["EFS_TEST_UPLOADS"].split())):
            if name in path_parameters:
                number = sum(map(ord, str(path_parameters[name])))
                if number % 2:
                    path_parameters[name] = real[number // 2 % len(real)]
    return path_parameters

@schemathesis.hook
def map_headers(context, headers):
    if headers and "Upload-Metadata" in headers and len(str(headers["Upload-Metadata"])) % 2:
        headers["Upload-Metadata"] = "path L2Zyb20vdXBsb2Fk"
    return headers
"""


@test(engine=True, needs=("openssl",), seconds=600)
def schemathesis_finds_no_failure_of_the_server():
    with Server(options=("--rate", "100000")) as server:
        identity = server.identity("app1")
        ca, description = os.path.join(server.base, "ca.pem"), os.path.join(server.base, "openapi.json")
        with open(ca, "w") as file:
            file.write(identity.certificates[1])
        with server.log_in(identity) as connection:
            with open(description, "wb") as file:
                file.write(connection.request("GET", "/v1/openapi.json").body)
            for path in ("/a", "/dir/b", "/dir/c/d"):
                connection.put(path, b"content")
            connection.put("/large", bytes(600_000))
            uploads = [connection.request("POST", "/v1/uploads", headers={
                "Tus-Resumable": "1.0.0", "Upload-Length": "100", "Upload-Metadata": "path " + base64.b64encode(f"/upload{number}".encode()).decode()})
                .headers["Location"].removeprefix("/v1/uploads/") for number in range(10)]
            server.environment["EFS_TEST_UPLOADS"] = " ".join(uploads)
            hooks = os.path.join(server.base, "hooks.py")
            with open(hooks, "w") as file:
                file.write(SCHEMATHESIS_HOOKS)
            server.environment["SCHEMATHESIS_HOOKS"] = hooks
            headers = [word for name, value in connection.tokens.items() for word in ("-H", f"{name}: {value}")]
            # The two that end what the others need have runs of their own.
            for words in (("--exclude-operation-id", "renewSession", "--exclude-operation-id", "endSession"),
                          ("--include-operation-id", "renewSession"), ("--include-operation-id", "endSession")):
                result = server.run(
                    tool("schemathesis"), "run", description, "--url", f"https://{HOST}:{server.port}", "--request-cert", identity.bundle, "--tls-verify", ca,
                    "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
                    "--max-examples", "200" if Settings.full else "15", "--phases", "examples,coverage,fuzzing", "--seed", str(a_seed().randrange(1 << 30)),
                    "--no-color", "--suppress-health-check", "all", *headers, *words, ok=False, timeout=580, cwd=server.base)
                expect_equal(result.status, 0, f"schemathesis: {result.out[-3500:]} {result.err[-500:]}")
                note(result.out.strip().splitlines()[-1].strip("= "))
        expect("internal" not in server.log() and "a request failed" not in server.log(), "the server failed: " + server.log()[-1500:])
        with server.log_in(identity) as connection:
            expect_equal(connection.get("/dir/").status, 200, "after all of it")
