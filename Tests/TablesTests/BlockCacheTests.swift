import Records
import Syscalls
import Testing

@testable import Tables

struct BlockCacheTests {
    private func block(_ number: Int, sizeBytes: Int = 400) throws -> RecordBlock {
        var builder = RecordBlockBuilder(restartInterval: 4)
        let value = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: sizeBytes)
        value.withBytes { builder.add(RecordKey(kind: 1, first: UInt64(number)), $0) }
        let content = builder.finish()
        return try RecordBlock(sizeBytes: content.count) {
            $0.copyMemory(from: content)
            return true
        }
    }

    @Test func findsWhatWasInsertedAndStaysBounded() throws {
        let cache = BlockCache(capacityBytes: 256 << 10)
        var random = SeededGenerator(seed: 9)
        var inserted: [Int: RecordBlock] = [:]
        for step in 0..<20_000 {
            let number = random.below(2000)
            let (owner, offset) = (UInt64(number % 7), UInt64(number))
            if let found = cache.find(owner, offset) {
                #expect(found === inserted[number])
            } else {
                let new = try block(number, sizeBytes: random.below(3000))
                inserted[number] = new
                cache.insert(new, owner, offset)
            }
            if step % 1000 == 0 { #expect(cache.statistics.sizeBytes <= cache.capacityBytes) }
        }
        let statistics = cache.statistics
        #expect(statistics.sizeBytes <= cache.capacityBytes && statistics.sizeBytes > cache.capacityBytes / 2)
        #expect(statistics.hits + statistics.misses == 20_000)
        for owner in 0..<7 { cache.remove(owner: UInt64(owner)) }
        #expect(cache.statistics.sizeBytes == 0 && cache.statistics.blockCount == 0)
        for number in 0..<2000 { #expect(cache.find(UInt64(number % 7), UInt64(number)) == nil) }
    }

    @Test func keepsWhatIsUsedThroughALongScan() throws {
        let cache = BlockCache(capacityBytes: 512 << 10)
        for number in 0..<50 { cache.insert(try block(number), 1, UInt64(number)) }
        for scanned in 0..<5000 {
            if scanned % 20 == 0 { for number in 0..<50 { _ = cache.find(1, UInt64(number)) } }
            cache.insert(try block(scanned), 2, UInt64(scanned))
        }
        #expect((0..<50).count { cache.find(1, UInt64($0)) != nil } == 50)
    }

    @Test func aBlockLargerThanAShardIsNotKept() throws {
        let cache = BlockCache(capacityBytes: 64 << 10)
        cache.insert(try block(1, sizeBytes: 5000), 1, 1)
        #expect(cache.find(1, 1) == nil)
        #expect(cache.statistics.sizeBytes == 0)
    }
}

struct BlockFilterTests {
    @Test(arguments: [1, 10, 1000, 13_000])
    func knowsWhatWasInsertedAndLittleElse(count: Int) {
        var random = SeededGenerator(seed: UInt64(count))
        let lines = BlockFilter.lineCount(hashCount: count, bitsPerKey: 10)
        let filter = UnsafeMutableRawBufferPointer.allocate(byteCount: lines * BlockFilter.lineSizeBytes, alignment: 64)
        defer { filter.deallocate() }
        filter.initializeMemory(as: UInt8.self, repeating: 0)
        let hashes = (0..<count).map { _ in random.next() }
        for hash in hashes { BlockFilter.insert(hash, into: filter) }
        #expect(hashes.allSatisfy { BlockFilter.mayContain($0, UnsafeRawBufferPointer(filter)) })
        let wrong = (0..<20_000).count { _ in BlockFilter.mayContain(random.next(), UnsafeRawBufferPointer(filter)) }
        #expect(wrong < 600, "\(wrong) of 20,000 absent keys seem to be there")
    }

    @Test func anEmptyFilterSaysPerhaps() {
        #expect(BlockFilter.mayContain(5, UnsafeRawBufferPointer(start: nil, count: 0)))
    }

    /// The hash is part of the format.
    @Test func hashVectors() {
        func whole(_ kind: UInt8, _ first: UInt64, _ second: UInt64, _ name: String) -> UInt64 {
            OwnedRecordKey(kind: kind, first: first, second: second, name: Array(name.utf8)).withKey { KeyHash.whole($0) }
        }
        #expect(KeyHash.prefix(kind: 1, first: 1) == whole(1, 1, 0, ""))
        #expect(KeyHash.prefix(kind: 1, first: 1) == 0xbeeb_8da1_658e_ec67)
        #expect(whole(2, 5, 7, "") == 0x3602_8eb4_ebd9_949a)
        #expect(whole(2, 5, 7, "name") == 0xe145_bd78_7f20_84b1)
        #expect(whole(2, 5, 7, "a name of 19 bytes.") == 0x2555_8c72_c1ff_b975)
    }
}
