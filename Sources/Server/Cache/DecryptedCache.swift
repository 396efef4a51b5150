import NIOCore
import Sealing
import Synchronization

/// Decrypted contents of files that were read, in memory, in pieces: bounded, with a time to live, and overwritten when they go.
///
/// A piece is kept by inode and change counter, so what has changed is never found, and needs no invalidation. Thread-safe. The lock is
/// held for looking up alone. Who reads a piece shares its memory: nothing is copied on the way to the TLS records.
final class DecryptedCache: Sendable {
    struct Key: Hashable, Sendable {
        /// `ServedFileSystem.cacheNumber`.
        var fileSystem: UInt64
        var inode: UInt64
        var changeCounter: UInt64
        /// Of `pieceBytes`.
        var piece: UInt64
    }

    static let pieceBytes = 512 << 10

    struct Statistics: Sendable {
        var pieces = 0
        var bytes = 0
        var hits: Int64 = 0
        var misses: Int64 = 0
    }

    /// Bytes that are wiped when the cache drops them. What is just being sent then stays as it is until it is sent, as all that is under way
    /// to a client does: a write to memory that is shared goes to a copy.
    fileprivate final class Piece: @unchecked Sendable {
        // @unchecked: written in `deinit` alone, when nobody else has it.
        private var content: ByteBuffer
        let count: Int

        init(_ content: ByteBuffer) {
            self.content = content
            count = content.readableBytes
        }

        func slice(_ range: Range<Int>) -> ByteBuffer? { content.getSlice(at: content.readerIndex + range.lowerBound, length: range.count) }

        deinit { content.withUnsafeMutableReadableBytes { wipe($0) } }
    }

    fileprivate struct Entry {
        var piece: Piece
        /// Seconds since some moment.
        var made: Double
        var newer: Key?
        var older: Key?
    }

    fileprivate struct State {
        var entries: [Key: Entry] = [:]
        var newest: Key?
        var oldest: Key?
        var statistics = Statistics()
    }

    private let state = Mutex(State())
    private let limitBytes: Int
    private let lifetimeSeconds: Double

    init(limitBytes: Int, lifetimeSeconds: Double) {
        self.limitBytes = limitBytes
        self.lifetimeSeconds = lifetimeSeconds
    }

    var isEnabled: Bool { limitBytes > 0 }
    var statistics: Statistics { state.withLock { $0.statistics } }

    /// A part of the piece; nil if it is not there.
    func read(_ key: Key, _ range: Range<Int>, now: Double) -> ByteBuffer? {
        let piece = state.withLock { state -> Piece? in
            guard let entry = state.entries[key], now - entry.made < lifetimeSeconds else {
                state.statistics.misses += 1
                return nil
            }
            state.statistics.hits += 1
            state.unlink(key, entry)
            state.append(key, entry)
            return entry.piece
        }
        guard let piece, range.upperBound <= piece.count else { return nil }
        return piece.slice(range)
    }

    func insert(_ key: Key, _ content: ByteBuffer, now: Double) {
        guard content.readableBytes <= limitBytes, content.readableBytes > 0 else { return }
        let piece = Piece(content)
        // Dropped outside of the lock: wiping takes time.
        let dropped = state.withLock { state -> [Piece] in
            var dropped: [Piece] = []
            if let old = state.remove(key) { dropped.append(old) }
            while let oldest = state.oldest, let entry = state.entries[oldest],
                state.statistics.bytes + content.readableBytes > limitBytes || now - entry.made >= lifetimeSeconds
            {
                if let old = state.remove(oldest) { dropped.append(old) }
            }
            state.append(key, Entry(piece: piece, made: now))
            state.statistics.pieces += 1
            state.statistics.bytes += content.readableBytes
            return dropped
        }
        withExtendedLifetime(dropped) {}
    }

    /// Drops what has lived long enough.
    func dropExpired(now: Double) { _ = drop { now - $0.made >= lifetimeSeconds } }

    /// Drops all of a file system, or everything; says how many pieces and bytes.
    @discardableResult
    func clear(fileSystem: UInt64? = nil) -> (pieces: Int, bytes: Int) {
        let dropped = drop(where: { fileSystem == nil || $0.fileSystem == fileSystem }) { _ in true }
        return (dropped.count, dropped.reduce(0) { $0 + $1.count })
    }

    private func drop(where matches: (Key) -> Bool = { _ in true }, _ isDue: (Entry) -> Bool) -> [Piece] {
        state.withLock { state in
            let keys = state.entries.filter { matches($0.key) && isDue($0.value) }.map(\.key)
            return keys.compactMap { state.remove($0) }
        }
    }
}

extension DecryptedCache.State {
    /// Takes the entry out of the order, not out of the table.
    fileprivate mutating func unlink(_ key: DecryptedCache.Key, _ entry: DecryptedCache.Entry) {
        if let newer = entry.newer { entries[newer]?.older = entry.older } else { newest = entry.older }
        if let older = entry.older { entries[older]?.newer = entry.newer } else { oldest = entry.newer }
    }

    /// As the newest.
    fileprivate mutating func append(_ key: DecryptedCache.Key, _ entry: DecryptedCache.Entry) {
        var entry = entry
        entry.newer = nil
        entry.older = newest
        if let newest { entries[newest]?.newer = key }
        newest = key
        if oldest == nil { oldest = key }
        entries[key] = entry
    }

    fileprivate mutating func remove(_ key: DecryptedCache.Key) -> DecryptedCache.Piece? {
        guard let entry = entries[key] else { return nil }
        unlink(key, entry)
        entries.removeValue(forKey: key)
        statistics.pieces -= 1
        statistics.bytes -= entry.piece.count
        return entry.piece
    }
}
