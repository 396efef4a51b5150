import Glibc
import LinuxTesting
import Testing

/// Locks between processes. The kernel keeps those of a mount itself.
@Suite(.enabled(if: isRoot, needsRoot), .serialized) struct LockTests {
    /// Until a process waits in fcntl(2) or flock(2), which /proc shows by their numbers.
    private static func untilWaiting(_ actor: Actor) throws {
        while true {
            let line = String(decoding: try readAll("/proc/\(actor.process)/syscall"), as: UTF8.self)
            if ["72", "73"].contains(line.split(separator: " ").first) { return }
            sched_yield()
        }
    }

    @Test(arguments: Kind.all, ["", "ofd-"]) func ranges(_ kind: Kind, _ prefix: String) throws {
        try Place.with(kind) { place in
            try place.play("root: open f f O_CREAT|O_RDWR 666\nalice: open f f O_RDWR\nbob: open f f O_RDWR")
            // Two kinds of lock, and every way in which two ranges can lie.
            for (held, asked) in [("READ", "READ"), ("READ", "WRITE"), ("WRITE", "READ"), ("WRITE", "WRITE")] {
                for (start, length) in [(0, 10), (0, 11), (5, 10), (12, 3), (10, 10), (19, 1), (20, 5), (0, 0), (15, 0), (20, 0)] {
                    try place.expect("alice", "\(prefix)setlk f \(held) 10 10")
                    let overlaps = start < 20 && (length == 0 || start + length > 10)
                    let conflicts = overlaps && (held == "WRITE" || asked == "WRITE")
                    try place.expect("bob", "\(prefix)getlk f \(asked) \(start) \(length)", conflicts ? "\(held) 10 10" : "free")
                    try place.expect("bob", "\(prefix)setlk f \(asked) \(start) \(length)", conflicts ? "EAGAIN" : "ok")
                    for name in ["alice", "bob"] { try place.expect(name, "\(prefix)setlk f NONE 0 0") }
                }
            }
            try place.play(
                """
                # A lock is split, and changes its kind in the middle.
                alice: \(prefix)setlk f WRITE 0 100
                alice: \(prefix)setlk f NONE 40 20
                alice: \(prefix)setlk f READ 10 10
                bob: \(prefix)getlk f READ 0 100 -> WRITE 0 10
                bob: \(prefix)getlk f READ 10 90 -> WRITE 20 20
                bob: \(prefix)setlk f WRITE 40 20
                bob: \(prefix)setlk f READ 10 10
                bob: \(prefix)setlk f WRITE 10 10 -> EAGAIN
                alice: \(prefix)getlk f READ 0 0 -> WRITE 40 20
                bob: open r f O_RDONLY
                bob: \(prefix)setlk r WRITE 200 1 -> EBADF
                bob: open w f O_WRONLY
                bob: \(prefix)setlk w READ 200 1 -> EBADF
                bob: \(prefix)setlk f READ -5 1 -> EINVAL
                """)
        }
    }

    @Test(arguments: Kind.all) func whenLocksEnd(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                root: open f f O_CREAT|O_RDWR 666
                alice: open f f O_RDWR
                alice: open g f O_RDWR
                bob: open f f O_RDWR
                # Record locks are the process's, and closing any descriptor of the file ends them.
                alice: setlk f WRITE 0 10
                alice: setlk g WRITE 5 10
                bob: setlk f READ 0 1 -> EAGAIN
                alice: close g
                bob: setlk f READ 0 1
                bob: setlk f NONE 0 0
                # Those of an open file are not.
                alice: open g f O_RDWR
                alice: open h f O_RDWR
                alice: ofd-setlk g WRITE 0 10
                alice: ofd-setlk f WRITE 0 10 -> EAGAIN
                alice: dup i g
                alice: close h
                alice: close g
                bob: ofd-setlk f WRITE 0 10 -> EAGAIN
                bob: setlk f WRITE 0 10 -> EAGAIN
                alice: close i
                bob: setlk f WRITE 0 10
                bob: setlk f NONE 0 0
                """)
            for how in ["killed", "ended"] {
                try place.play("alice2: open f f O_RDWR\nalice2: setlk f WRITE 0 10\nalice2: ofd-setlk f READ 20 10\nalice2: flock f EX")
                try place.play("bob: setlk f WRITE 0 10 -> EAGAIN\nbob: flock f SH|NB -> EAGAIN")
                if how == "killed" { place.kill("alice2") } else { place.end("alice2") }
                try place.play("bob: setlk f WRITE 0 30\nbob: flock f EX|NB\nbob: flock f UN\nbob: setlk f NONE 0 0")
            }
        }
    }

    @Test(arguments: Kind.all) func wholeFiles(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play("root: open f f O_CREAT|O_RDWR 666\nalice: open f f O_RDONLY\nbob: open f f O_WRONLY")
            for (held, asked) in [("SH", "SH"), ("SH", "EX"), ("EX", "SH"), ("EX", "EX")] {
                try place.expect("alice", "flock f \(held)|NB")
                try place.expect("bob", "flock f \(asked)|NB", held == "SH" && asked == "SH" ? "ok" : "EAGAIN")
                for name in ["alice", "bob"] { try place.expect(name, "flock f UN") }
            }
            try place.play(
                """
                alice: flock f EX
                alice: flock f SH
                bob: flock f SH|NB
                alice: flock f EX|NB -> EAGAIN
                alice: open g f O_RDONLY
                alice: flock g EX|NB -> EAGAIN
                bob: flock f UN
                # Both kinds of lock know nothing of each other.
                alice: flock g EX
                bob: setlk f WRITE 0 0
                # Directories can be locked as well.
                root: mkdir d 755
                alice: open d d O_RDONLY|O_DIRECTORY
                bob: open d d O_RDONLY|O_DIRECTORY
                alice: flock d EX
                bob: flock d SH|NB -> EAGAIN
                """)
        }
    }

    @Test(.timeLimit(.minutes(2)), arguments: Kind.all) func waiting(_ kind: Kind) throws {
        try Place.with(kind) { place in
            for (lock, wait, release) in [
                ("setlk f WRITE 0 10", "setlkw f WRITE 5 10", "setlk f NONE 0 0"),
                ("ofd-setlk f WRITE 0 10", "ofd-setlkw f READ 5 10", "ofd-setlk f NONE 0 0"),
                ("flock f EX", "flock f SH", "flock f UN"),
            ] {
                try place.play("root: open f f O_CREAT|O_RDWR 666\nalice: open f f O_RDWR\nbob: open f f O_RDWR")
                let bob = try place.actor("bob")
                for how in ["released", "closed", "killed"] {
                    try place.expect("alice", "open f f O_RDWR")
                    try place.expect("alice", lock)
                    bob.send(wait)
                    try Self.untilWaiting(bob)
                    switch how {
                    case "released": try place.expect("alice", release)
                    case "closed": try place.expect("alice", "close f")
                    default: place.kill("alice")
                    }
                    #expect(bob.receive() == "ok", "\(lock), \(how)")
                    try place.expect("bob", release)
                }
            }
            // Two that wait for each other: the second is told.
            try place.play("alice: open f f O_RDWR\nalice: setlk f WRITE 0 1\nbob: setlk f WRITE 10 1")
            let alice = try place.actor("alice")
            alice.send("setlkw f WRITE 10 1")
            try Self.untilWaiting(alice)
            try place.expect("bob", "setlkw f WRITE 0 1", "EDEADLK")
            try place.expect("bob", "setlk f NONE 0 0")
            #expect(alice.receive() == "ok")
        }
    }
}
