import BlobStorage
import CZstd
import Glibc
import Records
import Sealing
import Syscalls

/// What writing tables needs again and again: builders, the compressor, the buffer of sealed bytes. One writer at a time.
final class TableWriterScratch {
    // Through pointers, as each record goes through them: a class's own variables are checked for exclusive access at run time.
    fileprivate let data: UnsafeMutablePointer<RecordBlockBuilder>
    fileprivate let index: UnsafeMutablePointer<RecordBlockBuilder>
    fileprivate let top: UnsafeMutablePointer<RecordBlockBuilder>
    fileprivate let filter: UnsafeMutablePointer<FilterHashes>
    /// Sealed blocks that are not written yet.
    fileprivate var output: UnsafeMutableRawBufferPointer
    fileprivate var plain: UnsafeMutableRawBufferPointer
    fileprivate let compressor: OpaquePointer

    /// Written at once.
    fileprivate static let writeSizeBytes = 1 << 20

    init(options: TableOptions) {
        data = Self.make(RecordBlockBuilder(restartInterval: options.restartInterval))
        index = Self.make(RecordBlockBuilder(restartInterval: options.restartInterval))
        top = Self.make(RecordBlockBuilder(restartInterval: options.restartInterval))
        filter = Self.make(FilterHashes())
        output = .allocate(byteCount: Self.writeSizeBytes + (64 << 10), alignment: 64)
        plain = .allocate(byteCount: 64 << 10, alignment: 64)
        guard let compressor = ZSTD_createCCtx() else { fatalError("no memory for a compressor") }
        self.compressor = compressor
    }

    private static func make<T: ~Copyable>(_ value: consuming T) -> UnsafeMutablePointer<T> {
        let pointer = UnsafeMutablePointer<T>.allocate(capacity: 1)
        pointer.initialize(to: value)
        return pointer
    }

    private static func destroy<T: ~Copyable>(_ pointer: UnsafeMutablePointer<T>) {
        pointer.deinitialize(count: 1)
        pointer.deallocate()
    }

    deinit {
        Self.destroy(data)
        Self.destroy(index)
        Self.destroy(top)
        Self.destroy(filter)
        output.deallocate()
        plain.deallocate()
        ZSTD_freeCCtx(compressor)
    }

    fileprivate func reset() {
        data.pointee.reset()
        index.pointee.reset()
        top.pointee.reset()
        filter.pointee.reset()
    }
}

/// The hashes that a filter is to hold: of each key, and of each prefix once.
private struct FilterHashes {
    private(set) var hashes: [UInt64] = []
    private var lastPrefix: UInt64?

    mutating func reset() {
        hashes.removeAll(keepingCapacity: true)
        lastPrefix = nil
    }

    @inline(__always)
    mutating func add(_ key: RecordKey) {
        let whole = KeyHash.whole(key)
        let prefix = KeyHash.prefix(kind: key.kind, first: key.first)
        if whole != prefix { hashes.append(whole) }
        // `mix` is a bijection of 64 bits, but kind and first are 72: another prefix with the same hash sets the same bits.
        if prefix == lastPrefix { return }
        lastPrefix = prefix
        hashes.append(prefix)
    }
}

/// Writes one table, record by record in order. The file is complete after `finish`, its name durable after the caller's
/// `syncNames`. Not thread-safe.
final class TableWriter {
    let id: BlobID
    private let blob: any WritableBlob
    private let cipher: BlobCipher
    private let options: TableOptions
    private let scratch: TableWriterScratch

    private var outputCount = 0
    private var writtenBytes: UInt64 = 0
    private(set) var recordCount: UInt64 = 0
    private var deletionCount: UInt64 = 0
    private var dataBlockCount: UInt32 = 0
    private var indexBlockCount: UInt32 = 0
    private var smallest: OwnedRecordKey?

    /// An index block is closed at so many hashes (16 KiB of filter at ten bits), or so many data blocks.
    private static let groupHashLimit = 13_000
    private static let groupBlockLimit = 256

