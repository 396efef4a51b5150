import Testing

/// Ways to use a file beyond reading and writing it under its name.
@Suite(.enabled(if: isRoot, needsRoot), .serialized) struct SpecialAccessTests {
    @Test(arguments: Kind.all) func unlinkedWhileOpen(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: open a f O_CREAT|O_RDWR
                alice: write a x*200000 0 -> 200000
                alice: map m a 8192
                bob: open b f O_RDONLY
                alice: unlink f
                alice: fstat a nlink,size -> 0,200000
                bob: read b 5 100000 -> x*5
                alice: write a new 300000 -> 3
                bob: fstat b size -> 300003
                alice: poke m 0 mapped
                bob: read b 6 0 -> mapped
                # A new file of that name is another one.
                alice: open c f O_CREAT|O_EXCL|O_RDWR
                alice: fstat c size,nlink -> 0,1
                bob: read b 5 100000 -> x*5
                alice: close a
                alice: unmap m
                bob: read b 3 300000 -> new
                alice: mkdir d
                alice: open dir d O_RDONLY|O_DIRECTORY
                alice: rmdir d
                alice: fstat dir nlink,type -> 0,dir
                alice: mkdir d
                # Replaced while open.
                alice: open r r O_CREAT|O_RDWR
                alice: write r old 0 -> 3
                alice: open n n O_CREAT|O_RDWR
                alice: write n new 0 -> 3
                alice: rename n r
                alice: read r 3 0 -> old
                alice: fstat r nlink -> 0
                alice: ftruncate r 0
                alice: open s r O_RDONLY
                alice: read s 3 0 -> new
                """)
        }
    }

    /// A killed helper leaves nothing behind: `finish` checks the volume for orphans that nobody holds.
    @Test(arguments: Kind.mounts) func unlinkedByTheDead(_ kind: Kind) throws {
        try Place.with(kind) { place in
            for index in 0..<20 {
                let name = "alice\(index)"
                try place.expect(name, "open f f\(index) O_CREAT|O_RDWR")
                try place.expect(name, "write f x*100000 0", "100000")
                try place.expect(name, "unlink f\(index)")
            }
            for index in 0..<20 { place.kill("alice\(index)") }
            try place.expect("root", "list .", "-")
        }
    }

    @Test(arguments: Kind.all) func appendersDoNotOverwriteEachOther(_ kind: Kind) throws {
        try Place.with(kind) { place in
            let (writers, size, count) = (6, 100, 200)
            try place.expect("root", "open f f O_CREAT|O_RDWR 666")
            let actors = try (0..<writers).map { index in
                try place.expect("alice\(index)", "open a f O_WRONLY|O_APPEND")
                return try place.actor("alice\(index)")
            }
            for (index, actor) in actors.enumerated() { actor.send("append a \("abcdef".dropFirst(index).prefix(1)) \(size) \(count)") }
            for actor in actors { #expect(actor.receive() == "ok") }
            #expect(try place.call("root", "fstat f size") == "\(writers * size * count)")
            // Every record is whole: runs of one letter are multiples of a record, and together as many as were written.
            var total: [Substring: Int] = [:]
            for at in stride(from: 0, to: writers * size * count, by: 10_000) {
                for piece in try place.call("root", "read f 10000 \(at)").split(separator: "+") {
                    let parts = piece.split(separator: "*")
                    let length = try #require(parts.count == 2 ? Int(parts[1]) : nil, "a torn record: \(piece)")
                    #expect(length % size == 0)
                    total[parts[0], default: 0] += length
                }
            }
            #expect(total.count == writers && total.values.allSatisfy { $0 == size * count }, "\(total)")
        }
    }

    @Test(arguments: Kind.all) func filesWithoutNames(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: open t . O_TMPFILE|O_RDWR 640
                alice: write t hello 0 -> 5
                alice: fstat t nlink,mode,uid,size -> 0,640,1001,5
                alice: list . -> -
                alice: linkfd t f
                alice: stat f nlink,size,mode -> 1,5,640
                alice: linkfd t g
                alice: stat f nlink -> 2
                alice: write t more 5 -> 4
                alice: linkfd t f -> EEXIST
                alice: unlink f
                alice: unlink g
                # It had a name once and has none now: it gets no other.
                alice: linkfd t h -> ENOENT
                alice: open x . O_TMPFILE|O_RDWR|O_EXCL 600
                alice: linkfd x h -> ENOENT
                alice: open r . O_TMPFILE|O_RDONLY 600 -> EINVAL
                alice: open n none O_TMPFILE|O_RDWR 600 -> ENOENT
                alice: open f file O_CREAT|O_RDWR
                alice: open n file O_TMPFILE|O_RDWR 600 -> ENOTDIR
                alice: unlink file
                alice: open t . O_TMPFILE|O_RDWR 000
                alice: write t kept 0 -> 4
                alice: linkfd t kept
                """)
            try place.remount()
            try place.play("root: open k kept O_RDONLY\nroot: read k 10 -> kept\nroot: list . -> kept")
        }
    }

    @Test(arguments: Kind.all) func aroundTheCache(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: open c f O_CREAT|O_RDWR
                alice: open d f O_RDWR|O_DIRECT
                alice: write c a*16384 0 -> 16384
                alice: read d 4096 4096 -> a*4096
                alice: write d b*4096 4096 -> 4096
                alice: read c 8192 0 -> a*4096+b*4096
                alice: map m c 16384
                alice: peek m 4090 10 -> a*6+bbbb
                alice: poke m 8192 c*4096
                alice: read d 4096 8192 -> c*4096
                alice: write d d*4096 12288 -> 4096
                alice: peek m 12284 8 -> ccccdddd
                alice: read d 8192 12288 -> d*4096
                alice: read d 4096 16384 -> -
                # Past the end, and growing.
                alice: write d e*4096 20480 -> 4096
                alice: fstat c size -> 24576
                alice: read c 8192 16384 -> ~*4096+e*4096
                alice: write c f*10 24576 -> 10
                alice: read d 4096 24576 -> f*10
                alice: ftruncate c 24580
                alice: read d 4096 24576 -> ffff
                """)
        }
    }

    @Test(arguments: Kind.all) func mappings(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: open f f O_CREAT|O_RDWR 666
                alice: write f a*10000 0 -> 10000
                alice: map m f 12288
                bob: open f f O_RDWR
                bob: map m f 12288
                alice: poke m 100 x*10
                bob: peek m 98 14 -> aa+x*10+aa
                bob: read f 14 98 -> aa+x*10+aa
                bob: write f y*5 200 -> 5
                alice: peek m 199 7 -> a+y*5+a
                # Behind the end of the file the last page is zeros, and stays out of the file.
                alice: peek m 9998 6 -> aa~~~~
                alice: poke m 10000 zz
                alice: msync m
                bob: fstat f size -> 10000
                bob: ftruncate f 12000
                bob: read f 6 9998 -> aa~~~~
                bob: ftruncate f 50
                bob: ftruncate f 12000
                alice: peek m 48 6 -> aa~~~~
                alice: peek m 5000 8 -> ~*8
                alice: poke m 5000 kept
                alice: unmap m
                alice: close f
                bob: read f 4 5000 -> kept
                bob: fallocate f PUNCH_HOLE|KEEP_SIZE 4096 4096
                bob: peek m 5000 4 -> ~~~~
                bob: poke m 5000 back
                bob: msync m
                """)
            try place.remount()
            try place.play("bob: open f f O_RDONLY\nbob: read f 8 5000 -> back~~~~\nbob: fstat f size -> 12000")
        }
    }

    @Test(arguments: Kind.all) func programsThatRun(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play("root: open from /bin/sleep O_RDONLY\nroot: open to program O_CREAT|O_RDWR 755\nroot: open w program O_WRONLY")
            #expect(Int(try place.call("root", "sendfile to from 10000000")) ?? 0 > 1000)
            try place.play(
                """
                root: execute program -> ETXTBSY
                root: close w
                root: execute program -> ETXTBSY
                root: close to
                root: start program 1000
                root: open w program O_WRONLY -> ETXTBSY
                root: open w program O_RDWR|O_TRUNC -> ETXTBSY
                root: truncate program 0 -> ETXTBSY
                alice: open r program O_RDONLY
                root: rename program moved
                root: unlink moved
                root: stop
                """)
        }
    }
}
