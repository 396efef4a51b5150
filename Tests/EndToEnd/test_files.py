"""What files can be: holes, names, times, sizes, many of them; read and written in every way."""
import ctypes
import errno
import hashlib
import mmap
import os
import random
import stat
import time

from harness import MIB, Settings, Volume, data_size, drop_caches, expect, expect_equal, in_processes, note, test, wait_until


def write(path, content, mode="wb"):
    with open(path, mode) as file:
        file.write(content)


def read(path):
    with open(path, "rb") as file:
        return file.read()


@test()
def shared_mapping():
    chance = random.Random(3)
    with Volume() as volume:
        path, size = volume.file("mapped"), 8 * MIB + 123
        content = bytearray(size)
        with open(path, "w+b") as file:
            file.truncate(size)
            with mmap.mmap(file.fileno(), size) as mapped, mmap.mmap(file.fileno(), size) as other:
                for _ in range(3000):
                    at = chance.randrange(size - 4000)
                    data = chance.randbytes(chance.randrange(1, 4000))
                    mapped[at:at + len(data)] = data
                    content[at:at + len(data)] = data
                expect(other[:] == bytes(content), "two mappings differ")
                file.seek(0)
                expect(file.read() == bytes(content), "read and mapping differ")
                os.pwrite(file.fileno(), b"by write", 4090)
                content[4090:4098] = b"by write"
                expect(mapped[4090:4098] == b"by write", "a mapping does not see a write")
                mapped.flush()
        volume.remount()
        expect(read(path) == bytes(content), "differs after a remount")


@test()
def unlinked_while_open():
    with Volume() as volume:
        path = volume.file("gone")
        with open(path, "w+b", buffering=0) as file:
            file.write(b"a" * 300000)
            os.unlink(path)
            expect(not os.path.exists(path))
            expect_equal(os.fstat(file.fileno()).st_nlink, 0, "links")
            file.write(b"b" * 300000)
            write(path, b"another")
            file.seek(0)
            expect(file.read() == b"a" * 300000 + b"b" * 300000, "content after unlink")
            os.ftruncate(file.fileno(), 10)
            os.fsync(file.fileno())
            expect_equal(os.fstat(file.fileno()).st_size, 10, "size")
        expect_equal(read(path), b"another")
        os.mkdir(volume.file("d"))
        directory = os.open(volume.file("d"), os.O_RDONLY)
        os.rmdir(volume.file("d"))
        expect_equal(os.listdir(directory), [], "a removed directory's entries")
        os.close(directory)
        volume.remount()
        expect_equal(os.listdir(volume.path), ["gone"])
        volume.umount()
        volume.check("--deep")


@test()
def sparse_20_gib():
    with Volume() as volume:
        path, size = volume.file("sparse"), 20 << 30
        places = [0, 5 << 30, (13 << 30) + 4095, size - 7]
        with open(path, "wb") as file:
            for place in places:
                file.seek(place)
                file.write(b"island!")
        for _ in range(2):
            state = os.stat(path)
            expect_equal(state.st_size, size, "size")
            expect(state.st_blocks * 512 < 8 * MIB, f"{state.st_blocks} blocks for a file of holes")
            with open(path, "rb") as file:
                for place in places:
                    expect_equal(os.pread(file.fileno(), 9, max(place - 1, 0)).strip(b"\0"), b"island!")
                expect_equal(os.pread(file.fileno(), MIB, 9 << 30), bytes(MIB))
                hole = os.lseek(file.fileno(), 0, os.SEEK_HOLE)
                data = os.lseek(file.fileno(), hole, os.SEEK_DATA)
                expect(0 < hole <= MIB and (5 << 30) - MIB <= data <= 5 << 30, f"hole at {hole}, data at {data}")
            volume.remount()