    init(id: BlobID, storage: any BlobStorage, keys: KeyHierarchy, options: TableOptions, scratch: TableWriterScratch) throws(Failure) {
        self.id = id
        self.options = options
        self.scratch = scratch
        scratch.reset()
        cipher = keys.cipher(for: .table, high: id.high, low: id.low)
        blob = try storage.createBlob(id)
    }

    /// Sealed so far; the open block is not counted.
    var sizeBytes: Int { Int(writtenBytes) + outputCount }

    /// Adds a record after the last one; nil is a deletion.
    func add(_ key: RecordKey, _ value: UnsafeRawBufferPointer?) throws(Failure) {
        if smallest == nil { smallest = OwnedRecordKey(key) }
        if scratch.data.pointee.sizeBytes >= options.blockSizeBytes { try closeData(before: key) }
        scratch.filter.pointee.add(key)
        scratch.data.pointee.add(key, value)
        recordCount += 1
        if value == nil { deletionCount += 1 }
    }

    /// Writes the rest and makes the file durable.
    func finish(level: Int, sequence: UInt64) throws(Failure) -> TableInfo {
        guard let smallest, recordCount > 0 else { fatalError("a table has at least one record") }
        let largest = OwnedRecordKey(scratch.data.pointee.lastKey)
        try closeData(before: nil)
        let top = try seal(scratch.top.pointee.finish(), .top)
        try writeFooter(top)
        try writeOutput()
        try blob.sync()
        return TableInfo(
            id: id, sizeBytes: writtenBytes, recordCount: recordCount, deletionCount: deletionCount, level: level,
            sequence: sequence, smallest: smallest, largest: largest)
    }

    // MARK: Blocks

    /// Seals the data block; nil: it is the last one.
    private func closeData(before next: RecordKey?) throws(Failure) {
        let separator = OwnedRecordKey(Self.separator(scratch.data.pointee.lastKey, next))
        let place = try seal(scratch.data.pointee.finish(), .data)
        dataBlockCount += 1
        scratch.data.pointee.reset()
        addPlace(separator, place, top: false)
        if next == nil || scratch.filter.pointee.hashes.count >= Self.groupHashLimit
            || scratch.index.pointee.recordCount >= Self.groupBlockLimit
        {
            try closeIndex(separator)
        }
    }

    /// Seals the filter and the index of the data blocks since the last index block.
    private func closeIndex(_ separator: OwnedRecordKey) throws(Failure) {
        let lines = BlockFilter.lineCount(hashCount: scratch.filter.pointee.hashes.count, bitsPerKey: options.filterBitsPerKey)
        // The filter comes first, so that its lines are aligned once the block is in memory. The index was built without.
        let filterBytes = lines * BlockFilter.lineSizeBytes
        let index = scratch.index.pointee.finish(filterLines: lines)
        let content = room(filterBytes + index.count + 1)
        let filter = UnsafeMutableRawBufferPointer(rebasing: content[..<filterBytes])
        filter.initializeMemory(as: UInt8.self, repeating: 0)
        for hash in scratch.filter.pointee.hashes { BlockFilter.insert(hash, into: filter) }
        UnsafeMutableRawBufferPointer(rebasing: content[filterBytes...]).copyMemory(from: index)
        let place = try seal(UnsafeRawBufferPointer(rebasing: content[..<(filterBytes + index.count)]), .index)
        indexBlockCount += 1
        scratch.index.pointee.reset()
        scratch.filter.pointee.reset()
        addPlace(separator, place, top: true)
    }

    private func addPlace(_ separator: OwnedRecordKey, _ place: BlockPlace, top: Bool) {
        var value = ByteWriter(capacityBytes: 32)
        value.appendVarint(place.offset)
        value.appendVarint(UInt64(place.sizeBytes))
        separator.withKey { key in
            if top {
                scratch.top.pointee.add(key, value.readable)
            } else {
                scratch.index.pointee.add(key, value.readable)
            }
        }
    }

