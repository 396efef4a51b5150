"""efsctl and efs-server as processes: output, signals, kills."""
import json
import os
import re
import signal
import socket
import ssl
import urllib.error
import urllib.request

from harness import expect, expect_equal, run, test, wait_until
from test_clients import Server, program


# What the servers call the starter keys in files.
NAMES = {}


def status(server):
    return json.loads(server.control("status").out)


def leaf(server):
    """The certificate that the server shows; it wants one of the client too, which it asks for only afterwards."""
    return ssl.get_server_certificate(("127.0.0.1", server.port))


@test()
def the_administrators_transcript():
    with Server() as server:
        out = server.control("create-fs", "more", "--quota", "10M").out
        lines = [line.replace(server.root, "/efs") for line in out.splitlines()]
        expect_equal(lines, [
            "> Creating '/efs/more'", "> Creating files directory '/efs/more/files'",
            "> Creating system config directory '/efs/more/system'", "> Creating AES key '/efs/more/system/aes.key'",
            "> Creating filename salt '/efs/more/system/filename-salt'"])
        out = server.control("create-user", "app1", "--fs", "user-data", "--quota", "1M").out.replace(server.root, "/efs")
        expect(re.match(
            r"Copy app1 PGP public key:\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n.*-----END PGP PUBLIC KEY BLOCK-----\n"
            r"Pub key hash:\n    - sha256: [0-9a-f]{64}\n    - sha1: [0-9a-f]{40}\n    - md5: [0-9a-f]{32}\n"
            r"Use this key for TLS Client Certificate Authentication:\n-----BEGIN CERTIFICATE-----\n.*"
            r"> Creating user '/efs/user-data/system/users/app1'\n"
            r"> Saving user public key '/efs/user-data/system/users/app1/pub.pgp'\n", out, re.DOTALL), out)
        table = [line.split() for line in server.control("list-fs").out.splitlines()]
        expect_equal(table[0], ["NAME", "STATE", "USED", "QUOTA", "CIPHER", "USERS", "PATH"])
        expect_equal([row[:4] for row in table[1:]], [["more", "open", "0", str(10 << 20)], ["user-data", "open", "0", "-"]])
        table = [line.split() for line in server.control("list-users").out.splitlines()]
        expect_equal(table[1][:5], ["app1", "user-data", "active", "0", str(1 << 20)])
        server.control("set-quota", "--user", "app1", "none")
        expect_equal(server.control("list-users").out.splitlines()[1].split()[4], "-")
        refused = server.control("create-fs", "more", ok=False)
        expect_equal(refused.status, 1)
        expect(refused.err.startswith("efsctl: error: "), refused.err)
        expect_equal(server.control("set-quota", "--user", "app1", "many", ok=False).status, 64)


@test()
def a_hangup_loads_the_certificate():
    with Server() as server:
        before = leaf(server)
        here = os.path.join(server.root, "server")
        run("openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", os.path.join(server.base, "k"), "-out",
            os.path.join(server.base, "c"), "-subj", "/CN=other", "-days", "2")
        os.replace(os.path.join(server.base, "k"), os.path.join(here, "tls.key"))
        os.replace(os.path.join(server.base, "c"), os.path.join(here, "tls.crt"))
        expect_equal(leaf(server), before, "nothing is loaded before it is told")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: leaf(server) != before, 30, "the new certificate")
        after = leaf(server)
        with open(os.path.join(here, "tls.crt"), "w") as file:
            file.write("rubbish")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "the one before stays" in open(os.path.join(server.base, "log")).read(), 30, "the failure's line")
        expect_equal(leaf(server), after)
        expect_equal(server.control("reload", ok=False).status, 1)


