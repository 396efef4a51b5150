import Glibc
import Records

/// Negative, zero or positive as `a` comes before, at or after `b`: numbers first, the name only among equal numbers.
@inline(__always)
func order(_ a: RecordKey, _ b: RecordKey) -> Int {
    if a.kind != b.kind { return a.kind < b.kind ? -1 : 1 }
    if a.first != b.first { return a.first < b.first ? -1 : 1 }
    if a.second != b.second { return a.second < b.second ? -1 : 1 }
    return nameOrder(a.name.baseAddress, a.name.count, b.name.baseAddress, b.name.count)
}

@inline(__always)
func nameOrder(_ a: UnsafeRawPointer?, _ aCount: Int, _ b: UnsafeRawPointer?, _ bCount: Int) -> Int {
    let common = aCount < bCount ? aCount : bCount
    if common > 0, let a, let b {
        let difference = memcmp(a, b, common)
        if difference != 0 { return Int(difference) }
    }
    return aCount - bCount
}

func order(_ a: RecordKey, _ b: OwnedRecordKey) -> Int {
    if a.kind != b.kind { return a.kind < b.kind ? -1 : 1 }
    if a.first != b.first { return a.first < b.first ? -1 : 1 }
    if a.second != b.second { return a.second < b.second ? -1 : 1 }
    return b.name.withUnsafeBytes { nameOrder(a.name.baseAddress, a.name.count, $0.baseAddress, $0.count) }
}

func order(_ a: OwnedRecordKey, _ b: OwnedRecordKey) -> Int { a.withKey { order($0, b) } }

/// Records of one region never share a table with those of another, and are compacted apart: how often a kind changes, and
/// in which order its keys come, differs from kind to kind, and a table that mixed them would overlap with every other.
/// Regions are ranges of kinds, in order.
enum KeyRegion {
    static let count = 4

    static func of(kind: UInt8) -> Int {
        switch kind {
        case ...RecordKind.inode.rawValue: 0
        case RecordKind.dirent.rawValue: 1
        case RecordKind.extent.rawValue: 2
        default: 3
        }
    }
}

/// 64-bit hashes of keys for filters and the memory table's index. Part of the format (docs/format/tables.md, "Hash").
/// Not keyed: a filter is sealed, and who makes hashes collide only makes a lookup slower.
enum KeyHash {
    static let golden: UInt64 = 0x9e37_79b9_7f4a_7c15

    @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        var x = value
        x = (x ^ (x >> 30)) &* 0xbf58_476d_1ce4_e5b9
        x = (x ^ (x >> 27)) &* 0x94d0_49bb_1331_11eb
        return x ^ (x >> 31)
    }

    /// Of (kind, first).
    @inline(__always)
    static func prefix(kind: UInt8, first: UInt64) -> UInt64 { mix(first &+ (UInt64(kind) &+ 1) &* golden) }

    /// Of the whole key. A key that is nothing but its prefix has the prefix's hash, so that a filter holds it once.
    @inline(__always)
    static func whole(_ key: RecordKey) -> UInt64 {
        let prefix = prefix(kind: key.kind, first: key.first)
        if key.second == 0, key.name.count == 0 { return prefix }
        let hash = mix(prefix ^ mix(key.second &+ golden))
        return key.name.count == 0 ? hash : name(key.name, from: hash)
    }

    private static func name(_ name: UnsafeRawBufferPointer, from start: UInt64) -> UInt64 {
        guard let base = name.baseAddress else { return start }
        var hash = start ^ UInt64(name.count) << 56
        var offset = 0
        while offset + 8 <= name.count {
            hash = mix((hash ^ UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))) &+ golden)
            offset += 8
        }
        if offset < name.count {
            var rest: UInt64 = 0
            withUnsafeMutableBytes(of: &rest) { $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: name[offset...])) }
            hash = mix((hash ^ UInt64(littleEndian: rest)) &+ golden)
        }
        return hash
    }
}
