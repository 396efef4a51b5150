"""Crashes, full disks, quotas, read-only disks, tampering: nothing lost, nothing wrong, a clear word."""
import errno
import hashlib
import os
import random
import shutil
import subprocess
import sys
import time

from harness import (MIB, Context, Failed, Settings, Skipped, Volume, drop_caches, efs, expect, expect_equal, note, run, small_disk,
                     test, wait_until)
from test_command_line import refused

WRITER = r"""
import hashlib, os, random, sys
# Writes files and says on standard output which are durable; besides, writes one big file without any fsync.
top, name, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
chance = random.Random(seed)
bulk = os.open(f"{top}/bulk-{name}", os.O_CREAT | os.O_WRONLY)
directory = os.open(top, os.O_RDONLY)
number = 0
print("ready -", flush=True)
try:
    while True:
        data = chance.randbytes(chance.choice([10, 3000, 5000, 70000, 1 << 20]))
        path = f"{top}/{name}-{number}"
        descriptor = os.open(path + ".new", os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, data)
        os.fsync(descriptor)
        os.close(descriptor)
        os.rename(path + ".new", path)
        os.fsync(directory)
        print(f"{name}-{number}", hashlib.sha256(data).hexdigest(), flush=True)
        os.write(bulk, chance.randbytes(1 << 18))
        number += 1
except OSError as error:
    print("cut", error.errno, flush=True)
"""


