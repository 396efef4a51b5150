public import MetadataStore
import Records
public import Syscalls

/// Goes over all records of a volume and finds what cannot be. The store must not change meanwhile.
///
/// In one pass over inodes and, side by side, the records that belong to them; then one over the entries, for where they lead.
/// Memory: 17 bytes an inode, and a little more for each directory.
public struct ConsistencyCheck: ~Copyable {
    /// What was found, at most `findingLimit` of them.
    public private(set) var findings: [CheckFinding] = []
    public private(set) var inodeCount = 0
    /// Live bytes of each segment, as the extents say.
    public private(set) var liveBytes: [UInt64: Int64] = [:]
    /// Findings beyond this many are counted only.
    public static let findingLimit = 1000
    public private(set) var findingCount = 0

    let metadata: any MetadataStore
    private let nameHash: (@Sendable (UnsafeRawBufferPointer) -> UInt64)?
    // Of each inode, in order of their numbers.
    private var ids: [UInt64] = []
    private var expectedLinks: [UInt32] = []
    private var foundLinks: [UInt32] = []
    private var types: [InodeType] = []
    /// Of each directory but the root and removed ones.
    private var parents: [UInt64: UInt64] = [:]
    private var counters: [UInt64: UInt64] = [:]

    /// - Parameter nameHash: to check the hashes of entries with, as in `FileSystemEnvironment`.
    public init(of metadata: any MetadataStore, nameHash: (@Sendable (UnsafeRawBufferPointer) -> UInt64)?) {
        self.metadata = metadata
        self.nameHash = nameHash
    }

    /// - Parameter expectedLiveBytes: what the store has added up for each segment, if that is to be compared.
    public mutating func run(expectedLiveBytes: [UInt64: Int64]? = nil) throws(Failure) {
        try readCounters()
        try checkInodes()
        try checkEntries()
        checkLinks()
        checkParents()
        if let expectedLiveBytes { compareLiveBytes(expectedLiveBytes) }
    }

    mutating func add(_ kind: CheckFinding.Kind, _ inode: UInt64?, _ detail: String) {
        findingCount += 1
        if findings.count < Self.findingLimit {
            findings.append(CheckFinding(kind: kind, inode: inode.map { InodeID($0) }, detail: detail))
        }
    }

    mutating func addLiveBytes(_ segment: UInt64, _ bytes: Int64) { liveBytes[segment, default: 0] += bytes }

    private mutating func readCounters() throws(Failure) {
        var cursor = try RecordCursor(.counter, of: metadata)
        while cursor.first != nil {
            var read: (first: UInt64, writer: UInt64, value: UInt64?) = (0, 0, nil)
            try cursor.take { record in
                var reader = ByteReader(record.value)
                read = (record.key.first, record.key.second, reader.readVarint())
            }
            // Other counters are other versions' matter.
            guard read.first == 1 else { continue }
            if let value = read.value { counters[read.writer] = value } else { add(.unreadableRecord, nil, "a counter cannot be read") }
        }
    }

    /// Keeps what is needed of an inode for the pass over the entries.
    mutating func note(_ id: UInt64, _ inode: Inode) {
        inodeCount += 1
        ids.append(id)
        types.append(inode.type)
        foundLinks.append(0)
        if inode.isDirectory {
            expectedLinks.append(id == InodeID.root.rawValue || inode.linkCount == 0 ? 0 : 1)
            if id != InodeID.root.rawValue, inode.linkCount > 0 { parents[id] = inode.parent }
        } else {
            expectedLinks.append(inode.linkCount)
        }
        let number = id & ((1 << 48) - 1)
        if id != InodeID.root.rawValue, number >= counters[id >> 48] ?? InodeNumbers.firstNumber {
            add(.inodeNumberNotCovered, id, "its number could be given out again")
        }
    }

    private func index(of id: UInt64) -> Int? {
        var low = 0
        var high = ids.count
        while low < high {
            let middle = (low + high) / 2
            if ids[middle] < id { low = middle + 1 } else { high = middle }
        }
        return low < ids.count && ids[low] == id ? low : nil
    }
}

// MARK: The second pass, and what both add up to
extension ConsistencyCheck {
    private mutating func checkEntries() throws(Failure) {
        var cursor = try RecordCursor(.dirent, of: metadata)
        while cursor.first != nil {
            var entry: (directory: UInt64, dirent: Dirent?, nameIsFine: Bool) = (0, nil, false)
            let nameHash = nameHash
            try cursor.take { record in
                entry.directory = record.key.first
                entry.dirent = Dirent.decode(record.value)
                entry.nameIsFine = Self.isFine(record.key, nameHash)
            }
            guard let dirent = entry.dirent else {
                add(.unreadableRecord, entry.directory, "an entry cannot be read")
                continue
            }
            if !entry.nameIsFine { add(.entryName, entry.directory, "an entry's name or hash is wrong") }
            guard let index = index(of: dirent.inode) else {
                add(.entryTarget, entry.directory, "an entry leads to inode \(dirent.inode), which is not there")
                continue
            }
            foundLinks[index] += 1
            if types[index] != dirent.type { add(.entryTarget, entry.directory, "an entry shows another type than inode \(dirent.inode)") }
            if types[index] == .directory, parents[dirent.inode] != entry.directory {
                add(.directoryParent, dirent.inode, "an entry of inode \(entry.directory) leads to it, which is not its parent")
            }
        }
    }

    private static func isFine(_ key: RecordKey, _ nameHash: (@Sendable (UnsafeRawBufferPointer) -> UInt64)?) -> Bool {
        let name = key.name
        if name.isEmpty || name.contains(0) || name.contains(UInt8(ascii: "/")) { return false }
        if FileSystem.isDot(name) || FileSystem.isDotDot(name) { return false }
        guard let nameHash else { return true }
        return key.second == FileSystem.cookie(of: nameHash(name))
    }

    private mutating func checkLinks() {
        for (index, id) in ids.enumerated() where expectedLinks[index] != foundLinks[index] {
            add(.linkCount, id, "\(foundLinks[index]) names lead to it, where there should be \(expectedLinks[index])")
        }
    }

    /// Every directory leads up to the root.
    private mutating func checkParents() {
        var reaching: Set<UInt64> = [InodeID.root.rawValue]
        for start in parents.keys {
            var path: [UInt64] = []
            var id = start
            while !reaching.contains(id), path.count <= parents.count, let parent = parents[id] {
                path.append(id)
                id = parent
            }
            if reaching.contains(id) {
                reaching.formUnion(path)
            } else {
                add(.directoryParent, start, "it cannot be reached from the root")
            }
        }
    }

    private mutating func compareLiveBytes(_ expected: [UInt64: Int64]) {
        for segment in Set(expected.keys).union(liveBytes.keys).sorted() {
            let (said, found) = (expected[segment] ?? 0, liveBytes[segment] ?? 0)
            if said != found { add(.liveBytes, nil, "segment \(segment): extents on \(found) bytes, \(said) are accounted for") }
        }
    }
}

extension FileSystem {
    /// Checks all records (see `ConsistencyCheck`); no operation may run meanwhile.
    public func checkInvariants(expectedLiveBytes: [UInt64: Int64]? = nil) throws(Failure) -> [CheckFinding] {
        var check = ConsistencyCheck(of: metadata, nameHash: environment.nameHash)
        try check.run(expectedLiveBytes: expectedLiveBytes)
        return check.findings
    }
}
