import FileSystem
import SystemPackage
import Testing

/// All equal, all at the end of the range, few different ones, two far apart, neighbours with 32 equal bits.
private let hashes: [@Sendable (UnsafeRawBufferPointer) -> UInt64] = [
    { _ in 7 },
    { _ in .max >> 1 },
    { UInt64($0.count) },
    { UInt64($0[$0.count - 1] & 1) << 62 },
    { UInt64($0[$0.count - 1]) << 29 },
]

/// Listings that are cut anywhere, in directories whose names have equal hashes.
@Suite struct ListingTests {
    /// All names in steps of `limit`; stops when there are more steps than that can take.
    private func names(_ volume: TestVolume, limit: Int, expecting count: Int, between: (Int) throws -> Void = { _ in }) throws -> [[UInt8]]
    {
        var found: [[UInt8]] = []
        var cookie: UInt64 = 0
        for step in 0...count {
            let entries = try volume.list(.root, after: cookie, limit: limit)
            guard let last = entries.last else { return found }
            found += entries.map(\.name)
            cookie = last.cookie
            try between(step)
        }
        Issue.record("the listing does not end")
        return found
    }

    @Test(arguments: hashes.indices, [1, 3, 127, 128, 129, 1000])
    func everyEntryIsShownOnceWhereverItIsCut(hash: Int, limit: Int) throws {
        let volume = try TestVolume(nameHash: hashes[hash])
        for number in 0..<400 { try volume.makeFile(.root, "name \(number)") }
        let found = try names(volume, limit: limit, expecting: 402)
        #expect(found.count == 402)
        #expect(Set(found).count == 402)
    }

    /// What is there all the time is shown once, though the entry that a step ended with is gone at the next.
    @Test(arguments: [2, 5, 130]) func removingWhatWasShownLeavesNothingOut(limit: Int) throws {
        let volume = try TestVolume(nameHash: { _ in 7 })
        for number in 0..<300 { try volume.makeFile(.root, "name \(number)") }
        var shown: [[UInt8]] = []
        for _ in 0..<400 {
            let entries = try volume.list(.root, after: 2, limit: limit)
            if entries.isEmpty { break }
            shown += entries.map(\.name)
            // As `rm -r` does: all of a step go, and it goes on behind the last one.
            for entry in entries { try volume.unlink(.root, entry.name) }
            let rest = try volume.list(.root, after: entries[entries.count - 1].cookie, limit: 1)
            #expect(rest.isEmpty == (shown.count == 300))
        }
        #expect(Set(shown).count == 300 && shown.count == 300)
    }

    @Test func whatIsMadeAndRemovedElsewhereDisturbsNothing() throws {
        let volume = try TestVolume(nameHash: { _ in 7 })
        for number in 0..<100 { try volume.makeFile(.root, "kept \(number)") }
        let found = try names(volume, limit: 3, expecting: 300) { step in
            try volume.makeFile(.root, "a new one \(step)")
            if step > 0, step % 2 == 0 { try volume.unlink(.root, "a new one \(step - 1)") }
        }
        let kept = found.filter { $0.starts(with: Array("kept".utf8)) }
        #expect(kept.count == 100 && Set(kept).count == 100)
    }
}
