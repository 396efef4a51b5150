"""The systemd units, run by a systemd of their own in a booted Debian."""
import json

import debian
from harness import expect, expect_equal, test, wait_until

OURS = ("efs", "efs-server")


def machine_with(*names):
    machine = debian.Debian()
    machine.install("systemd", "systemd-sysv", "dbus", *names, ours=OURS)
    return machine


def state_of(booted):
    result = booted.run("efsctl", "status", ok=False)
    return json.loads(result.out)["state"] if result.status == 0 else None


@test(root=True, seconds=1200, needs=("systemd-nspawn",))
def the_server():
    """Sealed without a key, on port 443 without being root, reload, a key from a credential in the clear and a sealed one."""
    machine = machine_with("man-db")
    machine.write("/etc/default/efs-server", 'EFS_SERVER_OPTIONS="--host localhost"\n')
    with debian.BootedDebian(machine) as booted:
        for unit in ("efs-server.service", "efs-mount@some.service"):
            found = booted.run("systemd-analyze", "verify", "--man=yes", unit)
            expect_equal(found.out + found.err, "", f"systemd-analyze verify {unit}")
        expect_equal(booted.run("systemctl", "is-enabled", "efs-server", ok=False).out.strip(), "disabled", "after the installation it is")
        booted.run("systemctl", "enable", "--now", "efs-server")
        wait_until(lambda: state_of(booted) == "sealed", 60, "the server is not sealed without a key: " + log_of(booted))
        expect(booted.run("efsctl", "create-fs", "user-data", ok=False).status != 0, "a sealed server makes file systems")
        booted.shell("""
            umask 077
            efs-server make-starter-key /root/starter.key
            efsctl unseal --key-file /root/starter.key
            efsctl create-fs user-data
            efsctl create-user app1 --fs user-data
            mkdir /root/keys
            cp /var/lib/efs-server/user-data/system/users/app1/priv.pgp /var/lib/efs-server/user-data/system/users/app1/client.pem /root/keys/
            efs remote add drive --host localhost --user-key /root/keys/priv.pgp --cert /root/keys/client.pem
            efs cp /usr/bin/efs drive:/programs/
        """)
        confined(booted)
        booted.run("systemctl", "reload", "efs-server")
        booted.shell("efs cat drive:/programs/efs | cmp - /usr/bin/efs")
        # A certificate that is none: reload says so, and the server goes on.
        booted.shell("cp -p /var/lib/efs-server/server/tls.crt /root/; echo none >/var/lib/efs-server/server/tls.crt")
        expect(booted.run("systemctl", "reload", "efs-server", ok=False).status != 0, "reload takes up a broken certificate")
        booted.shell("cat /root/tls.crt >/var/lib/efs-server/server/tls.crt; systemctl reload efs-server; efs ls drive:/programs/ | grep -q efs")
        booted.shell("install -d -m 700 /etc/credstore; install -m 400 /root/starter.key /etc/credstore/efs-starter-key; systemctl restart efs-server")
        wait_until(lambda: state_of(booted) == "ready", 60, "the key in /etc/credstore does not unseal it: " + log_of(booted))
        booted.shell("""
            rm /etc/credstore/efs-starter-key
            install -d -m 700 /etc/credstore.encrypted
            systemd-creds encrypt --with-key=host --name=efs-starter-key /root/starter.key /etc/credstore.encrypted/efs-starter-key
            mkdir /etc/systemd/system/efs-server.service.d
            printf '[Service]\\nLoadCredential=\\nLoadCredentialEncrypted=efs-starter-key\\n' >/etc/systemd/system/efs-server.service.d/key.conf
            systemctl daemon-reload
        """)
    # After a start of the whole machine it is there by itself.
    with debian.BootedDebian(machine) as booted:
        wait_until(lambda: state_of(booted) == "ready", 60, "the sealed credential does not unseal it: " + log_of(booted))
        booted.shell("efs cat drive:/programs/efs | cmp - /usr/bin/efs")
        booted.run("systemctl", "stop", "efs-server")
        expect_equal(booted.run("systemctl", "show", "--property=Result", "--value", "efs-server").out.strip(), "success", "its end")
        booted.run("dpkg", "--purge", *OURS)
        booted.run("test", "-d", "/var/lib/efs-server/user-data/files")


