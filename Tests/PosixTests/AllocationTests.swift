import Testing

/// fallocate(2), holes, and what they count for.
@Suite(.enabled(if: isRoot, needsRoot), .serialized) struct AllocationTests {
    @Test(arguments: Kind.all) func everyMode(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: open f f O_CREAT|O_RDWR
                alice: write f x*16384 0 -> 16384
                alice: fallocate f PLAIN 16384 8192
                alice: fstat f size -> 24576
                alice: read f 10 16380 -> xxxx+~*6
                alice: fallocate f KEEP_SIZE 24576 8192
                alice: fstat f size -> 24576
                alice: fallocate f PUNCH_HOLE|KEEP_SIZE 1000 5000
                alice: read f 5010 995 -> x*5+~*5000+x*5
                alice: fallocate f ZERO_RANGE 8000 100
                alice: read f 110 7995 -> x*5+~*100+x*5
                alice: fallocate f ZERO_RANGE 24000 2000
                alice: fstat f size -> 26000
                alice: fallocate f ZERO_RANGE|KEEP_SIZE 25000 4000
                alice: fstat f size -> 26000
                alice: fallocate f PUNCH_HOLE|KEEP_SIZE 100000 4096
                alice: fstat f size -> 26000
                # What is reserved past the end is zeros when the file grows.
                alice: ftruncate f 40000
                alice: read f 10 30000 -> ~*10
                # What was written and cut off does not come back.
                alice: write f y*40000 0 -> 40000
                alice: ftruncate f 1000
                alice: fallocate f PLAIN 0 40000
                alice: read f 39010 995 -> y*5+~*39000
                # Refused.
                alice: fallocate f PLAIN 0 0 -> EINVAL
                alice: fallocate f PLAIN -1 10 -> EINVAL
                alice: fallocate f PLAIN 0 -1 -> EINVAL
                alice: fallocate f PUNCH_HOLE 0 4096 -> EOPNOTSUPP
                alice: fallocate f 128 0 4096 -> EOPNOTSUPP
                alice: fallocate f COLLAPSE 0 4096 -> EOPNOTSUPP | ok
                alice: fallocate f INSERT 0 4096 -> EOPNOTSUPP | ok
                alice: open r f O_RDONLY
                alice: fallocate r PLAIN 0 10 -> EBADF
                alice: mkdir d
                alice: open d d O_RDONLY|O_DIRECTORY
                alice: fallocate d PLAIN 0 10 -> EBADF
                alice: mknod p 10644
                alice: open p p O_RDWR|O_NONBLOCK
                alice: fallocate p PLAIN 0 10 -> ESPIPE
                alice: fallocate f PLAIN 9223372036854775000 8000 -> EFBIG
                """)
        }
    }

    /// Room that is reserved counts, holes do not.
    @Test(arguments: Kind.all) func blocks(_ kind: Kind) throws {
        try Place.with(kind) { place in
            func blocks() throws -> Int { Int(try place.call("alice", "stat f blocks")) ?? -1 }
            try place.play("alice: open f f O_CREAT|O_RDWR\nalice: ftruncate f 10000000000\nalice: fsync f")
            #expect(try blocks() == 0)
            // The kernel asks a FUSE server again when a descriptor is closed.
            try place.play("alice: open g f O_RDWR\nalice: write g x*65536 1000000 -> 65536\nalice: fsync g\nalice: close g")
            #expect((128...144).contains(try blocks()))
            try place.play("alice: fallocate f KEEP_SIZE 2000000 1048576")
            #expect((128 + 2048...144 + 2064).contains(try blocks()))
            try place.play("alice: fallocate f PUNCH_HOLE|KEEP_SIZE 0 10000000000")
            #expect(try blocks() <= 8)
        }
    }

    /// Data that the kernel has and has not written back yet; where exactly holes begin is the file system's own matter.
    @Test(arguments: Kind.all) func holes(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: open f f O_CREAT|O_RDWR
                alice: ftruncate f 1000000
                alice: seek f 0 DATA -> ENXIO
                alice: seek f 0 HOLE -> 0
                alice: seek f 1000000 HOLE -> ENXIO
                alice: seek f 1000000 DATA -> ENXIO
                alice: seek f -1 DATA -> ENXIO
                alice: write f x*65536 262144 -> 65536
                alice: seek f 0 DATA -> 262144
                alice: seek f 262144 DATA -> 262144
                alice: seek f 300000 DATA -> 300000
                alice: seek f 262144 HOLE -> 327680
                alice: seek f 0 HOLE -> 0
                alice: seek f 327680 DATA -> ENXIO
                alice: seek f 327680 HOLE -> 327680
                alice: fsync f
                alice: seek f 0 DATA -> 262144
                alice: seek f 262144 HOLE -> 327680
                alice: fallocate f PUNCH_HOLE|KEEP_SIZE 270336 4096
                alice: seek f 262144 HOLE -> 270336
                alice: seek f 270336 DATA -> 274432
                alice: write f x*327680 0 -> 327680
                alice: seek f 0 HOLE -> 327680
                alice: write f y*4096 999424 -> 4096
                alice: seek f 327680 DATA -> 999424
                alice: seek f 999424 HOLE -> 1003520
                """)
            try place.remount()
            try place.play(
                """
                alice: open f f O_RDONLY
                alice: seek f 0 HOLE -> 327680
                alice: seek f 327680 DATA -> 999424
                alice: seek f 999424 HOLE -> 1003520
                """)
        }
    }

    @Test(arguments: Kind.all) func copies(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: open f f O_CREAT|O_RDWR
                alice: open g g O_CREAT|O_RDWR
                alice: write f x*100000+y*100000 0 -> 200000
                alice: copy f 50000 g 10 100000 -> 100000
                alice: fstat g size -> 100010
                alice: read g 20 0 -> ~*10+x*10
                alice: read g 10 50005 -> x*5+y*5
                alice: copy f 190000 g 0 100000 -> 10000
                alice: copy f 200000 g 0 100 -> 0
                alice: copy f 300000 g 0 100 -> 0
                # What a mapping wrote, and what nobody has written back.
                alice: map m f 4096
                alice: poke m 5 mapped
                alice: copy f 0 g 0 20 -> 20
                alice: read g 20 0 -> x*5+mapped+x*9
                # Within one file.
                alice: copy f 0 f 300000 10 -> 10
                alice: read f 10 300000 -> x*5+mappe
                alice: copy f 0 f 5 10 -> EINVAL
                alice: copy f 0 f 0 10 -> EINVAL
                alice: copy f 100 f 110 10 -> 10
                alice: open r g O_RDONLY
                alice: copy f 0 r 0 10 -> EBADF
                alice: open a g O_RDWR|O_APPEND
                alice: copy f 0 a 0 10 -> EBADF
                alice: mkdir d
                alice: open d d O_RDONLY|O_DIRECTORY
                alice: copy d 0 g 0 10 -> EISDIR
                """)
        }
    }

    @Test(arguments: Kind.all) func sizes(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: open f f O_CREAT|O_RDWR
                alice: ftruncate f -1 -> EINVAL
                alice: truncate f -1 -> EINVAL
                alice: write f x -1 -> EINVAL
                alice: ftruncate f 17000000000000
                alice: fstat f size -> 17000000000000
                alice: write f end 16999999999997 -> 3
                alice: read f 10 16999999999995 -> ~~end
                alice: seek f 0 END -> 17000000000000
                alice: ftruncate f 5
                alice: read f 10 0 -> ~*5
                alice: open r f O_RDONLY
                alice: ftruncate r 0 -> EINVAL
                alice: write r x -> EBADF
                alice: open w f O_WRONLY
                alice: read w 1 -> EBADF
                """)
            guard kind != .plain else { return }
            try place.play(
                """
                alice: ftruncate f 9223372036854775807
                alice: fstat f size -> 9223372036854775807
                alice: write f x 9223372036854775806 -> 1
                alice: write f xy 9223372036854775806 -> EINVAL
                alice: write f x 9223372036854775807 -> EINVAL
                alice: fsync f
                """)
        }
    }
}
