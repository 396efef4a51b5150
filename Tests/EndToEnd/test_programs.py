"""Real programs in a mount, byte for byte, also after an unmount and a mount."""
import contextlib
import os
import random
import shutil
import sqlite3

from harness import (IS_ROOT, ROOT, Context, Failed, Skipped, Volume, compare_trees, drop_caches, expect, expect_equal, in_processes, note,
                     run, scratch, shell, test)

GIT = ["git", "-c", "user.name=A", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", "-c", "safe.directory=*", "-c", "protocol.file.allow=always"]


def git(*arguments, **options):
    return run(*GIT, *arguments, **options)


def a_repository():
    """A real repository at hand: one that the build fetched, or the project's own."""
    checkouts = os.path.join(ROOT, ".build/checkouts")
    for name in ("swift-argument-parser", "swift-system", "swift-log"):
        path = os.path.join(checkouts, name)
        if os.path.isdir(os.path.join(path, ".git")):
            return path
    if os.path.isdir(os.path.join(ROOT, ".git")):
        return ROOT
    raise Skipped("no git repository at hand")


def a_source_tree():
    """A real source tree outside the mount, with its times, modes and symbolic links."""
    target = scratch("tree")
    source = os.path.join(ROOT, ".build/checkouts")
    if not os.path.isdir(source):
        source = ROOT
    shell(f"tar -c --exclude=.git --exclude=.build -C '{source}' . | tar -x -C '{target}'")
    os.symlink("nowhere/at all", os.path.join(target, "dangling"))
    os.link(os.path.join(target, "dangling"), os.path.join(target, "dangling too"), follow_symlinks=False)
    return target


@test(needs=("git",))
def git_clone_commit_gc_fsck():
    with Volume() as volume:
        work = volume.file("clone")
        git("clone", "--no-local", "--quiet", a_repository(), work)
        before = git("rev-parse", "HEAD", cwd=work).out
        for number in range(30):
            with open(os.path.join(work, f"file-{number}"), "w") as file:
                file.write(f"{number}\n" * 1000)
            git("add", "-A", cwd=work)
            git("commit", "-q", "-m", f"commit {number}", cwd=work)
        git("branch", "side", "HEAD~10", cwd=work)
        git("gc", "--quiet", "--prune=now", cwd=work)
        git("fsck", "--full", "--strict", cwd=work)
        after = git("rev-parse", "HEAD", cwd=work).out
        expect(before != after)
        volume.remount()
        git("fsck", "--full", "--strict", cwd=work)
        expect_equal(git("status", "--porcelain", cwd=work).out, "", "git status")
        expect_equal(git("rev-parse", "HEAD", cwd=work).out, after, "HEAD")
        git("checkout", "-q", "side", cwd=work)
        expect(not os.path.exists(os.path.join(work, "file-29")), "checkout of an older commit")
        git("clone", "-q", "--no-local", work, scratch("out") + "/clone")
        git("worktree", "add", "-q", volume.file("second"), "main", cwd=work)
        expect(os.path.exists(volume.file("second", "file-29")))
        volume.umount()
        volume.check("--deep")


@test(needs=("tar",))
def tar_in_and_out():
    tree = a_source_tree()
    with Volume() as volume:
        archive = os.path.join(Context.directory, "a.tar")
        run("tar", "--format=posix", "-cf", archive, "-C", tree, ".")
        os.mkdir(volume.file("t"))
        run("tar", "-xpf", archive, "-C", volume.file("t"))
        compare_trees(tree, volume.file("t"))
        volume.remount()
        compare_trees(tree, volume.file("t"))
        run("tar", "-df", archive, "-C", volume.file("t"))
        shell(f"tar --format=posix -cf - -C '{volume.file('t')}' . | tar -xpf - -C '{scratch('back')}'")
        compare_trees(tree, scratch("back"))
        run("rm", "-rf", volume.file("t"))
        expect_equal(os.listdir(volume.path), [], "after rm -rf")


@test(needs=("rsync", "setfattr", "setfacl"))
def rsync_with_everything():
    tree = a_source_tree()
    some = next(name for name in sorted(os.listdir(tree)) if os.path.isdir(os.path.join(tree, name)))
    run("setfattr", "-n", "user.note", "-v", "kept", os.path.join(tree, some))
    if IS_ROOT:
        run("setfattr", "-n", "trusted.note", "-v", "kept too", os.path.join(tree, some))
        run("mknod", os.path.join(tree, "null"), "c", "1", "3")
        os.chown(os.path.join(tree, some), 1234, 4321)
    os.mkfifo(os.path.join(tree, "fifo"))
    acl = run("setfacl", "-m", "u:1234:rx", os.path.join(tree, some), ok=False).status == 0
    flags = "-aHAX" if acl else "-aHX"
    with Volume(options=["--allow-other"] if IS_ROOT else []) as volume:
        os.mkdir(volume.file("t"))
        run("rsync", flags, tree + "/", volume.file("t") + "/")
        volume.remount()
        for flag in ([], ["--checksum"]):
            again = run("rsync", flags, "--itemize-changes", "--dry-run", "--delete", *flag, tree + "/", volume.file("t") + "/").out
            expect_equal(again, "", "what rsync would still do")
        run("rsync", flags, volume.file("t") + "/", scratch("back") + "/")
        again = run("rsync", flags, "--itemize-changes", "--dry-run", "--delete", "--checksum", tree + "/", scratch("back") + "/").out
        expect_equal(again, "", "what rsync would still do on the way back")
        if not acl:
            note("no ACLs on this disk: rsync -aHX")


@test()
def cp_both_ways():
    tree = a_source_tree()
    with Volume() as volume:
        run("cp", "-a", tree, volume.file("in"))
        compare_trees(tree, volume.file("in"))
        volume.remount()
        drop_caches()
        compare_trees(tree, volume.file("in"))
        run("cp", "-a", volume.file("in"), volume.file("inside"))
        compare_trees(tree, volume.file("inside"))
        run("cp", "-a", "--reflink=auto", volume.file("in"), os.path.join(Context.directory, "out"))
        compare_trees(tree, os.path.join(Context.directory, "out"))


@test(needs=("gcc", "make"))
def compile_a_c_project():
    with Volume() as volume:
        top = volume.file("project")
        os.mkdir(top)
        count = 60
        for number in range(count):
            with open(f"{top}/unit{number}.c", "w") as file:
                file.write(f'#include "all.h"\n#include <stdio.h>\n#include <string.h>\nint unit{number}(int x) {{ char b[64]; '
                           f'snprintf(b, sizeof b, "%d", x); return (int)strlen(b) + {number}; }}\n')
        with open(f"{top}/all.h", "w") as file:
            file.write("".join(f"int unit{number}(int);\n" for number in range(count)))
        calls = " + ".join(f"unit{number}(7)" for number in range(count))
        with open(f"{top}/main.c", "w") as file:
            file.write(f'#include "all.h"\n#include <stdio.h>\nint main(void) {{ printf("%d\\n", {calls}); return 0; }}\n')
        with open(f"{top}/Makefile", "w") as file:
            file.write("OBJ = $(patsubst %.c,%.o,$(wildcard *.c))\nprogram: libunits.a main.o\n\tgcc -O1 -o $@ main.o libunits.a\n"
                       "libunits.a: $(filter-out main.o,$(OBJ))\n\tar rcs $@ $^\n%.o: %.c all.h\n\tgcc -O1 -g -c -o $@ $<\n")
        run("make", "-j4", "-s", cwd=top)
        total = str(sum(1 + number for number in range(count)))
        expect_equal(run(f"{top}/program").out.strip(), total, "what the program prints")
        volume.remount()
        expect_equal(run(f"{top}/program").out.strip(), total, "what the program prints after a remount")
        expect("is up to date" in run("make", cwd=top).out, "make builds again after a remount: times changed")
        os.utime(f"{top}/all.h")
        expect("gcc" in run("make", cwd=top).out, "make sees no changed header")


@test(full=True, seconds=1800, needs=("swift",))
def compile_a_swift_package():
    source = os.path.join(ROOT, ".build/checkouts/swift-log")
    if not os.path.isdir(source):
        raise Skipped("the package is not checked out")
    with Volume() as volume:
        run("cp", "-a", source, volume.file("package"))
        run("swift", "build", cwd=volume.file("package"), timeout=1700)
        volume.remount()
        expect("Build complete" in run("swift", "build", cwd=volume.file("package"), timeout=1700).out)


def sqlite_work(path, mode, seed):
    """Random transactions, some rolled back, and what the table must hold then."""
    chance = random.Random(seed)
    model = {}
    connection = sqlite3.connect(path, isolation_level=None)
    expect_equal(connection.execute(f"pragma journal_mode={mode}").fetchone()[0], mode, "journal mode")
    connection.execute("pragma synchronous=full")
    connection.execute("create table t (k integer primary key, v blob)")
    for _ in range(150):
        changes = dict(model)
        connection.execute("begin")
        for _ in range(chance.randrange(1, 40)):
            key = chance.randrange(2000)
            if chance.random() < 0.3:
                connection.execute("delete from t where k = ?", (key,))
                changes.pop(key, None)
            else:
                value = chance.randbytes(chance.randrange(0, 6000))
                connection.execute("insert or replace into t values (?, ?)", (key, value))
                changes[key] = value
        if chance.random() < 0.2:
            connection.execute("rollback")
        else:
            connection.execute("commit")
            model = changes
        if chance.random() < 0.03:
            connection.execute("vacuum")
    connection.close()
    return model


@test(needs=("sqlite3",))
def sqlite_wal_and_rollback():
    seed = random.randrange(1 << 32)
    note(f"seed {seed}")
    with Volume() as volume:
        models = {mode: sqlite_work(volume.file(f"{mode}.db"), mode, seed) for mode in ("wal", "delete", "truncate", "persist")}
        for _ in range(2):
            for mode, model in models.items():
                path = volume.file(f"{mode}.db")
                expect_equal(run("sqlite3", path, "pragma integrity_check").out.strip(), "ok", "integrity_check")
                with contextlib.closing(sqlite3.connect(path)) as connection:
                    expect(dict(connection.execute("select k, v from t")) == model, f"the rows of {mode}.db are not those written")
            volume.remount()
            drop_caches()


@test(needs=("sqlite3",))
def sqlite_with_two_writers():
    with Volume() as volume:
        path = volume.file("shared.db")
        run("sqlite3", path, "pragma journal_mode=wal; create table t (who, n)")

        def insert(who):
            connection = sqlite3.connect(path, timeout=60, isolation_level=None)
            for number in range(200):
                connection.execute("insert into t values (?, ?)", (who, number))

        in_processes(3, insert)
        volume.remount()
        expect_equal(run("sqlite3", path, "pragma integrity_check; select count(*), count(distinct who || ',' || n) from t").out, "ok\n600|600\n")


def postgres_binaries():
    top = "/usr/lib/postgresql"
    for version in sorted(os.listdir(top) if os.path.isdir(top) else [], reverse=True):
        if os.path.exists(f"{top}/{version}/bin/initdb"):
            return f"{top}/{version}/bin"
    raise Failed("no PostgreSQL; scripts/setup --tests installs it")


@test(seconds=600)
def postgresql_cluster():
    binaries = postgres_binaries()
    as_user = ["runuser", "-u", "postgres", "--"] if IS_ROOT else []
    with Volume(options=["--allow-other"] if IS_ROOT else []) as volume:
        cluster, sockets = volume.file("cluster"), scratch("sockets")
        os.mkdir(cluster)
        if IS_ROOT:
            shutil.chown(cluster, "postgres", "postgres")
            shutil.chown(sockets, "postgres", "postgres")
        log = os.path.join(sockets, "log")

        def pg(program, *arguments, **options):
            return run(*as_user, f"{binaries}/{program}", *arguments, cwd=sockets, env={"PGHOST": sockets, "PGUSER": "tester"}, **options)

        def start():
            pg("pg_ctl", "-D", cluster, "-w", "-t", "120", "-l", log, "-o", f"-c listen_addresses='' -c unix_socket_directories='{sockets}'", "start")

        def stop(mode="fast"):
            pg("pg_ctl", "-D", cluster, "-w", "-t", "120", "-m", mode, "stop")

        pg("initdb", "-D", cluster, "-U", "tester", "--auth=trust", "--data-checksums")
        start()
        try:
            pg("createdb", "bench")
            pg("pgbench", "-i", "-s", "5", "-q", "bench")
            rate = pg("pgbench", "-c", "4", "-j", "2", "-T", "10", "bench").out
            note("pgbench: " + next(line for line in rate.splitlines() if line.startswith("tps")))
            query = ["psql", "-At", "-c", "select sum(abalance), (select sum(delta) from pgbench_history), (select count(*) from pgbench_history) from pgbench_accounts", "bench"]
            sums = pg(*query).out
            balance, history, count = sums.strip().split("|")
            expect(balance == history and int(count) > 0, f"the sums of pgbench differ: {sums}")
            stop("immediate")  # as after a crash: it replays its own log
            volume.remount()
            start()
            expect_equal(pg(*query).out, sums, "sums after a crash and a remount")
            pg("vacuumdb", "--full", "--analyze", "bench")
            expect_equal(pg(*query).out, sums, "sums after vacuum full")
        finally:
            stop()
        pg("pg_checksums", "--check", "-D", cluster)
        volume.remount()
        pg("pg_checksums", "--check", "-D", cluster)


@test(seconds=900, needs=("fio",))
def fio_verified_random_writes():
    with Volume() as volume:
        for direct in (0, 1):
            common = ["fio", f"--name=job{direct}", f"--directory={volume.path}", "--ioengine=psync", "--rw=randwrite", f"--direct={direct}",
                      "--bsrange=4k-128k", "--blockalign=4k", "--size=96m", "--numjobs=2", "--verify=crc32c", "--verify_fatal=1",
                      "--randseed=7", "--group_reporting", "--output-format=terse"]
            run(*common, "--do_verify=1", "--fsync=64", "--end_fsync=1")
            volume.remount()
            drop_caches()
            run(*common, "--verify_only")
        volume.umount()
        volume.check("--deep")


@test(seconds=600, needs=("fio",))
def fio_libaio_and_mmap():
    with Volume() as volume:
        for engine, direct in (("libaio", 1), ("mmap", 0)):
            run("fio", f"--name={engine}", f"--directory={volume.path}", f"--ioengine={engine}", "--rw=randwrite", f"--direct={direct}",
                "--iodepth=8", "--bs=8k", "--size=64m", "--verify=xxhash", "--do_verify=1", "--verify_fatal=1", "--end_fsync=1",
                "--output-format=terse")
            volume.remount()
            drop_caches()
            run("fio", f"--name={engine}", f"--directory={volume.path}", f"--ioengine={engine}", "--rw=randwrite", f"--direct={direct}",
                "--bs=8k", "--size=64m", "--verify=xxhash", "--verify_only", "--verify_fatal=1", "--output-format=terse")


@test(engine=True)
def make_run_leaves_nothing():
    if not all(os.path.exists(os.path.join(ROOT, ".build", name)) for name in ("release/efs", "checkouts")):
        raise Skipped("no release build")
    result = run(os.path.join(ROOT, "scripts/demo"), env={"TMPDIR": scratch("demo")})
    expect("Mounted again: all is there" in result.out, "the demonstration did not come to its end")
    expect_equal(os.listdir(scratch("demo")), [], "what it left behind")