def kill_while_writing(volume, seed, seconds):
    """Returns what four writers were told is durable, and how many of them were cut off in the middle of something."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, volume.path, f"w{seed % 1000}-{who}", str(seed + who)], stdout=subprocess.PIPE, text=True)
               for who in range(4)]
    for writer in writers:
        expect_equal(writer.stdout.readline(), "ready -\n", "a writer's first word")
    time.sleep(seconds)  # how long they write is the random part of this test
    volume.kill()
    durable, cut = {}, 0
    for writer in writers:
        for line in writer.communicate(timeout=60)[0].splitlines():
            name, value = line.split()
            if name == "cut":
                cut += 1
            else:
                durable[name] = value
    return durable, cut


@test(engine=True, seconds=600)
def kill_while_writing_loses_nothing_fsynced():
    seed = random.randrange(1 << 30)
    note(f"seed {seed}")
    chance = random.Random(seed)
    volume = Volume().create()
    volume.mount()
    durable = {}
    for round in range(6):
        more, cut = kill_while_writing(volume, seed + 10 * round, chance.uniform(0.3, 2.5))
        expect(cut == 4, f"only {cut} of 4 writers were in the middle of something")
        expect(more, "nothing was durable yet")
        durable.update(more)
        began = time.monotonic()
        volume.mount("-u")
        elapsed = time.monotonic() - began
        for name, digest in durable.items():
            with open(volume.file(name), "rb") as file:
                expect_equal(hashlib.sha256(file.read()).hexdigest(), digest, f"{name} after a kill")
        for name in os.listdir(volume.path):  # and whatever else is there can be read
            with open(volume.file(name), "rb") as file:
                while file.read(MIB):
                    pass
    note(f"{len(durable)} durable files over 6 kills, all there; the last mount took {elapsed:.2f} s")
    volume.umount()
    volume.check("--deep")


@test(engine=True, full=True, seconds=900)
def a_gibibyte_behind_the_checkpoint():
    """A mount after a kill with 1 GiB written is ready within 2 s."""
    volume = Volume().create()
    volume.mount()
    block = os.urandom(4 * MIB)
    descriptor = os.open(volume.file("big"), os.O_CREAT | os.O_WRONLY)
    for _ in range(256):
        os.write(descriptor, block)
    os.fsync(descriptor)
    os.close(descriptor)
    volume.kill()
    efs("umount", volume.path)
    began = time.monotonic()
    volume.mount()
    elapsed = time.monotonic() - began
    note(f"ready after {elapsed:.2f} s")
    expect(elapsed < 2, f"ready only after {elapsed:.2f} s")
    volume.umount()


def fill(volume, size=MIB):
    """Writes files until there is no room. Returns the names of those that fsync confirmed, and the error."""
    durable = []
    for number in range(100000):
        path = volume.file(f"fill-{number}")
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
            try:
                os.write(descriptor, number.to_bytes(8, "little") * (size // 8))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            durable.append(number)
        except OSError as error:
            return durable, error.errno
    raise Failed("the disk never became full")


def full_disk(disk):
    volume = Volume(data=os.path.join(disk, "data")).create()
    volume.mount()
    with open(volume.file("before"), "wb") as file:
        file.write(b"kept" * 50000)
        file.flush()
        os.fsync(file.fileno())
    durable, code = fill(volume)
    expect(code in (errno.ENOSPC, errno.EDQUOT), f"a full disk gives {errno.errorcode[code]}")
    note(f"full after {len(durable)} MiB with {errno.errorcode[code]}")
    expect(len(durable) > 20, "full too early")
    drop_caches()

    def all_there(numbers):
        with open(volume.file("before"), "rb") as file:
            expect(file.read() == b"kept" * 50000, "a file from before differs")
        for number in numbers:
            with open(volume.file(f"fill-{number}"), "rb") as file:
                expect(file.read() == number.to_bytes(8, "little") * (MIB // 8), f"file {number} differs")

    all_there(durable)
    # still full after a remount, and still readable
    volume.remount()
    all_there(durable)
    # deleting works and gives room again
    for name in os.listdir(volume.path):
        number = name.removeprefix("fill-")
        if name != "before" and (int(number) % 2 == 0 or int(number) not in durable):
            os.unlink(volume.file(name))
    efs("sync", volume.path, ok=False)  # this one may tell of the write that failed above
    efs("sync", volume.path)
    kept = [number for number in durable if number % 2]
    room = len(durable) // 4

    def writes_again():
        try:
            with open(volume.file("again"), "wb") as file:
                file.write(b"again " * (room * MIB // 6))
                file.flush()
                os.fsync(file.fileno())
            return True
        except OSError:
            return False

    wait_until(writes_again, 120, f"after deleting half of {len(durable)} MiB there is no room for {room} MiB")
    all_there(kept)
    volume.remount()
    all_there(kept)
    expect(os.path.getsize(volume.file("again")) > 0)
    volume.umount()
    volume.check("--deep")


@test(engine=True, root=True, seconds=600)
def full_disk_on_ext4():
    with small_disk(400) as disk:
        full_disk(disk)


@test(engine=True, root=True, seconds=600)
def full_disk_on_tmpfs():
    with small_disk(300, kind="tmpfs") as disk:
        full_disk(disk)


@test(engine=True, root=True, seconds=600, needs=("mkfs.btrfs", "btrfs"))
def quota_used_up():
    """A quota group of btrfs, which holds for root too: EDQUOT below the volume while the disk has room."""
    with small_disk(1500, kind="btrfs") as disk:
        enabled = run("btrfs", "quota", "enable", disk, ok=False)
        if enabled.status != 0:
            raise Skipped(f"no quota on this kernel: {enabled.err.strip()}")
        run("btrfs", "qgroup", "limit", "400M", disk)
        full_disk(disk)


@test(engine=True, root=True)
def a_disk_that_turns_read_only():
    with small_disk(400) as disk:
        volume = Volume(data=os.path.join(disk, "data")).create()
        volume.mount()
        with open(volume.file("a"), "wb") as file:
            file.write(b"a" * 100000)
            os.fsync(file.fileno())
        volume.umount()
        run("mount", "-o", "remount,ro", disk)
        refused(20, "[Rr]ead-only", "mount", volume.data, volume.path, "--password-file", volume.password_file)
        volume.mount("--read-only")
        with open(volume.file("a"), "rb") as file:
            expect(file.read() == b"a" * 100000)
        volume.umount()
        run("mount", "-o", "remount,rw", disk)
        volume.mount()
        volume.umount()


def blobs(volume):
    return [os.path.join(root, name) for root, _, names in os.walk(volume.data) for name in names if not name.startswith("efs.")]


@test(engine=True, seconds=600)
def tampering_is_noticed():
    """A flipped, cut, zeroed or swapped piece of any file gives an error or changes nothing, and never wrong content."""
    volume = Volume().create()
    volume.mount()
    chance = random.Random(11)
    content = {f"file-{number}": chance.randbytes(chance.choice([100, 5000, 300000])) for number in range(40)}
    for name, data in content.items():
        with open(volume.file(name), "wb") as file:
            file.write(data)
    volume.umount()
    original = os.path.join(volume.base, "original")
    shutil.copytree(volume.data, original)
    sizes = {path: os.path.getsize(path) for path in blobs(volume)}
    noticed = 0
    for attempt in range(40):
        shutil.rmtree(volume.data)
        shutil.copytree(original, volume.data)
        path = chance.choice([path for path, size in sizes.items() if size > 0])
        place = chance.randrange(min(sizes[path], 6 * MIB))
        with open(path, "r+b") as file:
            kind = attempt % 3
            if kind == 0:
                file.seek(place)
                byte = file.read(1)
                file.seek(place)
                file.write(bytes([byte[0] ^ (1 << chance.randrange(8))]))
            elif kind == 1:
                file.truncate(place)
            else:
                file.seek(place)
                file.write(bytes(min(4096, sizes[path] - place)))
        mounted = volume.mount(ok=False)
        if mounted.status != 0:
            expect(mounted.status in (13, 18, 22), f"a tampered volume gives {mounted.status}: {mounted.err}")
            noticed += 1
            continue
        for name, data in content.items():
            try:
                with open(volume.file(name), "rb") as file:
                    found = file.read()
                expect(found == data, f"{name} has wrong content after tampering ({kind} at {place} of {path})")
            except OSError as error:
                expect(error.errno == errno.EIO, f"{name} gives {errno.errorcode[error.errno]} after tampering ({kind} at {place} of {path})")
                noticed += 1
        efs("umount", volume.path, ok=False)
        if volume.is_mounted():
            run("fusermount3", "-uz", volume.path)
        checked = efs("check", "--deep", volume.data, "--password-file", volume.password_file, ok=False)
        expect(checked.status in (0, 13, 18), f"check of a tampered volume gives {checked.status}: {checked.err}")
    note(f"noticed {noticed} times in 40 attempts")
    expect(noticed > 10, "tampering was not noticed")


@test(engine=True)
def an_older_copy_is_refused():
    volume = Volume().create()
    volume.mount()
    with open(volume.file("a"), "w") as file:
        file.write("old")
    volume.umount()
    copy = os.path.join(volume.base, "copy")
    shutil.copytree(volume.data, copy)
    volume.mount()
    with open(volume.file("a"), "w") as file:
        file.write("new")
    volume.umount()
    newer = os.path.join(volume.base, "newer")
    os.rename(volume.data, newer)
    shutil.copytree(copy, volume.data)
    result = refused(18, "older|another history", "mount", volume.data, volume.path, "--password-file", volume.password_file)
    expect("--accept-rollback" in result.err, "the hint does not name the flag")
    volume.mount("--accept-rollback")
    with open(volume.file("a")) as file:
        expect_equal(file.read(), "old")
    volume.umount()
    volume.mount()
    volume.umount()
    refused(18, "generation", "mount", volume.data, volume.path, "--password-file", volume.password_file, "--expect-generation", str(10**12))