@test()
def punched_and_moved_ranges():
    """fallocate in its modes, against a plain bytearray."""
    libc = ctypes.CDLL(None, use_errno=True)
    keep_size, punch_hole, zero_range = 1, 2, 16
    seed = random.randrange(1 << 32)
    note(f"seed {seed}")
    chance = random.Random(seed)

    def fallocate(file, mode, offset, length):
        if libc.fallocate(file.fileno(), mode, ctypes.c_long(offset), ctypes.c_long(length)) != 0:
            raise OSError(ctypes.get_errno(), "fallocate")

    with Volume() as volume:
        path, content = volume.file("f"), bytearray()
        with open(path, "w+b", buffering=0) as file:
            for _ in range(400):
                offset, length = chance.randrange(2 * MIB), chance.randrange(1, 300000)
                kind = chance.randrange(6)
                end = offset + length
                if kind == 0 or kind == 1:
                    data = chance.randbytes(length)
                    os.pwrite(file.fileno(), data, offset)
                    content.extend(bytes(max(0, end - len(content))))
                    content[offset:end] = data
                elif kind == 2:
                    fallocate(file, punch_hole | keep_size, offset, length)
                    end = min(end, len(content))
                    if offset < end:
                        content[offset:end] = bytes(end - offset)
                elif kind == 3:
                    fallocate(file, zero_range, offset, length)
                    content.extend(bytes(max(0, end - len(content))))
                    content[offset:end] = bytes(length)
                elif kind == 4:
                    fallocate(file, 0, offset, length)
                    content.extend(bytes(max(0, end - len(content))))
                elif kind == 5:
                    os.ftruncate(file.fileno(), offset)
                    del content[offset:]
                    content.extend(bytes(offset - len(content)))
                if chance.random() < 0.1:
                    expect(os.pread(file.fileno(), len(content) + 1, 0) == bytes(content), "content differs")
        volume.remount()
        expect(read(path) == bytes(content), "content differs after a remount")


@test()
def ranges_copied_inside():
    with Volume() as volume:
        content = random.Random(5).randbytes(5 * MIB + 77)
        write(volume.file("a"), content)
        source, target = os.open(volume.file("a"), os.O_RDONLY), os.open(volume.file("b"), os.O_RDWR | os.O_CREAT)
        done = 0
        while done < len(content):
            copied = os.copy_file_range(source, target, len(content) - done)
            expect(copied > 0, "copy_file_range stops")
            done += copied
        os.pwrite(target, b"changed", 70000)
        os.close(source), os.close(target)
        expect(read(volume.file("a")) == content, "the source changed")
        volume.remount()
        expected = bytearray(content)
        expected[70000:70007] = b"changed"
        expect(read(volume.file("a")) == content and read(volume.file("b")) == bytes(expected), "the copy differs")


@test()
def names_of_all_bytes():
    with Volume() as volume:
        top = os.fsencode(volume.path)
        names = [b"x" * 255, "ä".encode() * 127, b"\xff\xfe\x80", b" leading and trailing ", b"new\nline", b"-rf", b"..."]
        names += [bytes([code]) * 3 for code in range(1, 256) if code not in (0x2E, 0x2F)]
        names = list(dict.fromkeys(names))
        for index, name in enumerate(names):
            write(os.path.join(top, name), name + str(index).encode())
        deep = top
        for _ in range(15):
            deep = os.path.join(deep, b"\xf0" * 250)
            os.mkdir(deep)
        os.symlink(b"\xff" * 4000, os.path.join(top, b"link"))
        for bad, code in ((b"y" * 256, errno.ENAMETOOLONG), (b"y" * 5000, errno.ENAMETOOLONG)):
            try:
                write(os.path.join(top, bad), b"")
                expect(False, "a name too long was taken")
            except OSError as error:
                expect_equal(error.errno, code, "error for a name too long")
        for _ in range(2):
            expect_equal(sorted(os.listdir(top)), sorted(names + [b"\xf0" * 250, b"link"]), "names")
            for index, name in enumerate(names):
                expect_equal(read(os.path.join(top, name)), name + str(index).encode(), "content")
            expect_equal(os.readlink(os.path.join(top, b"link")), b"\xff" * 4000)
            expect(os.path.isdir(deep))
            volume.remount()


@test()
def times_and_modes():
    with Volume() as volume:
        cases = {"old": (1, 2), "before": (-86400 * 365 * 30 * 10**9 - 5, -1), "ns": (1234567890123456789, 987654321987654321),
                 "far": (2**33 * 10**9 + 1, 2**33 * 10**9 + 999999999)}
        for name, times in cases.items():
            write(volume.file(name), b"x")
            os.utime(volume.file(name), ns=times)
            os.chmod(volume.file(name), 0o6751 if name == "old" else 0o400)
        os.symlink("old", volume.file("link"))
        os.utime(volume.file("link"), ns=(5, 6), follow_symlinks=False)
        os.mkdir(volume.file("directory"), 0o1777)
        os.chmod(volume.file("directory"), 0o1777)
        os.utime(volume.file("directory"), ns=(7, 8))
        os.mkfifo(volume.file("fifo"))
        volume.remount()
        for name, times in cases.items():
            state = os.stat(volume.file(name))
            expect_equal(state.st_mtime_ns, times[1], f"mtime of {name}")
            expect_equal(state.st_atime_ns, times[0], f"atime of {name}")
        expect_equal(stat.S_IMODE(os.stat(volume.file("old")).st_mode), 0o6751)
        expect_equal(os.lstat(volume.file("link")).st_mtime_ns, 6)
        expect_equal(os.stat(volume.file("directory")).st_mtime_ns, 8)
        expect_equal(stat.S_IMODE(os.stat(volume.file("directory")).st_mode), 0o1777)
        expect(stat.S_ISFIFO(os.stat(volume.file("fifo")).st_mode))
        before = time.time_ns()
        write(volume.file("new"), b"x")
        expect(before - 10**8 <= os.stat(volume.file("new")).st_mtime_ns <= time.time_ns() + 10**8, "mtime of a new file")


