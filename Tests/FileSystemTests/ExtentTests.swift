import ChunkStore
import FileSystem
import Glibc
import MetadataStore
import Records
import SystemPackage
import Testing

/// Every way in which a new range can lie over up to three extents with holes between them, byte by byte.
@Suite struct ExtentTests {
    /// A place where something can be: nothing, data, or reserved room.
    private enum Run: CaseIterable { case hole, data, reserved }

    private enum Change: CaseIterable {
        case write, punch, zero, reserve, truncate, grow
    }

    private static let unit = 3
    private static let units = 6

    /// All fillings of six places, of which up to three runs differ from a hole, times all ranges, times all changes.
    @Test(arguments: [1, 1000])
    func everyOverlap(batchLimit: Int) throws {
        let volume = try TestVolume(options: { options in
            options.inlineLimitBytes = 0
            options.batchRecordLimit = batchLimit
        })
        var cases = 0
        for filling in 0..<729 {
            var rest = filling
            let runs = (0..<Self.units).map { _ in
                defer { rest /= 3 }
                return Run.allCases[rest % 3]
            }
            // Each filling with ranges that start and end on and off the places' borders.
            let bounds = Array(stride(from: 0, through: Self.units * Self.unit, by: filling % 3 == 0 ? 1 : 2))
            for (index, from) in bounds.enumerated() where (index + filling) % 3 == 0 {
                for to in bounds[(index + 1)...] where (to + filling) % 8 == 0 {
                    for change in Change.allCases {
                        try check(volume, runs, from, to, change, "\(cases)")
                        cases += 1
                    }
                }
            }
        }
        #expect(cases > 3000)
        #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: volume.metadata.liveBytes) == [])
        #expect(volume.metadata.liveBytes.isEmpty)
        #expect(volume.unclaimedSegments == [])
    }

    private func check(_ volume: TestVolume, _ runs: [Run], _ from: Int, _ to: Int, _ change: Change, _ name: String) throws {
        let file = try volume.makeFile(.root, name)
        var content: [UInt8] = []
        for (place, run) in runs.enumerated() {
            let offset = UInt64(place * Self.unit)
            let data = [UInt8](repeating: UInt8(place + 1), count: Self.unit)
            let zeros = [UInt8](repeating: 0, count: Self.unit)
            switch run {
            case .hole: try volume.truncate(file, to: offset + UInt64(Self.unit))
            case .data: try volume.write(file, at: offset, data)
            case .reserved:
                try volume.fileSystem.allocate(file, offset: offset, length: UInt64(Self.unit), mode: .allocate(keepSize: false))
            }
            content += run == .data ? data : zeros
        }
        let count = to - from
        switch change {
        case .write:
            let data = [UInt8](repeating: 99, count: count)
            try volume.write(file, at: UInt64(from), data)
            content.replaceSubrange(from..<to, with: data)
        case .punch, .zero:
            let mode: AllocationMode = change == .punch ? .punchHole : .zeroRange(keepSize: true)
            try volume.fileSystem.allocate(file, offset: UInt64(from), length: UInt64(count), mode: mode)
            content.replaceSubrange(from..<to, with: [UInt8](repeating: 0, count: count))
        case .reserve:
            try volume.fileSystem.allocate(file, offset: UInt64(from), length: UInt64(count), mode: .allocate(keepSize: true))
        case .truncate:
            try volume.truncate(file, to: UInt64(from))
            try volume.truncate(file, to: UInt64(to))
            content = Array(content[..<from]) + [UInt8](repeating: 0, count: count)
        case .grow:
            // Reserved past the size, then written behind it: what is between reads as zeros.
            let size = UInt64(content.count)
            try volume.fileSystem.allocate(file, offset: size, length: UInt64(count), mode: .allocate(keepSize: true))
            try volume.write(file, at: size + UInt64(from), [7])
            content += [UInt8](repeating: 0, count: from) + [7]
        }
        try #require(areEqual(try volume.read(file, at: 0, count: 100), content), "\(runs) \(change) \(from)..<\(to)")
        #expect(try volume.fileSystem.attributes(file).sizeBytes == UInt64(content.count))
        try volume.unlink(.root, name)
    }

