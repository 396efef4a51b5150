import FileSystem
import HTTPTypes
import NIOCore
import SystemPackage

extension ServedFileSystem {
    /// What one step on an engine thread finds out about a file that is asked for.
    struct Opened: Sendable {
        var attributes: Attributes
        /// All of it, if it is small; the file is not retained then.
        var content: ByteBuffer?
    }

    /// Files up to this size are read in the step that finds them.
    static let smallFileBytes: UInt64 = 256 << 10
    /// Attempts to read a small file that a mount changes all the time.
    private static let readingLimit = 16

    /// A small file as it was at one moment: content, size and change counter belong together, also while somebody writes it through a mount.
    func readWhole(_ found: Attributes, _ cache: DecryptedCache, now: Double) throws(Problem) -> Opened {
        var attributes = found
        for _ in 0..<Self.readingLimit {
            let key = attributes.cacheKey(self, piece: 0)
            let size = Int(attributes.sizeBytes)
            if let content = cache.read(key, 0..<size, now: now) { return Opened(attributes: attributes, content: content) }
            let content = try read(attributes.inode, at: 0, count: size)
            let current = try engine { (files) throws(Errno) in try files.attributes(attributes.inode) }
            if current.changeCounter == attributes.changeCounter, content.readableBytes == size {
                cache.insert(key, content, now: now)
                return Opened(attributes: attributes, content: content)
            }
            guard current.sizeBytes <= Self.smallFileBytes else { break }
            attributes = current
        }
        throw Problem(.conflict, "conflict", "the file was changed while it was read")
    }
}
