"""Places: the verbs of efs on local paths and on volumes that are not mounted."""
import json
import os

from harness import Settings, Volume, efs, expect, expect_equal, run, scratch, test


def tree_of(top):
    """Every path below with its content, its mode and its time in nanoseconds."""
    found = {}
    for here, directories, files in os.walk(top):
        for name in directories:
            found[os.path.relpath(os.path.join(here, name), top)] = None
        for name in files:
            path = os.path.join(here, name)
            with open(path, "rb") as file:
                status = os.stat(path)
                found[os.path.relpath(path, top)] = (file.read(), status.st_mode, status.st_mtime_ns)
    return found


def make_tree(top):
    os.makedirs(os.path.join(top, "sub", "deeper"))
    contents = {"a.txt": b"one", "empty": b"", "sub/big.bin": os.urandom(3 << 20), "sub/deeper/\u00e9 \u4e2d.txt": b"names", "sub/x.tmp": b"tmp"}
    for name, content in contents.items():
        path = os.path.join(top, name)
        with open(path, "wb") as file:
            file.write(content)
        os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    os.chmod(os.path.join(top, "a.txt"), 0o750)


@test(engine=True)
def copy_into_a_volume_and_back():
    volume = Volume().create()
    password = ("--password-file", volume.password_file)
    here = scratch("here")
    source = os.path.join(here, "source")
    make_tree(source)
    place = volume.data + ":/"
    efs("cp", "-r", source, place, *password)
    expect_equal(efs("ls", place, *password).out, "source/\n")
    efs("cp", "-r", place + "source", os.path.join(here, "back"), *password)
    expect_equal(tree_of(os.path.join(here, "back")), tree_of(source), "what came back")
    # A mount shows the same.
    volume.mount()
    try:
        expect_equal(tree_of(volume.file("source")), tree_of(source), "what the mount shows")
        busy = efs("ls", place, *password, ok=False)
        expect_equal(busy.status, 16, "a volume that is mounted")
    finally:
        volume.umount()
    volume.check()


@test(engine=True)
def verbs_on_a_volume():
    volume = Volume().create()
    password = ("--password-file", volume.password_file)
    place = volume.data + ":"
    here = scratch("here")
    path = os.path.join(here, "file")
    with open(path, "w") as file:
        file.write("hello\n")
    efs("mkdir", place + "/a/b", *password)
    efs("cp", path, place + "/a/b/", *password)
    expect_equal(efs("cat", place + "/a/b/file", *password).out, "hello\n")
    efs("mv", place + "/a/b/file", place + "/a/moved", *password)
    entries = [json.loads(line) for line in efs("ls", "--json", place + "/a", *password).out.splitlines()]
    expect_equal([(e["name"], e["type"]) for e in entries], [("b", "directory"), ("moved", "file")])
    expect_equal(json.loads(efs("stat", "--json", place + "/a/moved", *password).out)["size"], 6)
    expect_equal(efs("rm", place + "/a", *password, ok=False).status, 2, "rm of a directory")
    expect_equal(efs("rm", place + "/nothing", *password, ok=False).status, 17, "rm of nothing")
    expect_equal(efs("cat", place + "/nothing", *password, ok=False).status, 17, "cat of nothing")
    efs("rm", "-r", place + "/a", *password)
    expect_equal(efs("ls", place + "/", *password).out, "")
    wrong = os.path.join(here, "wrong")
    with open(wrong, "w") as file:
        file.write("wrong\n")
    expect_equal(efs("ls", place + "/", "--password-file", wrong, ok=False).status, 12, "a wrong password")


@test(engine=True)
def syncing_and_dry_runs():
    here = scratch("here")
    source, target = os.path.join(here, "source"), os.path.join(here, "target")
    make_tree(source)
    os.makedirs(target)
    with open(os.path.join(target, "extra"), "w") as file:
        file.write("x")
    before = tree_of(target)
    lines = [json.loads(line) for line in efs("cp", "--sync", "--dry-run", "--json", source, target).out.splitlines()]
    expect_equal(tree_of(target), before, "after a dry run")
    expect_equal(sorted({line["event"] for line in lines}), ["summary", "wouldCopy", "wouldRemove"])
    efs("cp", "--sync", "--no-delete", "--exclude", "*.tmp", source, target)
    expect(os.path.exists(os.path.join(target, "extra")) and not os.path.exists(os.path.join(target, "sub/x.tmp")))
    efs("cp", "--sync", source, target)
    expect_equal(tree_of(target), tree_of(source), "after syncing")
    summary = json.loads(efs("cp", "--sync", "--json", source, target).out.splitlines()[-1])
    expect_equal((summary["copiedFiles"], summary["unchangedFiles"], summary["removed"]), (0, 5, 0), "the second time")


@test(engine=True)
def failures_of_copies():
    here = scratch("here")
    expect_equal(efs("cp", here + "/nothing", here + "/x", ok=False).status, 17, "a source that is not there")
    expect_equal(efs("cp", here, here + "/x", ok=False).status, 2, "a directory without -r")
    expect_equal(efs("cp", here, ok=False).status, 2, "no target")
    expect_equal(efs("cp", "nowhere:/a", here, ok=False).status, 17, "a remote that is not there")
    expect_equal(efs("cp", "--bwlimit", "much", here, here, ok=False).status, 2, "a rate that is none")
    source = os.path.join(here, "source")
    make_tree(source)
    target = os.path.join(here, "target")
    # A directory stands where a file should go: that one fails, the others come.
    os.makedirs(os.path.join(target, "source", "a.txt", "in the way"))
    result = efs("cp", "-r", source, target, ok=False)
    expect_equal(result.status, 26, "one of several failed")
    expect_equal(result.err.count("efs: error: "), 1, "errors told")
    expect(os.path.exists(os.path.join(target, "source/sub/big.bin")))
    expect(not any(name.endswith(".efs-part") for name in os.listdir(os.path.join(target, "source", "sub"))))
