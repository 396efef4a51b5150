import Glibc
import LinuxTesting
import SystemPackage
import Testing

/// Several processes at work in a tree at once: each in a part of its own, where all that it sees must be what it sees in a plain directory,
/// and all together in one part.
@Suite(.enabled(if: isRoot, needsRoot), .serialized) struct TreeExerciserTests {
    @Test(arguments: Kind.mounts) func severalProcesses(_ kind: Kind) throws {
        let seed = seed(of: "severalProcesses(\(kind.rawValue))")
        let steps = getenv("EFS_TEST_FULL") == nil ? 2_500 : 100_000
        let processes = 4
        func run(_ kind: Kind) throws -> (answers: [String], trees: [String]) {
            try Place.with(kind) { place in
                try place.expect("root", "mkdir shared 777")
                let names = (0..<processes).map { "root\($0)" }
                for name in names { try place.expect(name, "mkdir \(name)") }
                for (index, name) in names.enumerated() {
                    try place.actor(name).send("stress \(seed &+ UInt64(index)) \(steps) \(name) shared")
                }
                let answers = try names.map { try place.actor($0).receive() }
                place.endActors()
                let trees = try names.map { try Self.describe("\(place.path)/\($0)").joined(separator: "\n") }
                let shared = try Self.describe(place.path + "/shared")
                try place.remount()
                for (name, tree) in zip(names, trees) {
                    #expect(try Self.describe("\(place.path)/\(name)").joined(separator: "\n") == tree, "after a remount")
                }
                #expect(try Self.describe(place.path + "/shared") == shared)
                return (answers, trees)
            }
        }
        let (expected, found) = (try run(.plain), try run(kind))
        #expect(found.answers == expected.answers, "seed \(seed): what the processes saw")
        for (plain, here) in zip(expected.trees, found.trees) where plain != here {
            let differences = zip(plain.split(separator: "\n"), here.split(separator: "\n")).filter { $0 != $1 }.prefix(10)
            Issue.record("seed \(seed): the trees differ: \(differences.map { "\($0) | \($1)" }.joined(separator: "\n"))")
        }
    }

    /// A line for each file: all that does not depend on the time.
    private static func describe(_ root: String) throws -> [String] {
        let script = """
            find . -mindepth 1 -printf '%P %y %m %U %G %l ' \\( -type d -printf '\\n' -o -printf '%n %s\\n' \\) | LC_ALL=C sort
            find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r cksum
            python3 -c 'import os
            for base, directories, files in sorted(os.walk(".")):
                for name in sorted(directories + files):
                    path = os.path.join(base, name)
                    for key in sorted(os.listxattr(path, follow_symlinks=False)):
                        print(path, key, os.getxattr(path, key, follow_symlinks=False))'
            """
        let result = try shell(script, in: root)
        try #require(result.status == 0, "\(result.output)")
        return result.output.split(separator: "\n").map(String.init)
    }
}