def confined(booted):
    """What the running process may do, as the kernel has it."""
    process = booted.run("systemctl", "show", "--property=MainPID", "--value", "efs-server").out.strip()
    status = dict(line.split(":\t", 1) for line in booted.run("cat", f"/proc/{process}/status").out.splitlines() if ":\t" in line)
    user = booted.run("id", "-u", "efs-server").out.strip()
    expect_equal(set(status["Uid"].split()), {user}, "its users")
    expect_equal(status["CapEff"], f"{1 << 10:016x}", "its capabilities but CAP_NET_BIND_SERVICE")
    expect_equal(status["CapBnd"], f"{1 << 10:016x}", "the capabilities that it could get")
    expect_equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), "no new privileges, and a filter of system calls")
    limits = booted.run("cat", f"/proc/{process}/limits").out
    expect("Max core file size        0                    0" in limits, limits)
    for path in ("/run/efs-server", "/var/lib/efs-server", "/var/lib/efs-server-state"):
        expect_equal(booted.run("stat", "--format=%a %U", path).out.strip(), "700 efs-server", path)
    other = booted.run("setpriv", "--reuid=nobody", "--clear-groups", "efsctl", "status", ok=False)
    expect(other.status != 0, "another user may use the admin socket")


def log_of(booted):
    return booted.run("journalctl", "--no-pager", "--unit=efs-server", "--unit=efs-mount@private", ok=False).out[-1500:]


@test(root=True, seconds=1200, needs=("systemd-nspawn",))
def a_mount_at_boot():
    """With a sealed credential, seen by everybody, there again after a start of the machine; and one in fstab."""
    machine = machine_with()
    machine.write("/root/password", "correct horse\n", 0o600)
    machine.write("/etc/efs/private.conf", "DATA=/srv/private\nMOUNTPOINT=/mnt/private\nOPTIONS=--allow-other\n")
    machine.shell("mkdir /mnt/private /mnt/public; for name in private public; do efs init /srv/$name --password-file /root/password; done")
    machine.write("/etc/fstab", "/srv/public /mnt/public fuse.efs password_file=/root/password,allow_other,nofail 0 0\n")
    with debian.BootedDebian(machine) as booted:
        booted.shell("""
            install -d -m 700 /etc/credstore.encrypted
            systemd-creds encrypt --with-key=host --name=efs-mount.private /root/password /etc/credstore.encrypted/efs-mount.private
        """)
        started = booted.run("systemctl", "enable", "--now", "efs-mount@private", ok=False)
        expect_equal(started.status, 0, "systemctl start: " + started.err + log_of(booted))
        for name in ("private", "public"):
            expect_equal(booted.run("stat", "--file-system", "--format=%T", f"/mnt/{name}").out.strip(), "fuseblk", name)
        booted.shell("""
            for name in private public; do
                cp -a /usr/share/doc /mnt/$name/
                chmod 755 /mnt/$name
                setpriv --reuid=nobody --clear-groups ls /mnt/$name/doc >/dev/null
            done
        """)
        booted.run("systemctl", "stop", "efs-mount@private")
        expect_equal(booted.run("ls", "-A", "/mnt/private").out, "", "the mount point after the end")
        booted.run("systemctl", "start", "efs-mount@private")
    with debian.BootedDebian(machine) as booted:
        booted.shell("for name in private public; do diff -r --no-dereference /usr/share/doc /mnt/$name/doc; done")
        booted.shell("systemctl stop efs-mount@private; efs check /srv/private --password-file /root/password")
