import FileSystem
import Glibc
import KeyManagement
import LinuxTesting
import Logging
import Mount
import Sealing
import Synchronization
import Syscalls
import SystemPackage
import Testing

/// Where a test runs. What it expects of a mount it expects of a plain directory too, so the machine's own file system checks it.
enum Kind: String, CaseIterable, CustomTestStringConvertible {
    case plain, classic, uring

    var testDescription: String { rawValue }

    static let mounts: [Kind] = FUSEOverURing.isOn ? [.classic, .uring] : [.classic]
    static let all: [Kind] = [.plain] + mounts
}

/// Without root there is no other user to be, and no mount for others.
let isRoot = getuid() == 0
let needsRoot: Comment = "needs root: it acts as several users"

/// An empty directory in a volume of its own, or in /var/tmp, and the helpers that work in it.
final class Place {
    let kind: Kind
    /// Where the helpers work: mode 0777, owned by root.
    let path: String
    private let base: String
    /// The volume's.
    private let data: String
    private let isOnMemory: Bool
    /// Of a storage in memory.
    static let memoryBytes = 512 << 20
    private(set) var actors: [String: Actor] = [:]
    /// All calls with their answers.
    private(set) var transcript: [String] = []
    private var mismatches = 0
    private struct TooManyMismatches: Error {}
    private var volume: Volume?
    private var mounted: MountedVolume?
    private var thread: WorkerThread?
    private let reports = Reports()

