import BlobStorage
import Records
import Syscalls

/// Reads a whole table and checks all that its format promises: that every byte of the file is part of a block that
/// authenticates, that the records are in order and where the index says, that the filter knows them, that the counts fit.
struct TableVerifier: ~Copyable {
    private let info: TableInfo
    private let open: OpenTable
    private let scratch = BlockScratch()
    /// Where the next block must start.
    private var offset: UInt64 = 0
    private var previous: OwnedRecordKey?
    private var recordCount: UInt64 = 0
    private var deletionCount: UInt64 = 0
    private(set) var dataBlockCount = 0
    private var indexBlockCount = 0

    init(_ info: TableInfo, _ environment: TableEnvironment) throws(Failure) {
        self.info = info
        open = try OpenTable(info, storage: environment.storage, keys: environment.keys, scratch: scratch)
    }

    mutating func verify() throws(Failure) {
        do {
            try verifyTop()
        } catch let failure as Failure {
            throw failure
        } catch {
            throw TableFormat.damaged(info.id, "the block before \(offset) does not hold together")
        }
        let footer = open.footer
        try check(offset == footer.top.offset, "bytes belong to no block")
        try check(recordCount == footer.recordCount && deletionCount == footer.deletionCount, "records are missing")
        try check(
            dataBlockCount == Int(footer.dataBlockCount) && indexBlockCount == Int(footer.indexBlockCount), "blocks are missing")
        try check(previous == info.largest, "the last record is not the one that the manifest names")
    }

    private func check(_ isTrue: Bool, _ message: String) throws(Failure) {
        if !isTrue { throw TableFormat.damaged(info.id, message) }
    }

    private mutating func verifyTop() throws {
        var top = BlockCursor(open.top)
        while try top.next() {
            let place = try top.place()
            let group = try open.block(place, .index, scratch)
            indexBlockCount += 1
            try verifyGroup(group, upTo: top.key)
            try check(place.offset == offset, "blocks do not follow one another")
            offset += UInt64(place.sizeBytes)
        }
    }

    private mutating func verifyGroup(_ group: RecordBlock, upTo last: RecordKey) throws {
        var index = BlockCursor(group)
        while try index.next() {
            let place = try index.place()
            try check(place.offset == offset, "blocks do not follow one another")
            let data = try open.block(place, .data, scratch)
            dataBlockCount += 1
            offset += UInt64(place.sizeBytes)
            try verifyData(data, group)
            guard let previous else { throw Malformed() }
            try check(order(index.key, previous) >= 0 && order(index.key, last) <= 0, "the index is out of order")
        }
    }

    private mutating func verifyData(_ data: RecordBlock, _ group: RecordBlock) throws {
        var record = BlockCursor(data)
        while try record.next() {
            let key = record.key
            if let previous {
                try check(order(key, previous) > 0, "records are out of order")
            } else {
                try check(order(key, info.smallest) == 0, "the first record is not the one that the manifest names")
            }
            let isKnown =
                BlockFilter.mayContain(KeyHash.whole(key), group.filter)
                && BlockFilter.mayContain(KeyHash.prefix(kind: key.kind, first: key.first), group.filter)
            try check(isKnown, "the filter does not know a record")
            previous = OwnedRecordKey(key)
            recordCount += 1
            if record.isDeletion { deletionCount += 1 }
        }
    }
}
