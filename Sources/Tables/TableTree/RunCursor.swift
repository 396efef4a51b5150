import BlobStorage
import Records
import Syscalls

/// Walks the tables of a run in order. Used again and again; one thread at a time. Pointers it shows are valid until it moves.
final class RunCursor {
    private let environment: TableEnvironment
    private var run: Run?
    private var tableIndex = 0
    private var upper: RecordKey?
    private var open: OpenTable?
    private var top: BlockCursor
    private var group: RecordBlock
    private var index: BlockCursor
    private var data: RecordBlock
    /// The present record. Through a pointer, as each record goes through it: a class's own variables are checked for exclusive
    /// access at run time.
    let record: UnsafeMutablePointer<BlockCursor>
    /// Reads the file in order, past the cache; nil: block by block through the cache.
    private let sequential: SequentialReader?

    private static let empty = emptyBlock()

    /// `isSequential`: for compactions, which read everything once and must not push out what readers need.
    init(_ environment: TableEnvironment, isSequential: Bool) {
        self.environment = environment
        sequential = isSequential ? SequentialReader() : nil
        group = Self.empty
        data = Self.empty
        top = BlockCursor(Self.empty)
        index = top
        record = .allocate(capacity: 1)
        record.initialize(to: top)
    }

    deinit { record.deallocate() }

    private static func emptyBlock() -> RecordBlock {
        guard let block = try? RecordBlock(sizeBytes: 8, fill: { $0.initializeMemory(as: UInt8.self, repeating: 0).count == 8 })
        else { fatalError("an empty block holds together") }
        return block
    }

    /// Lets go of tables and blocks.
    func release() {
        run = nil
        open = nil
        upper = nil
        group = Self.empty
        data = Self.empty
        top = BlockCursor(Self.empty)
        index = top
        record.pointee = top
    }

    /// Moves to the first record at or after `key`; false if there is none before `upper` (which must stay valid while this
    /// is used). With `prefixHash`, the hash of the prefix that `key` and all keys before `upper` have: asks the filter first.
    func seek(_ run: Run, _ key: RecordKey, upper: RecordKey?, prefixHash: UInt64?) throws(Failure) -> Bool {
        self.run = run
        self.upper = upper
        tableIndex = run.firstIndex(endingAtOrAfter: key)
        guard try openTable() else { return false }
        do {
            guard let open, try top.seek(key, in: open.top) else { return false }
            try loadGroup()
            // If this group does not know the prefix, no later one does: a group that ends with a key of the prefix knows it,
            // and one that ends beyond it is the last that could.
            if let prefixHash, !BlockFilter.mayContain(prefixHash, group.filter) { return false }
            if try index.seek(key, in: group) {
                try loadData()
                if try record.pointee.seek(key, in: data) { return true }
            }
            return try nextBlock()
        } catch {
            throw failure(error)
        }
    }

    func seekToFirst(_ run: Run) throws(Failure) -> Bool {
        self.run = run
        upper = nil
        tableIndex = 0
        guard try openTable() else { return false }
        return try advance()
    }

    /// Moves on; false at the end.
    @inline(__always)
    func next() throws(Failure) -> Bool {
        do throws(Malformed) {
            if try record.pointee.next() { return true }
        } catch {
            throw failure(error)
        }
        return try advance()
    }

    private func advance() throws(Failure) -> Bool {
        do {
            return try nextBlock()
        } catch {
            throw failure(error)
        }
    }

    private func failure(_ error: any Error) -> Failure {
        if let failure = error as? Failure { return failure }
        return TableFormat.damaged(open?.id ?? BlobID(high: 0, low: 0), "a block does not hold together")
    }

    /// Moves to the first record of the next block, wherever that is.
    private func nextBlock() throws -> Bool {
        while true {
            if try index.next() {
                try loadData()
                if try record.pointee.next() { return true }
            } else if try top.next() {
                try loadGroup()
            } else {
                tableIndex += 1
                guard try openTable() else { return false }
            }
        }
    }

    /// Opens the table at `tableIndex`, before its first record; false if there is none, or it begins at or after `upper`.
    private func openTable() throws(Failure) -> Bool {
        guard let run, tableIndex < run.tables.count else { return false }
        let table = run.tables[tableIndex]
        if let upper, order(upper, table.info.smallest) <= 0 { return false }
        let opened = try environment.open(table)
        open = opened
        top = BlockCursor(opened.top)
        group = Self.empty
        data = Self.empty
        index = BlockCursor(Self.empty)
        record.pointee = index
        sequential?.restart()
        return true
    }

    private func load(_ place: BlockPlace, _ part: TablePart) throws -> RecordBlock {
        guard let open, let run else { throw Malformed() }
        if let sequential { return try sequential.block(open, place, part) }
        return try environment.block(run.tables[tableIndex], open, place, part)
    }

    private func loadGroup() throws {
        group = try load(try top.place(), .index)
        index = BlockCursor(group)
        data = Self.empty
        record.pointee = BlockCursor(Self.empty)
    }

    private func loadData() throws {
        data = try load(try index.place(), .data)
        record.pointee = BlockCursor(data)
    }
}

/// Reads the blocks of a table in about the order of the file, a large piece at a time. One thread at a time.
final class SequentialReader {
    private let buffer: UnsafeMutableRawBufferPointer
    private let scratch = BlockScratch()
    /// What of the file is in the buffer.
    private var start: UInt64 = 0
    private var end: UInt64 = 0

    private static let pieceSizeBytes = 512 << 10

    init() { buffer = .allocate(byteCount: Self.pieceSizeBytes, alignment: 64) }

    deinit { buffer.deallocate() }

    func restart() {
        start = 0
        end = 0
    }

    /// Each block is asked for once: opening it writes over its bytes in the buffer. An index block is asked for before the
    /// blocks it speaks of, which lie before it, so it is read alone.
    func block(_ open: OpenTable, _ place: BlockPlace, _ part: TablePart) throws(Failure) -> RecordBlock {
        try open.check(place)
        if part != .data || place.sizeBytes > buffer.count { return try open.block(place, part, scratch) }
        let size = UInt64(place.sizeBytes)
        if place.offset < start || place.offset + size > end {
            start = place.offset
            // The end may be before the block's own end only if an index lies; reading then fails to authenticate.
            end = max(min(place.offset + UInt64(buffer.count), open.blocksEnd), place.offset + size)
            try open.read(at: start, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(end - start)]))
        }
        let at = Int(place.offset - start)
        let sealed = UnsafeMutableRawBufferPointer(rebasing: buffer[at..<at + place.sizeBytes])
        return try open.block(sealed: sealed, place, part, scratch)
    }
}