    private final class Reports: Sendable {
        let lines = Mutex<[String]>([])
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    init(_ kind: Kind, onMemory: Bool = false) throws {
        self.kind = kind
        isOnMemory = onMemory
        var template = Array("/var/tmp/efs-posix-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno.current }
        base = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        try checked(chmod(base, 0o755))
        (path, data) = (base + "/place", base + "/store/data")
        for directory in [path, base + "/store"] { try checked(mkdir(directory, 0o755)) }
        if onMemory { try checked(Glibc.mount("tmpfs", base + "/store", "tmpfs", 0, "size=\(Self.memoryBytes)")) }
        if kind != .plain {
            try Volume.create(
                at: data, suite: .aes256Gcm, password: Self.password, cost: .minimumForTests, options: volumeOptions())
            try mount()
        }
        try checked(chmod(path, 0o777))
    }

    private static var password: SecretBytes { SecretBytes(count: 4) { $0.copyBytes(from: Array("pass".utf8)) } }

    private func volumeOptions(readOnly: Bool = false) -> VolumeOptions {
        var options = VolumeOptions()
        options.stateDirectory = base + "/state"
        options.isReadOnly = readOnly
        options.report = { [reports] line in reports.add(line) }
        return options
    }

    /// Other tests start processes, and until such a one runs its own program, it holds all that this process has open.
    private static func whileBusy<R>(_ body: () throws(Failure) -> R) throws(Failure) -> R {
        for _ in 0..<10_000 {
            do throws(Failure) { return try body() } catch  where error.kind == .busy { sched_yield() }
        }
        return try body()
    }

    private func mount() throws {
        let opened = try Self.whileBusy { () throws(Failure) in
            try Volume.open(at: data, password: Self.password, options: volumeOptions())
        }
        var options = MountOptions()
        options.allowOther = true
        options.honorsSetUserID = true
        options.honorsDevices = true
        options.transport = kind == .uring ? .uring : .classic
        options.logger.logLevel = .error
        let mount = try MountedVolume.mount(opened.fileSystem, at: path, options)
        (volume, mounted) = (opened, mount)
        thread = WorkerThread(name: "serve") { [reports] in
            do throws(Failure) { try mount.serve() } catch { reports.add("serving: \(error)") }
        }
    }

    /// Ends all helpers, since what they hold keeps the mount.
    private func unmount() throws {
        endActors()
        guard let mounted, let volume else { return }
        try Self.whileBusy { () throws(Failure) in try mounted.unmount() }
        thread?.join()
        try volume.close()
        (self.mounted, self.volume, thread) = (nil, nil, nil)
    }

    func endActors() {
        for actor in actors.values { actor.end() }
        actors = [:]
    }

    /// Mounts anew: the kernel has forgotten everything. Nothing happens in a plain directory.
    func remount() throws {
        guard kind != .plain else { return endActors() }
        try unmount()
        try mount()
    }

    /// Runs a test in a new place; then verifies that the volume holds together and that nothing was reported.
    /// - Parameter onMemory: the volume lies in a file system of its own that is as large as `memoryBytes`.
    static func with<R>(_ kind: Kind, onMemory: Bool = false, _ body: (Place) throws -> R) throws -> R {
        let place = try Place(kind, onMemory: onMemory)
        let result = try body(place)
        try place.finish()
        return result
    }

    private func finish() throws {
        try unmount()
        if kind != .plain {
            let volume = try Self.whileBusy { () throws(Failure) in
                try Volume.open(at: data, password: Self.password, options: volumeOptions(readOnly: true))
            }
            let report = try volume.check(deep: true)
            #expect(report.isClean, "\(report.problems)")
            try volume.close()
        }
        let lines = reports.lines.withLock { $0 }
        #expect(lines.isEmpty, "the volume reported")
    }

    deinit {
        endActors()
        mounted?.terminate()
        thread?.join()
        try? volume?.close()
        if isOnMemory { umount2(base + "/store", CInt(MNT_DETACH)) }
        _ = try? shell("rm -rf --one-file-system '\(base)'", in: "/")
    }

    // MARK: Calls

    /// The helper of that name: one of `Identity.known`, with digits behind it for one more process of the same identity.
    func actor(_ name: String) throws -> Actor {
        if let known = actors[name] { return known }
        let plain = String(name.prefix { !$0.isNumber })
        let identity = try #require(Identity.known[plain], "there is no \(plain)")
        let actor = try Actor(identity, in: path)
        actors[name] = actor
        return actor
    }

    /// Kills a helper; the next call by that name begins a new one.
    func kill(_ name: String) {
        actors.removeValue(forKey: name)?.kill()
    }

    /// Closes all that a helper holds by ending it in order.
    func end(_ name: String) { actors.removeValue(forKey: name)?.end() }

    @discardableResult
    func call(_ name: String, _ command: String) throws -> String {
        let reply = try actor(name).call(command)
        transcript.append("\(name): \(command) -> \(reply)")
        return reply
    }

    func expect(_ name: String, _ command: String, _ expected: String = "ok", sourceLocation: SourceLocation = #_sourceLocation) throws {
        let reply = try call(name, command)
        if reply != expected {
            // Where one answer is wrong for all files, a few say it.
            mismatches += 1
            if mismatches > 20 { throw TooManyMismatches() }
            Issue.record("\(kind.rawValue): \(name): \(command) gives \(reply), not \(expected)", sourceLocation: sourceLocation)
        }
    }

    /// Runs lines of `who: command -> reply`; without a reply, "ok" is expected. Behind `|` may stand what a plain directory says
    /// instead, where efs is known to differ. Empty lines and those that begin with # are for the reader.
    func play(_ script: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        for line in script.split(separator: "\n") {
            let line = line.drop { $0 == " " }
            if line.isEmpty || line.hasPrefix("#") { continue }
            let halves = line.split(separator: " -> ", maxSplits: 1)
            let speech = halves[0].split(separator: ": ", maxSplits: 1)
            let replies = halves.count > 1 ? halves[1].split(separator: " | ") : ["ok"]
            let expected = kind == .plain ? replies.last : replies.first
            try expect(String(speech[0]), String(speech[1]), String(expected ?? "ok"), sourceLocation: sourceLocation)
        }
    }
}

/// Runs a body in a plain directory and in a mount: every call must give the same.
func compare(_ kind: Kind, sourceLocation: SourceLocation = #_sourceLocation, _ body: (Place) throws -> Void) throws {
    func transcript(_ kind: Kind) throws -> [String] {
        try Place.with(kind) { place in
            try body(place)
            return place.transcript
        }
    }
    let expected = try transcript(.plain)
    let found = try transcript(kind)
    let differences = zip(expected, found).enumerated().filter { $0.element.0 != $0.element.1 }
    if expected.count != found.count || !differences.isEmpty {
        let shown = differences.prefix(30).map { index, lines in
            "after \(expected[..<index].suffix(2).joined(separator: "; "))\nplain: \(lines.0)\n\(kind.rawValue): \(lines.1)"
        }.joined(separator: "\n")
        Issue.record("\(differences.count) of \(expected.count) calls differ:\n\(shown)", sourceLocation: sourceLocation)
    }
}