@test()
def keys_are_rotated_over_kills():
    with Server() as server:
        for number in range(8):
            server.control("create-user", f"user{number}", "--fs", "user-data")
        server.control("rotate-keys")
        keys = [server.key]
        NAMES[server.key] = status(server)["starterKey"]
        for number in range(6):
            new = os.path.join(server.base, f"key{number}")
            name = NAMES[new] = run(program("efs-server"), "make-starter-key", new).out.strip()
            keys.append(new)
            pid = os.fork()
            if pid == 0:
                # Its answer may never come.
                server.control("rotate-keys", "--starter", new, ok=False)
                os._exit(0)
            watched = os.path.join(server.root, "user-data", "system", "users", f"user{number}", "record.json.next")
            # Each time a little later, up to after the end.
            wait_until(lambda: os.path.exists(watched) or status(server).get("starterKey") == name, 60, "the rotation")
            server.stop(signal.SIGKILL)
            os.waitpid(pid, 0)
            # It opens with the new key, or with the one before, and says which one it wants.
            if not opens(server, new):
                keys.pop()
                expect(opens(server, keys[-1]), "neither the new key nor the one before opens the server")
            expect_equal(status(server)["starterKey"], NAMES[keys[-1]])
            expect_equal(len(server.control("list-users").out.splitlines()), 9)


def opens(server, key):
    """Starts the server with the key; if it does not open, the server says that it wants another one."""
    server.key = key
    log = os.path.join(server.base, "log")
    before = os.path.getsize(log)
    try:
        server.start()
        return True
    except Exception:
        with open(log) as file:
            file.seek(before)
            text = file.read()
        expect(re.search("the server's keys are under the starter key [0-9a-f]{16}; this is [0-9a-f]{16}", text), text)
        return False


@test()
def a_backup_is_served_elsewhere():
    with Server() as server:
        server.control("create-user", "app1", "--fs", "user-data")
        target = os.path.join(server.base, "backup")
        out = server.control("backup", target).out.splitlines()
        expect_equal(out[-1], f"> Backup complete: '{target}'")
        expect_equal(server.control("backup", target, ok=False).status, 1)
        found = run("grep", "-rl", "PRIVATE KEY", target, ok=False)
        expect_equal(found.out, "", "private keys in the backup")
        other = Server("other")
        other.key = server.key
        other.root = target
        other.start()
        try:
            expect(" app1 " in " " + other.control("list-users").out.replace("\n", " "), "the user")
        finally:
            other.stop()


@test()
def the_audit_log_is_verified():
    with Server() as server:
        server.control("create-user", "app1", "--fs", "user-data")
        expect_equal(server.control("audit", "--verify").out.splitlines()[-1], "> The audit log is whole")
        expect_equal(server.control("audit", "--fs", "user-data", "--path", "/a").out, "")
        expect_equal(server.control("audit", ok=False).status, 64)
        head = status(server)
        expect_equal(server.control("audit", "--verify", "--head", f"{head['auditSequence'] + 9}:{head['auditHead']}", ok=False).status, 1)


@test()
def health_and_metrics():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % probe.getsockname()[1]

    def get(path):
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    with Server(metrics=address) as server:
        server.control("create-user", "app1", "--fs", "user-data", "--quota", "1M")
        expect_equal(get("/health/live"), (200, "live\n"))
        expect_equal(get("/health/ready"), (200, "ready\n"))
        code, text = get("/metrics")
        expect_equal(code, 200)
        for line in ("efs_ready 1", 'efs_used_bytes{fs="user-data"} 0', 'efs_user_quota_bytes{fs="user-data",user="app1"} 1048576',
                     'efs_usage_counting{fs="user-data"} 0', "efs_audit_lost_total 0"):
            expect(line + "\n" in text, f"{line} is missing in:\n{text}")
        server.control("seal")
        expect_equal(get("/health/live"), (200, "live\n"))
        expect_equal(get("/health/ready"), (503, "sealed\n"))
        expect_equal(status(server)["state"], "sealed")
        server.control("unseal", "--key-file", server.key)
        expect_equal(get("/health/ready"), (200, "ready\n"))
