import FileSystem

/// Chooses operations that mostly succeed and now and then must not, over few names, so that they meet.
struct OperationGenerator {
    var random: SeededRandom
    /// What the real directory can do too: no whiteouts, no modes that lock the owner out, no devices.
    var isComparable = false
    var offsetLimit = 20_000
    var lengthLimit = 5_000
    var usesXattrs = true

    mutating func next(_ model: ModelVolume) -> Operation {
        let there = model.living
        switch random.below(100) {
        case 0..<9: return .makeNode(directory(model, there), name(), nodeType(), mode: mode())
        case 9..<14: return .makeDirectory(directory(model, there), name(), mode: mode())
        case 14..<16: return .makeSymbolicLink(directory(model, there), name(), target: bytes(1 + random.below(100)))
        case 16: return isComparable ? .list(0) : .makeUnnamed(directory(model, there), mode: mode())
        case 17..<25: return .unlink(directory(model, there), name())
        case 25..<29: return .removeDirectory(directory(model, there), name())
        case 29..<39: return rename(model, there)
        case 39..<43: return link(model, there)
        case 43..<47: return .open(random.element(there))
        case 47..<51: return close(model, there)
        case 51..<53: return .lookup(directory(model, there), name())
        case 53..<54: return .changeMode(linked(model, there), mode())
        case 54..<58: return .list(directory(model, there))
        case 58..<60: return .readLink(random.element(there))
        case 60..<64: return .status(random.element(there))
        case 64..<68: return usesXattrs ? xattr(linked(model, there)) : .status(random.element(there))
        default: return content(model, there)
        }
    }

    private mutating func content(_ model: ModelVolume, _ there: [Node]) -> Operation {
        let node = regular(model, there)
        switch random.below(32) {
        case 0..<14: return .write(node, offset(), bytes(1 + random.below(random.chance(40) ? 200 : lengthLimit)))
        case 14..<20: return .read(node, offset(), random.below(lengthLimit * 2))
        case 20..<24: return .truncate(node, random.chance(15) ? 0 : offset())
        case 24..<30: return .allocate(node, offset(), UInt64(1 + random.below(lengthLimit)), allocationMode())
        default:
            return .copy(node, offset(), regular(model, there), offset(), UInt64(1 + random.below(lengthLimit)))
        }
    }

    private mutating func offset() -> UInt64 {
        // Often on a boundary, where ranges touch.
        let value = random.below(random.chance(30) ? 3000 : offsetLimit)
        return UInt64(random.chance(50) ? value / 512 * 512 : value)
    }

    private mutating func allocationMode() -> AllocationMode {
        switch random.below(5) {
        case 0: .allocate(keepSize: false)
        case 1: .allocate(keepSize: true)
        case 2: .zeroRange(keepSize: false)
        case 3: .zeroRange(keepSize: true)
        default: .punchHole
        }
    }

    private mutating func rename(_ model: ModelVolume, _ there: [Node]) -> Operation {
        var flags: RenameFlags = []
        if random.chance(20) { flags = random.chance(50) ? .noReplace : .exchange }
        let from = directory(model, there)
        return .rename(from, name(), random.chance(40) ? from : directory(model, there), name(), flags)
    }

    private mutating func link(_ model: ModelVolume, _ there: [Node]) -> Operation {
        let linked = there.filter { model.files[$0].linkCount > 0 }
        // Without a name: only what was made so can be linked on a real kernel.
        let node = isComparable ? random.element(linked) : random.element(there.filter { $0 != 0 || there.count == 1 })
        if model.files[node].type == .directory, model.files[node].linkCount == 0 { return .status(node) }
        return .link(node, directory(model, there), name())
    }

    private mutating func close(_ model: ModelVolume, _ there: [Node]) -> Operation {
        let open = there.filter { model.files[$0].openCount > 0 }
        return open.isEmpty ? .status(random.element(there)) : .close(random.element(open))
    }

    private mutating func xattr(_ node: Node) -> Operation {
        let name = Array("user.\(random.below(4))".utf8)
        switch random.below(4) {
        case 0: return .xattr(node, name)
        case 1: return .removeXattr(node, name)
        case 2: return .listXattrs(node)
        default: return .setXattr(node, name, bytes(random.below(50)), random.element([.createOrReplace, .create, .replace]))
        }
    }

    private mutating func directory(_ model: ModelVolume, _ there: [Node]) -> Node {
        let directories = there.filter { model.files[$0].type == .directory }
        if random.chance(30) || directories.isEmpty { return 0 }
        // Sometimes no directory at all.
        return random.chance(2) ? random.element(there) : random.element(directories)
    }

    private mutating func regular(_ model: ModelVolume, _ there: [Node]) -> Node {
        let files = there.filter { model.files[$0].type == .regular }
        return files.isEmpty || random.chance(2) ? random.element(there) : random.element(files)
    }

    private mutating func linked(_ model: ModelVolume, _ there: [Node]) -> Node {
        let linked = there.filter {
            model.files[$0].linkCount > 0 && (!isComparable || model.files[$0].type == .regular || model.files[$0].type == .directory)
        }
        return random.element(linked)
    }

    private mutating func nodeType() -> InodeType {
        if random.chance(80) { return .regular }
        return random.element(isComparable ? [.fifo, .socket] : [.fifo, .socket, .characterDevice, .blockDevice])
    }

    private mutating func mode() -> UInt32 { UInt32(random.below(0o1000)) | (isComparable ? 0o700 : 0) }

    private mutating func name() -> Name { Array("n\(random.below(6))".utf8) }

    /// Never a run of zeros by chance, so that a hole shows.
    mutating func bytes(_ count: Int) -> [UInt8] {
        let start = random.below(Self.noise.count)
        return Array(Self.noise[start...].prefix(count))
            + (start + count > Self.noise.count ? Array(Self.noise[..<(start + count - Self.noise.count)]) : [])
    }

    private static let noise: [UInt8] = (0..<16_384).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) | 1 }
}
