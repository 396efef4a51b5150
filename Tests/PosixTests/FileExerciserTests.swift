import Glibc
import LinuxTesting
import Testing

/// One file, used in all ways at random beside an image of it in memory (Tests/PosixHelper/FileExerciser.swift).
@Suite(.enabled(if: isRoot, needsRoot), .serialized) struct FileExerciserTests {
    @Test(arguments: Kind.all) func oneFileInAllWays(_ kind: Kind) throws {
        let seed = seed(of: "oneFileInAllWays(\(kind.rawValue))")
        let rounds = getenv("EFS_TEST_FULL") == nil ? 5 : 100
        try Place.with(kind) { place in
            // In a process of its own: one that serves a mount must not wait for a page of it. And outside, so that the mount can end.
            let exerciser = try Actor(Identity(uid: 0, gid: 0), in: "/")
            for round in 0..<rounds {
                let answer = exerciser.call("exercise \(place.path)/file \(seed) 1500")
                #expect(answer == "ok", "seed \(seed), round \(round)")
                if answer != "ok" { break }
                try place.remount()
            }
            exerciser.end()
        }
    }
}
