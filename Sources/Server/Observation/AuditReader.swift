import FoundationEssentials
import Glibc
import Sealing
import Synchronization
import Syscalls
import SystemPackage

/// Reads the lines of an audit log, in pieces.
enum AuditReader {
    static let largestLineBytes: UInt64 = 64 << 10

    struct Entry: Decodable, Sendable {
        var seq: UInt64
        var prev: String
        var fs: String?
        var path: String?
        var to: String?
    }

    struct Line {
        /// From 1.
        var number: Int
        var offset: UInt64
        var bytes: ArraySlice<UInt8>

        /// Nil if it is no whole line of a log.
        var entry: Entry? { try? JSONDecoder().decode(Entry.self, from: Data(bytes)) }
        var digest: Digest32 { DigestHasher.digest(of: Array(bytes)) }
    }

    static func size(of file: OwnedDescriptor, _ path: String) throws(Failure) -> UInt64 {
        // Reading is by offset, and what is written is appended: nobody else minds.
        let end = lseek(file.rawValue, 0, SEEK_END)
        if end < 0 { throw Failure(systemCall: "lseek", object: path, Errno.current) }
        return UInt64(end)
    }

    /// Calls `body` for each line that ends in the range, a final one without its end too, until it says that it has enough. A line that is
    /// longer than any that was written comes in parts.
    static func read(
        _ file: OwnedDescriptor, from start: UInt64, to end: UInt64, _ path: String, _ body: (Line) throws(Failure) -> Bool
    ) throws(Failure) {
        var buffer: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 20)
        var offset = start
        var lineOffset = start
        var number = 0
        while offset < end {
            let count: Int
            do throws(Errno) {
                let wanted = Int(min(UInt64(piece.count), end - offset))
                count = try piece.withMutableBytes { (bytes) throws(Errno) in
                    try file.read(at: offset, into: .init(rebasing: bytes[..<wanted]))
                }
            } catch { throw Failure(systemCall: "reading the audit log", object: path, error) }
            if count == 0 { break }
            offset += UInt64(count)
            buffer += piece[..<count]
            var first = 0
            while first < buffer.count {
                let rest = buffer[first...]
                let newline = rest.firstIndex(of: UInt8(ascii: "\n"))
                let isLong = newline.map { $0 - first } ?? rest.count > Int(largestLineBytes)
                guard newline != nil || isLong || offset >= end else { break }
                let limit = min(newline ?? buffer.count, first + Int(largestLineBytes))
                number += 1
                if try !body(Line(number: number, offset: lineOffset, bytes: buffer[first..<limit])) { return }
                let next = limit == newline ? limit + 1 : limit
                lineOffset += UInt64(next - first)
                first = next
            }
            buffer.removeFirst(first)
        }
    }
}

/// What was found in going over an audit log.
struct AuditReport: Sendable {
    /// A head that was known: the log must lead there.
    struct Mark: Sendable, Codable {
        var sequence: UInt64
        /// Hexadecimal.
        var digest: String
        /// What a message calls it.
        var name = ""

        enum CodingKeys: String, CodingKey { case sequence, digest }
    }

    var lines: UInt64 = 0
    /// Places of what a crash has cut.
    var cutLines = 0
    /// A line each; the first ones.
    var problems: [String] = []
    var problemCount = 0
    var sequence: UInt64 = 0
    var digest = Digest32.zero

    mutating func note(_ problem: String) {
        problemCount += 1
        if problems.count < 20 { problems.append(problem) }
    }

    mutating func check(_ line: AuditReader.Line, _ marks: [Mark]) {
        guard let entry = line.entry else {
            cutLines += 1
            return
        }
        let place = "line \(line.number), byte \(line.offset)"
        if entry.seq != sequence + 1 {
            note(
                entry.seq > sequence
                    ? "\(place): entries \(sequence + 1) to \(entry.seq - 1) are missing before entry \(entry.seq)"
                    : "\(place): entry \(entry.seq) comes after entry \(sequence)")
        } else if entry.prev != digest.description {
            note(
                sequence == 0
                    ? "\(place): entry \(entry.seq) is not the first of a log"
                    : "\(place): entry \(sequence) was changed, or entry \(entry.seq), which does not follow from it")
        }
        lines += 1
        sequence = entry.seq
        digest = line.digest
        for mark in marks where mark.sequence == sequence && mark.digest != digest.description {
            note("\(place): entry \(sequence) is not the one that \(mark.name) tells of")
        }
    }

    mutating func end(_ marks: [Mark]) {
        for mark in marks where mark.sequence > sequence {
            note("the end is missing: the last entry is \(sequence), and \(mark.name) tells of entry \(mark.sequence)")
        }
    }
}

extension AuditLog {
    /// Goes over the whole log as it is now. `marks`: other heads that are known, besides what this process has written.
    func verify(_ marks: [AuditReport.Mark], isCancelled: () -> Bool) throws(Failure) -> AuditReport {
        let (sequence, digest, size) = state.withLock { ($0.sequence, $0.head, $0.sizeBytes) }
        let all = marks + [AuditReport.Mark(sequence: sequence, digest: digest.description, name: "this server")]
        var report = AuditReport()
        // Of the name, not of the open file: that is what others would read.
        let named: OwnedDescriptor
        do { named = try OwnedDescriptor.open(path, O_RDONLY | O_NOFOLLOW) } catch {
            throw Failure(systemCall: "opening the audit log", object: path, error)
        }
        try AuditReader.read(named, from: 0, to: min(size, try AuditReader.size(of: named, path)), path) { (line) throws(Failure) in
            if isCancelled() { throw Failure(.interrupted, "the server is being sealed") }
            report.check(line, all)
            return true
        }
        report.end(all)
        return report
    }

    /// The newest lines, up to `limit`, of accesses to what has this pseudonym in the file system.
    func lines(of pseudonym: String, in fileSystem: String, limit: Int, isCancelled: () -> Bool) throws(Failure) -> [String] {
        let size = state.withLock { $0.sizeBytes }
        var found: [String] = []
        try AuditReader.read(file, from: 0, to: size, path) { (line) throws(Failure) in
            if isCancelled() { throw Failure(.interrupted, "the server is being sealed") }
            guard let entry = line.entry, entry.path == pseudonym || entry.to == pseudonym, entry.fs == fileSystem else { return true }
            found.append(String(decoding: line.bytes, as: UTF8.self))
            if found.count >= 2 * limit { found.removeFirst(limit) }
            return true
        }
        return Array(found.suffix(limit))
    }
}