    /// A short key that is not before `last`, is before `next`, and has the kind and first number of `last`: the filter of a
    /// block must know the prefix of the key that the index gives it.
    private static func separator(_ last: RecordKey, _ next: RecordKey?) -> RecordKey {
        guard last.name.count > 0, last.second < .max, let next else { return last }
        let short = RecordKey(kind: last.kind, first: last.first, second: last.second + 1)
        return order(short, next) < 0 ? short : last
    }

    /// At least `count` bytes to put a block together in.
    private func room(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if count > scratch.plain.count {
            scratch.plain.deallocate()
            scratch.plain = .allocate(byteCount: count * 2, alignment: 64)
        }
        return scratch.plain
    }

    /// Compresses a data block if that shrinks it, seals, and says where the block is. `content` is in `scratch.plain`, with
    /// room after it, or elsewhere.
    private func seal(_ content: UnsafeRawBufferPointer, _ part: TablePart) throws(Failure) -> BlockPlace {
        precondition(content.count <= TableLimit.blockSizeBytes)
        if part == .data, options.compressionLevel > 0, let compressed = compress(content) { return try sealPlain(compressed, part) }
        if content.baseAddress != UnsafeRawPointer(scratch.plain.baseAddress) { room(content.count + 1).copyMemory(from: content) }
        let plain = room(content.count + 1)
        plain[content.count] = TableFormat.rawForm
        return try sealPlain(UnsafeRawBufferPointer(rebasing: plain[..<(content.count + 1)]), part)
    }

    /// Nil if less than a sixteenth is saved: then reading it raw is worth more.
    private func compress(_ content: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        let limit = content.count - content.count / 16 - 5
        guard limit > 0 else { return nil }
        let plain = room(max(ZSTD_compressBound(content.count), content.count) + 8)
        let size = ZSTD_compressCCtx(
            scratch.compressor, plain.baseAddress, plain.count, content.baseAddress, content.count, options.compressionLevel)
        guard ZSTD_isError(size) == 0, size <= limit else { return nil }
        plain.storeBytes(of: UInt32(content.count).littleEndian, toByteOffset: size, as: UInt32.self)
        plain[size + 4] = TableFormat.zstdForm
        return UnsafeRawBufferPointer(rebasing: plain[..<(size + 5)])
    }

    private func sealPlain(_ plain: UnsafeRawBufferPointer, _ part: TablePart) throws(Failure) -> BlockPlace {
        let sealedSize = plain.count + CipherSuite.tagSizeBytes
        if outputCount + sealedSize > scratch.output.count {
            try writeOutput()
            if sealedSize > scratch.output.count {
                scratch.output.deallocate()
                scratch.output = .allocate(byteCount: sealedSize, alignment: 64)
            }
        }
        let offset = writtenBytes + UInt64(outputCount)
        let target = UnsafeMutableRawBufferPointer(rebasing: scratch.output[outputCount..<outputCount + sealedSize])
        TableFormat.withAssociated(id, offset, part) { associated in
            cipher.withContext { $0.seal(plain, nonce: TableFormat.nonce(offset), authenticating: associated, into: target) }
        }
        outputCount += sealedSize
        if outputCount >= TableWriterScratch.writeSizeBytes { try writeOutput() }
        return BlockPlace(offset: offset, sizeBytes: sealedSize)
    }

    private func writeFooter(_ top: BlockPlace) throws(Failure) {
        var writer = ByteWriter(capacityBytes: TableFormat.footerSizeBytes)
        let size = writtenBytes + UInt64(outputCount + TableFormat.sealedFooterSizeBytes)
        TableFooter(
            top: top, recordCount: recordCount, deletionCount: deletionCount, dataBlockCount: dataBlockCount,
            indexBlockCount: indexBlockCount, fileSizeBytes: size
        ).encode(into: &writer)
        _ = try sealPlain(writer.readable, .footer)
    }

    private func writeOutput() throws(Failure) {
        if outputCount == 0 { return }
        try blob.write(UnsafeRawBufferPointer(rebasing: scratch.output[..<outputCount]), at: writtenBytes)
        writtenBytes += UInt64(outputCount)
        outputCount = 0
    }
}
