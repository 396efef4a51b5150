import FileSystem
import Glibc
import Sealing
import Synchronization
import Syscalls
import SystemPackage
import Testing

/// Copying a volume while it is written.
@Suite struct CopyingTests {
    /// Several threads write, sync, replace and delete while copies are made; each copy opens, is whole, and has what was acknowledged before.
    @Test func aCopyThatIsMadeWhileOthersWriteIsAStateOfTheVolume() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        let volume = try sandbox.open()
        let isOver = Atomic<Bool>(false)
        let rounds = Atomic<Int>(0)
        let acknowledged = Mutex<[String: Int]>([:])
        let writers = (0..<3).map { number in
            WorkerThread(name: "writer") {
                var round = 0
                while !isOver.load(ordering: .relaxed) {
                    let name = "w\(number)-\(round % 7)"
                    let size = round % 5 == 0 ? 900_000 : 3000
                    do {
                        try volume.fileSystem.replace(name, [UInt8](repeating: UInt8(truncatingIfNeeded: round), count: size))
                        acknowledged.withLock { $0[name] = round }
                    } catch { Issue.record(error) }
                    round += 1
                    rounds.wrappingAdd(1, ordering: .relaxed)
                }
            }
        }
        defer { for writer in writers { writer.join() } }
        defer { isOver.store(true, ordering: .relaxed) }
        for copyNumber in 0..<4 {
            let start = rounds.load(ordering: .relaxed)
            while rounds.load(ordering: .relaxed) < start + 20 { sched_yield() }
            let before = acknowledged.withLock { $0 }
            let path = sandbox.path + "/copy\(copyNumber)"
            mkdir(path, 0o700)
            let copy = try volume.copy(to: path) { false }
            // What the background deletes meanwhile would be missing now.
            try volume.checkpoint()
            var options = sandbox.options
            options.stateDirectory = sandbox.path + "/elsewhere"
            let opened = try Volume.open(at: path, password: secret("correct"), options: options)
            #expect(opened.openedState == copy.state)
            for (name, round) in before {
                let content = try opened.fileSystem.content(name)
                #expect(content.allSatisfy { $0 == content.first })
                // That round's content, or a later one's of the same name.
                let later = stride(from: round, through: round + 7 * 40, by: 7).map { UInt8(truncatingIfNeeded: $0) }
                #expect(later.contains(content.first ?? 0))
            }
            let report = try opened.check(deep: true)
            #expect(report.isClean, "\(report.problems)")
            try opened.close()
        }
        isOver.store(true, ordering: .relaxed)
    }

    @Test func aCopyOfAVolumeThatNobodyHasWrittenYet() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        var volume = try sandbox.open()
        _ = try volume.fileSystem.make("a", [1, 2, 3])
        try volume.close()
        volume = try sandbox.open()
        mkdir(sandbox.path + "/copy", 0o700)
        let copy = try volume.copy(to: sandbox.path + "/copy") { false }
        #expect(copy.bytes > 0)
        #expect(throws: Failure.self) { try volume.copy(to: sandbox.path + "/copy") { false } }
        try volume.close()
        var options = sandbox.options
        options.isReadOnly = true
        let opened = try Volume.open(at: sandbox.path + "/copy", password: secret("correct"), options: options)
        #expect(try opened.fileSystem.content("a") == [1, 2, 3])
    }

    @Test func aCopyThatIsToldToEndIsNoVolume() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        let volume = try sandbox.open()
        _ = try volume.fileSystem.make("a", [1, 2, 3])
        mkdir(sandbox.path + "/copy", 0o700)
        #expect(throws: Failure.self) { try volume.copy(to: sandbox.path + "/copy") { true } }
        try volume.close()
        do {
            _ = try Volume.open(at: sandbox.path + "/copy", password: secret("correct"), options: sandbox.options)
            Issue.record("half a copy was opened")
        } catch let failure as Failure { #expect(failure.kind == .notAVolume) }
    }
}

extension FileSystem {
    /// In one step, as the server does, and durable.
    fileprivate func replace(_ name: String, _ content: [UInt8]) throws {
        let made = try makeUnnamed(.root, mode: 0o644, caller: Caller(uid: 0, gid: 0)).inode
        defer { forget(made, count: 1) }
        try content.withUnsafeBytes { try write(made, at: 0, from: $0) }
        _ = try Array(name.utf8).withUnsafeBytes { try place(made, .root, $0) { _ in true } }
        try synchronize(made, dataOnly: false)
    }
}
