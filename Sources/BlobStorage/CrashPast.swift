/// What a `CrashStorage` holds.
public struct CrashContents: Sendable, Equatable {
    public internal(set) var blobs: [BlobID: [UInt8]] = [:]
    public internal(set) var files: [String: [UInt8]] = [:]

    public init() {}

    subscript(object: CrashObject) -> [UInt8]? {
        get {
            switch object {
            case .blob(let id): blobs[id]
            case .file(let name): files[name]
            }
        }
        _modify {
            switch object {
            case .blob(let id): yield &blobs[id]
            case .file(let name): yield &files[name]
            }
        }
    }

    mutating func perform(_ operation: CrashOperation) {
        switch operation {
        case .create(let object): self[object] = []
        case .change(let object, let change): self[object]?.apply(change)
        case .replace(let name, let bytes): files[name] = bytes
        case .delete(let object): self[object] = nil
        case .sync, .syncNames: break
        }
    }
}

enum CrashObject: Hashable, Sendable {
    case blob(BlobID)
    case file(String)
}

enum CrashChange: Sendable {
    case write([UInt8], at: Int)
    case truncate(Int)
}

enum CrashOperation: Sendable {
    case create(CrashObject)
    case change(CrashObject, CrashChange)
    case sync(CrashObject)
    case syncNames([BlobID])
    /// A small file, at once and durably.
    case replace(String, [UInt8])
    case delete(CrashObject)
}

/// The operations up to some point in time, sorted into what is on stable storage and what may or may not be.
struct CrashPast {
    private struct Entry {
        var durable: [UInt8] = []
        var pending: [CrashChange] = []
        /// Whether the name is on stable storage.
        var isNamed: Bool
        /// A deletion is never certain to last.
        var isDeleted = false
    }

    fileprivate static let sectorSizeBytes = 512

    private var entries: [CrashObject: Entry] = [:]
    /// Ordered, so that a seed gives the same contents every time.
    private var order: [CrashObject] = []

    init(_ start: CrashContents) {
        for id in start.blobs.keys.sorted() { insert(.blob(id), Entry(durable: start.blobs[id] ?? [], isNamed: true)) }
        for name in start.files.keys.sorted() { insert(.file(name), Entry(durable: start.files[name] ?? [], isNamed: true)) }
    }

    private mutating func insert(_ object: CrashObject, _ entry: Entry) {
        if entries.updateValue(entry, forKey: object) == nil { order.append(object) }
    }

    mutating func take(_ operation: CrashOperation) {
        switch operation {
        case .create(let object):
            // A small file's name is made durable by the call that makes it.
            if case .file = object { insert(object, Entry(isNamed: true)) } else { insert(object, Entry(isNamed: false)) }
        case .change(let object, let change):
            if entries[object]?.isDeleted == false { entries[object]?.pending.append(change) }
        case .sync(let object):
            for change in entries[object]?.pending ?? [] { entries[object]?.durable.apply(change) }
            entries[object]?.pending = []
        case .syncNames(let ids):
            for id in ids { entries[.blob(id)]?.isNamed = true }
        case .replace(let name, let bytes): insert(.file(name), Entry(durable: bytes, isNamed: true))
        case .delete(let object): entries[object]?.isDeleted = true
        }
    }

    /// What a power cut now could leave. Of each four seeds one keeps nothing that was not synced and one keeps everything; the
    /// others keep, drop or tear each write by itself.
    func contents(point: Int, seed: UInt64) -> CrashContents {
        var chance = CrashChance(point: point, seed: seed)
        var contents = CrashContents()
        for object in order {
            guard let entry = entries[object] else { continue }
            // A new name that is lost, and a deletion that is.
            let isThere = entry.isDeleted ? (entry.isNamed ? !chance.keeps() : false) : (entry.isNamed || chance.keeps())
            if !isThere { continue }
            var bytes = entry.durable
            for change in entry.pending { bytes.apply(change, by: &chance) }
            contents[object] = bytes
        }
        return contents
    }

    /// Decides what is kept.
    struct CrashChance {
        private let mode: UInt64
        private var state: UInt64

        init(point: Int, seed: UInt64) {
            mode = seed % 4
            state = seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(point) &* 0xD134_2543_DE82_EF95
        }

        private mutating func next() -> UInt64 {
            // SplitMix64 (Steele, Lea, Flood 2014).
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }

        mutating func keeps() -> Bool { mode == 0 ? false : mode == 1 ? true : next() & 1 == 0 }
        /// Whether a write that is neither kept nor dropped whole was cut into sectors.
        mutating func tears() -> Bool { mode > 1 && next() % 3 == 0 }
    }
}

extension [UInt8] {
    fileprivate mutating func apply(_ change: CrashChange) {
        switch change {
        case .write(let bytes, let offset): bytes.withUnsafeBytes { overwrite($0, at: offset) }
        case .truncate(let size):
            if size < count { removeLast(count - size) } else { append(contentsOf: [UInt8](repeating: 0, count: size - count)) }
        }
    }

    fileprivate mutating func apply(_ change: CrashChange, by chance: inout CrashPast.CrashChance) {
        guard case .write(let bytes, let offset) = change, chance.tears() else {
            if chance.keeps() { apply(change) }
            return
        }
        var at = 0
        while at < bytes.count {
            let sectorEnd = ((offset + at) / CrashPast.sectorSizeBytes + 1) * CrashPast.sectorSizeBytes - offset
            let end = Swift.min(sectorEnd, bytes.count)
            if chance.keeps() { bytes[at..<end].withUnsafeBytes { overwrite($0, at: offset + at) } }
            at = end
        }
    }
}
