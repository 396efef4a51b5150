/// What a disk holds: folders and plain files by node number. A value: copies share what they have in common.
package struct DiskImage: Sendable, Equatable {
    package static let root = 0
    package internal(set) var folders: [Int: [String: Int]] = [root: [:]]
    package internal(set) var files: [Int: [UInt8]] = [:]
    var nextNode = 1

    package init() {}

    /// The files that names lead to, by path.
    package var paths: [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        collect(Self.root, "", &result)
        return result
    }

    private func collect(_ folder: Int, _ prefix: String, _ result: inout [String: [UInt8]]) {
        for (name, node) in folders[folder] ?? [:] {
            if let bytes = files[node] { result[prefix + name] = bytes } else { collect(node, prefix + name + "/", &result) }
        }
    }

    /// A disk with these files; folders are made as paths need them.
    package init(_ paths: [String: [UInt8]]) {
        for (path, bytes) in paths.sorted(by: { $0.key < $1.key }) {
            var folder = Self.root
            let parts = path.split(separator: "/").map(String.init)
            for part in parts.dropLast() { folder = folders[folder]?[part] ?? makeFolder(part, in: folder) }
            files[nextNode] = bytes
            folders[folder, default: [:]][parts.last ?? ""] = nextNode
            nextNode += 1
        }
    }

    private mutating func makeFolder(_ name: String, in folder: Int) -> Int {
        let node = nextNode
        nextNode += 1
        folders[node] = [:]
        folders[folder, default: [:]][name] = node
        return node
    }

    /// A node is there with the first name that leads to it.
    private mutating func make(_ node: Int, isFolder: Bool) {
        nextNode = max(nextNode, node + 1)
        if files[node] != nil || folders[node] != nil { return }
        if isFolder { folders[node] = [:] } else { files[node] = [] }
    }

    mutating func perform(_ change: DiskChange, torn: UInt64? = nil) {
        // No number is given out twice, also if the name that came with it was lost.
        nextNode = max(nextNode, change.object + 1)
        switch change {
        case .write(let file, let offset, let bytes):
            guard let torn else { return files[file, default: []].overwrite(bytes[...], at: offset) }
            for (index, sector) in DiskChange.sectors(offset, bytes.count).enumerated() where torn >> UInt64(index % 64) & 1 == 1 {
                files[file, default: []].overwrite(bytes[sector], at: offset + sector.lowerBound)
            }
        case .resize(let file, let size): files[file, default: []].resize(to: size)
        case .grow(let file, let size): if size > files[file]?.count ?? 0 { files[file, default: []].resize(to: size) }
        case .enter(let folder, let name, let node, let isFolder):
            make(node, isFolder: isFolder)
            // The folder's own name may reach the disk later than this one, or never.
            folders[folder, default: [:]][name] = node
        case .remove(let folder, let name): folders[folder]?[name] = nil
        case .rename(let folder, let old, let new, let node):
            // Its first name may be lost.
            make(node, isFolder: false)
            if folders[folder]?[old] == node { folders[folder]?[old] = nil }
            folders[folder]?[new] = node
        }
    }
}

/// What a call changes on a disk, once it has reached it.
enum DiskChange: Sendable {
    case write(Int, offset: Int, bytes: [UInt8])
    case resize(Int, size: Int)
    /// Takes room: the file has at least this size.
    case grow(Int, size: Int)
    case enter(Int, name: String, node: Int, isFolder: Bool)
    case remove(Int, name: String)
    case rename(Int, old: String, new: String, node: Int)

    /// The file or folder whose sync makes it certain.
    var object: Int {
        switch self {
        case .write(let object, _, _), .resize(let object, _), .grow(let object, _), .enter(let object, _, _, _), .remove(let object, _),
            .rename(let object, _, _, _):
            object
        }
    }

    static let sectorSizeBytes = 512

    /// The parts of a write that are written whole or not at all.
    static func sectors(_ offset: Int, _ count: Int) -> [Range<Int>] {
        var result: [Range<Int>] = []
        var at = 0
        while at < count {
            let end = min(count, ((offset + at) / sectorSizeBytes + 1) * sectorSizeBytes - offset)
            result.append(at..<end)
            at = end
        }
        return result
    }

    /// How many parts a power cut can tear it into.
    var sectorCount: Int { if case .write(_, let offset, let bytes) = self { Self.sectors(offset, bytes.count).count } else { 1 } }
}

extension [UInt8] {
    mutating func resize(to size: Int) {
        if size < count { removeLast(count - size) } else { append(contentsOf: [UInt8](repeating: 0, count: size - count)) }
    }

    /// As a file is written: a gap before `offset` becomes zeros.
    mutating func overwrite(_ new: ArraySlice<UInt8>, at offset: Int) {
        if count < offset + new.count { resize(to: offset + new.count) }
        withUnsafeMutableBytes { mine in
            new.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: mine[offset..<offset + $0.count]).copyMemory(from: $0) }
        }
    }
}