def many_in_one_directory(volume, count):
    top = volume.file("one")
    os.mkdir(top)
    began = time.monotonic()
    for number in range(count):
        os.close(os.open(f"{top}/{number:07}", os.O_CREAT | os.O_WRONLY, 0o644))
    note(f"one directory: {count / (time.monotonic() - began):.0f} creates/s")
    volume.remount()
    drop_caches()
    began = time.monotonic()
    names = os.listdir(top)
    note(f"listed in {time.monotonic() - began:.2f} s")
    expect(len(names) == count and len(set(names)) == count, f"{len(names)} names, {len(set(names))} different")
    chance = random.Random(1)
    for _ in range(2000):
        os.lstat(f"{top}/{chance.randrange(count):07}")
    seen, removed = set(), 0
    with os.scandir(top) as entries:  # removing while listing must show each name once, and none twice
        for entry in entries:
            expect(entry.name not in seen, "a name came twice")
            seen.add(entry.name)
            if int(entry.name) % 3 == 0:
                os.unlink(entry.path)
                removed += 1
    expect_equal(len(seen), count, "names seen while removing")
    expect_equal(len(os.listdir(top)), count - removed, "names after removing")
    volume.remount()
    expect_equal(len(os.listdir(top)), count - removed, "names after a remount")


def many_in_a_tree(volume, count):
    began = time.monotonic()
    for number in range(count):
        directory = volume.file("tree", str(number // 40000), str(number // 200 % 200))
        if number % 200 == 0:
            os.makedirs(directory)
        with open(f"{directory}/{number}", "wb", buffering=0) as file:
            file.write(b"%d" % number)
    note(f"a tree: {count / (time.monotonic() - began):.0f} small files/s")
    volume.umount()
    began = time.monotonic()
    volume.mount()
    note(f"mounted in {time.monotonic() - began:.2f} s")
    found = sum(len(files) for _, _, files in os.walk(volume.file("tree")))
    expect_equal(found, count, "files in the tree")
    chance = random.Random(2)
    for _ in range(3000):
        number = chance.randrange(count)
        expect_equal(read(volume.file("tree", str(number // 40000), str(number // 200 % 200), str(number))), b"%d" % number)
    note_memory(volume)


def note_memory(volume):
    if Settings.plain:
        return
    with open(f"/proc/{volume.server()}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    peak = int(fields["VmHWM"].split()[0]) // 1024
    note(f"the process holds {int(fields['VmRSS'].split()[0]) // 1024} MiB, at most {peak} MiB")
    expect(peak < 300, f"the process held {peak} MiB")


@test(seconds=900)
def a_hundred_thousand_files():
    with Volume() as volume:
        many_in_one_directory(volume, 50000)
        many_in_a_tree(volume, 50000)
        volume.umount()
        volume.check()


@test(full=True, seconds=7200)
def two_million_files():
    with Volume() as volume:
        many_in_one_directory(volume, 1000000)
        many_in_a_tree(volume, 1000000)
        volume.umount()
        volume.check()


@test(seconds=600)
def four_writers_at_once():
    """Two write files of their own, two write to one file in turns of blocks; all of it must be there."""
    blocks, size = 3000, 4096
    with Volume() as volume:
        def block(who, number):
            return hashlib.sha512(f"{who} {number}".encode()).digest() * (size // 64)

        def writer(who):
            name = "shared" if who < 2 else f"own-{who}"
            descriptor = os.open(volume.file(name), os.O_CREAT | os.O_WRONLY)
            order = list(range(blocks))
            random.Random(who).shuffle(order)
            for count, number in enumerate(order):
                os.pwrite(descriptor, block(who, number), (number * 2 + who if who < 2 else number) * size)
                if count % 500 == 0:
                    os.fsync(descriptor)
                    write(volume.file(f"small-{who}-{count}"), b"x" * count)
            os.close(descriptor)

        in_processes(4, writer)
        shared = b"".join(block(who, number) for number in range(blocks) for who in (0, 1))
        for _ in range(2):
            expect(read(volume.file("shared")) == shared, "the shared file differs")
            for who in (2, 3):
                expect(read(volume.file(f"own-{who}")) == b"".join(block(who, number) for number in range(blocks)), "an own file differs")
            for who in range(4):
                expect_equal(len(read(volume.file(f"small-{who}-500"))), 500)
            volume.remount()
            drop_caches()


@test()
def appends_of_many_processes():
    with Volume() as volume:
        children = []
        for who in range(6):
            process = os.fork()
            if process == 0:
                descriptor = os.open(volume.file("log"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
                for number in range(300):
                    os.write(descriptor, f"{who} {number:04}\n".encode())
                os._exit(0)
            children.append(process)
        for process in children:
            os.waitpid(process, 0)
        for _ in range(2):
            lines = read(volume.file("log")).decode().splitlines()
            expect_equal(sorted(lines), sorted(f"{who} {number:04}" for who in range(6) for number in range(300)), "lines")
            volume.remount()


@test()
def renames_and_links():
    with Volume() as volume:
        libc = ctypes.CDLL(None, use_errno=True)
        no_replace, exchange = 1, 2

        def rename(a, b, flags):
            done = libc.renameat2(-100, os.fsencode(volume.file(a)), -100, os.fsencode(volume.file(b)), flags)
            return 0 if done == 0 else ctypes.get_errno()

        for name in "ab":
            write(volume.file(name), name.encode())
        os.mkdir(volume.file("d"))
        write(volume.file("d/inner"), b"inner")
        expect_equal(rename("a", "b", no_replace), errno.EEXIST)
        expect_equal(rename("a", "b", exchange), 0)
        expect_equal(read(volume.file("a")), b"b")
        expect_equal(rename("a", "d", exchange), 0)
        expect_equal(read(volume.file("a/inner")), b"inner")
        expect_equal(rename("a", "a/below", 0), errno.EINVAL)
        for number in range(500):
            os.link(volume.file("b"), volume.file(f"link-{number}"))
        expect_equal(os.stat(volume.file("b")).st_nlink, 501, "links")
        descriptor = os.open(volume.path, os.O_TMPFILE | os.O_RDWR)
        os.write(descriptor, b"from nowhere")
        follow = 0x400
        linked = libc.linkat(-100, f"/proc/self/fd/{descriptor}".encode(), -100, os.fsencode(volume.file("somewhere")), follow)
        expect_equal(linked, 0, f"linkat of a nameless file, errno {ctypes.get_errno()}")
        os.close(descriptor)
        large = b"v" * (3000 if Settings.plain else 60000)
        os.setxattr(volume.file("b"), "user.large", large)
        os.setxattr(volume.file("b"), "user.empty", b"")
        volume.remount()
        expect_equal(read(volume.file("somewhere")), b"from nowhere")
        expect_equal(os.stat(volume.file("link-499")).st_ino, os.stat(volume.file("b")).st_ino, "inode of a link")
        expect_equal(os.getxattr(volume.file("link-3"), "user.large"), large)
        expect_equal(sorted(os.listxattr(volume.file("b"))), ["user.empty", "user.large"])
        for number in range(500):
            os.unlink(volume.file(f"link-{number}"))
        expect_equal(os.stat(volume.file("b")).st_nlink, 1, "links")


@test(seconds=600)
def space_comes_back():
    """Little is stored beside the content, and deleting gives the space back."""
    with Volume() as volume:
        content = random.Random(1).randbytes(MIB)
        for number in range(300):
            with open(volume.file(f"big-{number}"), "wb") as file:
                file.write(number.to_bytes(8, "little"))
                file.write(content[8:])
        volume.sync()
        if Settings.plain:
            return
        used = data_size(volume.data)
        note(f"{used / MIB:.1f} MiB for 300 MiB")
        expect(used < 300 * MIB * 1.005 + 80 * MIB, f"{used / MIB:.1f} MiB for 300 MiB")
        for number in range(300):
            os.unlink(volume.file(f"big-{number}"))
        volume.sync()
        began = time.monotonic()
        wait_until(lambda: data_size(volume.data) < 160 * MIB, 300, "the space of deleted files is not back")
        note(f"back after {time.monotonic() - began:.0f} s: {data_size(volume.data) / MIB:.1f} MiB left")
