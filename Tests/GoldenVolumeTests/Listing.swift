import FileSystem
import Sealing
import SystemPackage

/// All that a program can see of a volume, as lines of text: the same volume gives the same lines, for ever.
///
/// `path`, then `type mode links uid gid inode size device`, the four times (access, modification, change, birth), and of a regular
/// file the SHA-256 of its content and its runs of data, of a symbolic link its target. Extended attributes follow, a line each.
/// Bytes of names outside of printable ASCII, and `%`, are written as `%` and two digits. What a version may choose (allocated blocks,
/// a directory's size) is left out.
struct Listing {
    private let fileSystem: FileSystem
    private var result: [String] = []

    static func lines(of fileSystem: FileSystem) throws -> [String] {
        var listing = Listing(fileSystem: fileSystem)
        try listing.visit(try fileSystem.attributes(.root), path: [])
        return listing.result
    }

    private init(fileSystem: FileSystem) { self.fileSystem = fileSystem }

    private mutating func visit(_ attributes: Attributes, path: [UInt8]) throws {
        let name = path.isEmpty ? "/" : Self.escaped(path)
        var fields = [name, "\(attributes.type)", String(attributes.permissions, radix: 8)]
        fields += [attributes.linkCount, attributes.uid, attributes.gid].map { "\($0)" }
        fields.append("\(attributes.inode.rawValue)")
        fields.append(attributes.type == .directory ? "-" : "\(attributes.sizeBytes)")
        fields.append("\(attributes.deviceNumber)")
        for time in [attributes.accessTime, attributes.modificationTime, attributes.changeTime, attributes.birthTime] {
            fields.append("\(time.seconds)+\(time.nanoseconds)")
        }
        switch attributes.type {
        case .regular: fields += try content(attributes)
        case .symbolicLink: fields.append(try target(attributes))
        default: break
        }
        result.append(fields.joined(separator: " "))
        try addXattrs(attributes.inode, name)
        if attributes.type == .directory { try visitEntries(attributes.inode, path) }
    }

    private mutating func visitEntries(_ directory: InodeID, _ path: [UInt8]) throws {
        var found: [(name: [UInt8], attributes: Attributes)] = []
        try fileSystem.listDirectory(directory, after: 0, withAttributes: true, retaining: false) { entry in
            if let attributes = entry.attributes { found.append((Array(entry.name), attributes)) }
            return true
        }
        found.sort { $0.name.lexicographicallyPrecedes($1.name) }
        for entry in found {
            // By name as well, as a program would come to it.
            let looked = try entry.name.withUnsafeBytes { try fileSystem.lookup(directory, $0, retaining: false) }
            if looked != entry.attributes { result.append("the listing and the look-up of \(Self.escaped(entry.name)) differ") }
            try visit(looked, path: path + [UInt8(ascii: "/")] + entry.name)
        }
    }

    /// The digest of the bytes in the runs of data (all else reads as zeros), and the runs.
    private func content(_ attributes: Attributes) throws -> [String] {
        var hasher = DigestHasher()
        var runs: [String] = []
        var at: UInt64 = 0
        while at < attributes.sizeBytes, let start = try nextData(attributes.inode, from: at) {
            let end = try fileSystem.seek(attributes.inode, from: start, to: .hole)
            try hash(attributes.inode, at..<min(start, at + 8192), into: &hasher)
            try hash(attributes.inode, start..<end, into: &hasher)
            runs.append("\(start)-\(end)")
            at = end
        }
        return [hasher.finish().description, runs.isEmpty ? "-" : runs.joined(separator: ",")]
    }

    /// Nil if all that follows is a hole.
    private func nextData(_ inode: InodeID, from offset: UInt64) throws -> UInt64? {
        do throws(Errno) { return try fileSystem.seek(inode, from: offset, to: .data) } catch {
            if error == .noSuchAddressOrDevice { return nil }
            throw error
        }
    }

    private func hash(_ inode: InodeID, _ range: Range<UInt64>, into hasher: inout DigestHasher) throws {
        var buffer = [UInt8](repeating: 0xEE, count: 10_000)
        var at = range.lowerBound
        while at < range.upperBound {
            let wanted = min(buffer.count, Int(range.upperBound - at))
            let count = try buffer.withUnsafeMutableBytes {
                try fileSystem.read(inode, at: at, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<wanted]))
            }
            if count == 0 { break }
            hasher.update(Array(buffer[..<count]))
            at += UInt64(count)
        }
    }

    private func target(_ attributes: Attributes) throws -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = try buffer.withUnsafeMutableBytes { try fileSystem.readSymbolicLink(attributes.inode, into: $0) }
        return Self.escaped(Array(buffer[..<count]))
    }

    private mutating func addXattrs(_ inode: InodeID, _ path: String) throws {
        var names = [UInt8](repeating: 0, count: 65_536)
        let count = try names.withUnsafeMutableBytes { try fileSystem.listExtendedAttributes(inode, into: $0) }
        for name in names[..<count].split(separator: 0) {
            var value = [UInt8](repeating: 0, count: 65_536)
            let size = try Array(name).withUnsafeBytes { name in
                try value.withUnsafeMutableBytes { try fileSystem.extendedAttribute(inode, name, into: $0) }
            }
            result.append("\(path) xattr \(Self.escaped(Array(name))) \(Hexadecimal.encode(value[..<size]))")
        }
    }

    private static func escaped(_ bytes: [UInt8]) -> String {
        var text = ""
        for byte in bytes {
            if byte > 0x20, byte < 0x7f, byte != UInt8(ascii: "%") {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "%" + Hexadecimal.encode([byte])
            }
        }
        return text
    }
}