    /// Writes larger than a chunk, and reads over more extents than are looked up at once.
    @Test func manyExtentsAndChunks() throws {
        let volume = try TestVolume(options: { $0.batchRecordLimit = 10 })
        let file = try volume.makeFile(.root, "f")
        var content = [UInt8](repeating: 0, count: 2000)
        for offset in stride(from: 1, to: 2000, by: 3) {
            try volume.write(file, at: UInt64(offset), [UInt8(truncatingIfNeeded: offset) | 1])
            content[offset] = UInt8(truncatingIfNeeded: offset) | 1
            if offset == 1 { try volume.fileSystem.allocate(file, offset: 100_000, length: 1, mode: .allocate(keepSize: true)) }
        }
        #expect(areEqual(try volume.read(file, at: 0, count: 4000), Array(content[...1999])))
        // One write over hundreds of extents, in many batches.
        let large = [UInt8](repeating: 5, count: ChunkLocation.maximumSizeBytes * 2 + 17)
        try volume.write(file, at: 10, large)
        #expect(areEqual(try volume.read(file, at: 0, count: 10), Array(content[..<10])))
        #expect(areEqual(try volume.read(file, at: 10, count: large.count), large))
        #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: volume.metadata.liveBytes) == [])
        try volume.unlink(.root, "f")
        #expect(volume.metadata.liveBytes.isEmpty)
    }

    @Test func largestFile() throws {
        let volume = try TestVolume(availableBytes: .max)
        let file = try volume.makeFile(.root, "f")
        let limit = UInt64(Int64.max)
        try volume.write(file, at: limit - 3, [1, 2, 3])
        #expect(try volume.fileSystem.attributes(file).sizeBytes == limit)
        #expect(try volume.read(file, at: limit - 5, count: 10) == [0, 0, 1, 2, 3])
        #expect(throws: Errno.fileTooLarge) { try volume.write(file, at: limit - 2, [1, 2, 3]) }
        #expect(throws: Errno.fileTooLarge) { try volume.write(file, at: .max, [1]) }
        #expect(throws: Errno.fileTooLarge) { try volume.truncate(file, to: limit + 1) }
        #expect(try volume.fileSystem.seek(file, from: 0, to: .data) == limit - 3)
        #expect(try volume.fileSystem.seek(file, from: limit - 2, to: .hole) == limit)
        try volume.fileSystem.allocate(file, offset: 0, length: limit, mode: .allocate(keepSize: false))
        #expect(try volume.read(file, at: limit - 5, count: 10) == [0, 0, 1, 2, 3])
        try volume.truncate(file, to: 0)
        #expect(try volume.fileSystem.attributes(file).blockCount == 0)
        #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: volume.metadata.liveBytes) == [])
    }

    /// What was cut off never shows again, whatever makes the file grow while the truncation is under way.
    @Test func truncationThatStopped() throws {
        for growth in 0..<5 {
            let metadata = MemoryMetadataStore(keepsHistory: true)
            let volume = try TestVolume(
                metadata: metadata,
                options: { options in
                    options.inlineLimitBytes = 0
                    options.batchRecordLimit = 2
                })
            let file = try volume.makeFile(.root, "f")
            for offset in 0..<20 { try volume.write(file, at: UInt64(offset * 10), [UInt8](repeating: 9, count: 10)) }
            let before = metadata.historyCount
            try volume.truncate(file, to: 15)
            #expect(metadata.historyCount > before + 5)
            for crash in before...metadata.historyCount {
                let store = metadata.replayed(batchCount: crash)
                let after = try TestVolume(metadata: store, chunks: volume.chunks, formats: false)
                #expect(try after.fileSystem.checkInvariants(expectedLiveBytes: store.liveBytes) == [])
                let isTruncated = crash > before
                #expect(try after.fileSystem.attributes(file).sizeBytes == (isTruncated ? 15 : 200))
                guard isTruncated else { continue }
                switch growth {
                case 0: try after.truncate(file, to: 200)
                case 1: try after.write(file, at: 199, [0])
                case 2: try after.fileSystem.allocate(file, offset: 100, length: 100, mode: .allocate(keepSize: false))
                case 3: try after.fileSystem.allocate(file, offset: 100, length: 100, mode: .zeroRange(keepSize: false))
                default:
                    try after.fileSystem.allocate(file, offset: 30, length: 170, mode: .allocate(keepSize: true))
                    try after.truncate(file, to: 200)
                }
                let expected = [UInt8](repeating: 9, count: 15) + [UInt8](repeating: 0, count: 185)
                #expect(try after.read(file, at: 0, count: 300) == expected, "growth \(growth), crash \(crash)")
                #expect(try after.fileSystem.checkInvariants(expectedLiveBytes: store.liveBytes) == [])
            }
        }
    }
}
