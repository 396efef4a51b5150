"""The Debian packages: what is in them, what Debian's own checker says, and whether they work where nothing else is."""
import json
import os

import debian
from harness import ROOT, efs, expect, expect_equal, note, run, test

OURS = ("efs", "efs-server")


@test(root=True, seconds=600, needs=("lintian", "dpkg-deb"))
def they_are_well_made():
    version = json.loads(efs("version", "--json").out)["version"]
    for name in OURS:
        package = debian.package(name)
        field = lambda field: run("dpkg-deb", "--field", package, field).out.strip()  # noqa: E731
        expect_equal(field("Version"), version, f"the version of {name}")
        for library in ("libc6", "libsodium23", "librnp0"):
            expect(library in field("Depends"), f"{name} does not depend on {library}: {field('Depends')}")
        expect("swift" not in field("Depends").lower(), f"{name} depends on {field('Depends')}")
        note(f"{os.path.basename(package)}: {os.path.getsize(package) >> 10} KiB, installed {field('Installed-Size')} KiB")
    found = run("lintian", "--allow-root", "--fail-on", "error", "--tag-display-limit", "0", *map(debian.package, OURS), ok=False)
    expect_equal(found.status, 0, "lintian: " + found.out[-2000:] + found.err[-500:] + "\nstatus")


@test(root=True, seconds=900)
def a_volume_in_a_bare_debian():
    """Installed with what they depend on and nothing that is only recommended."""
    machine = debian.Debian()
    machine.install(ours=OURS)
    expect_equal(machine.run("efs", "version").out, efs("version").out, "efs version")
    machine.write("/root/password", "correct horse\n", 0o600)
    found = machine.shell("""
        cd /srv
        efs init vault --password-file /root/password
        mkdir /mnt/vault
        mount -t fuse.efs -o password_file=/root/password vault /mnt/vault
        cp -a /usr/share/doc /mnt/vault/
        efs umount /mnt/vault
        test -z "$(ls /mnt/vault)"
        efs check --deep vault --password-file /root/password
        efs mount vault /mnt/vault --password-file /root/password
        diff -r --no-dereference /usr/share/doc /mnt/vault/doc
        efs umount /mnt/vault
        efs tar --fs vault --password-file /root/password -o vault.tar.zst.age -p /root/password
        mkdir restored
        efs untar vault.tar.zst.age -C restored -p /root/password
        diff -r --no-dereference /usr/share/doc restored/doc
    """)
    expect("no problem found" in found.out, found.out)


@test(root=True, seconds=900)
def a_server_in_a_bare_debian():
    """As the package's user, without systemd: sealed, unsealed, a file system, a user, and that user's client."""
    machine = debian.Debian()
    machine.install(ours=OURS)
    found = machine.shell("""
        getent passwd efs-server
        install -d -o efs-server -m 700 /efs /var/lib/efs-server-state
        efs-server make-starter-key /root/starter.key
        # The port that only root may open without the capability, which is what the unit gives it too.
        XDG_STATE_HOME=/var/lib/efs-server-state setpriv --reuid=efs-server --regid=efs-server --clear-groups --no-new-privs \\
            --inh-caps=-all,+net_bind_service --ambient-caps=+net_bind_service --bounding-set=-all,+net_bind_service \\
            efs-server --host localhost 2>/root/log &
        server=$!
        trap 'cat /root/log >&2' ERR
        for _ in $(seq 100000); do [ -S /efs/server/admin.sock ] && break; done
        efsctl status | grep -q '"sealed"'
        ! efsctl create-fs user-data 2>/root/refused
        efsctl unseal <starter.key
        efsctl create-fs user-data
        efsctl create-user app1 --fs user-data
        efsctl list-users | grep -q app1
        install -d -m 700 /root/keys
        cp /efs/user-data/system/users/app1/priv.pgp /efs/user-data/system/users/app1/client.pem /root/keys/
        efs remote add drive --host localhost --user-key /root/keys/priv.pgp --cert /root/keys/client.pem
        efs cp /usr/bin/efs drive:/programs/
        efs cat drive:/programs/efs | cmp - /usr/bin/efs
        printf 'dear all\\n' | efsc -h localhost -u /root/keys/priv.pgp -c /root/keys/client.pem -e 'post /letter'
        efsc -h localhost -u /root/keys/priv.pgp -c /root/keys/client.pem -e 'get /letter' | grep -q 'dear all'
        kill -TERM $server
        wait $server
        ! grep -rq 'dear all' /efs
    """.replace("<starter.key", "</root/starter.key"))
    expect("Creating '/efs/user-data'" in found.out, found.out[:2000])
    expect("sealed" in machine.read("/root/refused"), "what a sealed server says: " + machine.read("/root/refused"))


@test(root=True, seconds=900)
def removing_and_purging():
    """What was installed goes; volumes, keys and settings that were made stay, and purging says so."""
    machine = debian.Debian()
    before = everything(machine)
    machine.install(ours=OURS)
    for package in OURS:
        for directory in ("usr/bin/" + package, "usr/share/doc/" + package):
            expect(os.path.exists(machine.path("/" + directory)), f"{directory} is missing")
    machine.write("/var/lib/efs-server/user-data/files/kept", "a volume")
    machine.run("dpkg", "--purge", *OURS)
    ours = ("efs", "_efs", "mount.fuse.efs")
    left = [path for path in everything(machine) - before
            if any(name.startswith(ours) for name in path.split("/")) and not path.startswith(("/packages", "/var/lib/dpkg", "/var/cache"))]
    expect_equal(sorted(left), ["/var/lib/efs-server", "/var/lib/efs-server/user-data", "/var/lib/efs-server/user-data/files",
                                "/var/lib/efs-server/user-data/files/kept"], "what purging leaves")


def everything(machine):
    found = set()
    for where, directories, names in os.walk(machine.root):
        found |= {os.path.join(where, name)[len(machine.root):] for name in directories + names}
    return found


@test(root=True, needs=("man",))
def man_pages_tell_of_every_command_and_option():
    for name, section in (("efsc", 1), ("efs-server", 8), ("efsctl", 8)):
        with open(os.path.join(ROOT, f"man/{name}.{section}")) as file:
            page = file.read()
        text = run(os.path.join(ROOT, ".build/release", name), "--help").out
        if name == "efs-server":
            text += run(os.path.join(ROOT, ".build/release", name), "serve", "--help").out
        for line in text.splitlines():
            words = line.split()
            if not line.startswith("  ") or not words or words[0] == "See":
                continue
            if words[0].startswith("-"):
                for word in words:
                    if word.startswith("--") and word.strip(",").lstrip("-").replace("-", "").isalnum():
                        expect(f"Fl {word.strip(',')[2:]}" in page, f"{name}({section}) does not tell of {word}")
            elif line.startswith("  ") and not line.startswith("   ") and "SUBCOMMANDS" in text and text.index("SUBCOMMANDS") < text.index(line):
                expect(f"Cm {words[0]}" in page, f"{name}({section}) does not tell of '{words[0]}'")
