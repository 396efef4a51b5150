import NIOCore
import NIOHTTP1
import Testing

@testable import Server

@Suite struct DecryptedCacheTests {
    private func key(_ inode: UInt64, counter: UInt64 = 1, piece: UInt64 = 0, fileSystem: UInt64 = 1) -> DecryptedCache.Key {
        DecryptedCache.Key(fileSystem: fileSystem, inode: inode, changeCounter: counter, piece: piece)
    }

    private func bytes(_ value: UInt8, _ count: Int = 100) -> ByteBuffer { ByteBuffer(repeating: value, count: count) }

    @Test func whatIsPutInIsFoundByStateAlone() {
        let cache = DecryptedCache(limitBytes: 1000, lifetimeSeconds: 10)
        cache.insert(key(1), bytes(1), now: 0)
        #expect(cache.read(key(1), 10..<20, now: 0) == bytes(1, 10))
        #expect(cache.read(key(1, counter: 2), 0..<1, now: 0) == nil)
        #expect(cache.read(key(1, piece: 1), 0..<1, now: 0) == nil)
        #expect(cache.read(key(1, fileSystem: 2), 0..<1, now: 0) == nil)
        #expect(cache.read(key(1), 90..<101, now: 0) == nil)
        #expect(cache.statistics.hits == 2)
        #expect(cache.statistics.misses == 3)
    }

    @Test func theLeastUsedGoesFirst() {
        let cache = DecryptedCache(limitBytes: 300, lifetimeSeconds: 10)
        for inode in 1...3 { cache.insert(key(UInt64(inode)), bytes(UInt8(inode)), now: 0) }
        #expect(cache.read(key(1), 0..<1, now: 0) != nil)
        cache.insert(key(4), bytes(4), now: 0)
        #expect(cache.read(key(2), 0..<1, now: 0) == nil)
        for inode in [1, 3, 4] { #expect(cache.read(key(UInt64(inode)), 0..<1, now: 0) != nil) }
        #expect(cache.statistics.bytes == 300)
        cache.insert(key(5), bytes(5, 301), now: 0)
        #expect(cache.statistics.pieces == 3)
    }

    @Test func nothingLivesLongerThanItMay() {
        let cache = DecryptedCache(limitBytes: 1000, lifetimeSeconds: 10)
        cache.insert(key(1), bytes(1), now: 0)
        cache.insert(key(2), bytes(2), now: 5)
        #expect(cache.read(key(1), 0..<1, now: 9.9) != nil)
        #expect(cache.read(key(1), 0..<1, now: 10) == nil)
        cache.dropExpired(now: 12)
        #expect(cache.statistics.pieces == 1)
        #expect(cache.clear().bytes == 100)
        #expect(cache.statistics.pieces == 0)
    }

    @Test func clearingSparesOtherFileSystems() {
        let cache = DecryptedCache(limitBytes: 1000, lifetimeSeconds: 10)
        cache.insert(key(1), bytes(1), now: 0)
        cache.insert(key(1, fileSystem: 2), bytes(2), now: 0)
        #expect(cache.clear(fileSystem: 1).pieces == 1)
        #expect(cache.read(key(1, fileSystem: 2), 0..<100, now: 0) == bytes(2))
    }

    @Test func aServersCacheIsUsedAndCleared() async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let session = try await fixture.open(try await fixture.makeUser("app1"))
            let content = [UInt8](repeating: 5, count: 1_500_000)
            _ = try await session.request(.PUT, "/v1/data/f", body: content)
            for _ in 0..<2 { #expect(try await session.request(.GET, "/v1/data/f").body == content) }
            #expect(fixture.server.cache.statistics.hits == 3)
            #expect(fixture.server.cache.statistics.bytes == 1_500_000)
            _ = try await session.request(.PUT, "/v1/data/f", body: [1])
            #expect(try await session.request(.GET, "/v1/data/f").body == [1])
            #expect(try await session.request(.POST, "/v1/cache/clear").json["bytes"]?.number == 1_500_001)
            #expect(fixture.server.cache.statistics.bytes == 0)
            _ = try await session.request(.GET, "/v1/data/f")
            await fixture.server.seal(reason: "test")
            #expect(fixture.server.cache.statistics.bytes == 0)
        }
    }
}
