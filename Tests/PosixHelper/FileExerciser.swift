import Glibc
import LinuxTesting
import SystemPackage

/// One file, used in all ways at random beside an image of it in memory. `exercise PATH SEED STEPS`: "ok", or what is wrong after which steps. The
/// image is kept from one such command to the next, and the file is open only in between.
///
/// Used from one thread.
final class FileExerciser {
    private static let limit = 300_000
    private static let page = 4096

    private let path: String
    private var random: SeededRandom
    /// The image; what is past `size` is zero.
    private let image = UnsafeMutableRawBufferPointer.allocate(byteCount: FileExerciser.limit + 2 * FileExerciser.page, alignment: 4096)
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: FileExerciser.limit + 2 * FileExerciser.page, alignment: 4096)
    /// Where written bytes come from.
    private let noise = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    private var size = 0
    private var file: CInt = -1
    private var direct: CInt = -1
    private var problem: String?
    private var log: [String] = []

    init(_ path: String, _ seed: UInt64) {
        self.path = path
        random = SeededRandom(seed: seed)
        image.initializeMemory(as: UInt8.self, repeating: 0)
        for at in stride(from: 0, to: noise.count, by: 8) { noise.storeBytes(of: random.next() | 1, toByteOffset: at, as: UInt64.self) }
    }

    func run(_ steps: Int) throws(Errno) -> String {
        try open()
        defer { close() }
        for index in 0..<steps {
            let done = try step()
            if let problem { return "step-\(index), \(done): \(problem); before: \(log.suffix(20).joined(separator: ", "))" }
        }
        _ = read(file, 0, size)
        return problem ?? "ok"
    }

    deinit {
        close()
        for buffer in [image, scratch, noise] { buffer.deallocate() }
    }

    private func open() throws(Errno) {
        (file, direct) = (Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644), Glibc.open(path, O_RDWR | directIOFlag | O_CLOEXEC))
        try checked(file)
        try checked(direct)
    }

    private func close() {
        for descriptor in [file, direct] where descriptor >= 0 { Glibc.close(descriptor) }
        (file, direct) = (-1, -1)
    }

    /// Offset and length, with a liking for borders of pages.
    private func range(within bound: Int, longest: Int = 70_000) -> (Int, Int) {
        func rounded(_ value: Int) -> Int {
            switch random.below(4) {
            case 0: value / Self.page * Self.page
            case 1: value / Self.page * Self.page + random.below(3)
            default: value
            }
        }
        let offset = min(rounded(random.below(max(bound, 1))), max(bound - 1, 0))
        let length = max(1, rounded(random.below(random.below(3) == 0 ? 600 : longest)))
        return (offset, min(length, max(bound - offset, 0)))
    }

    private func aligned(_ value: Int) -> Int { value / Self.page * Self.page }

    private func require(_ condition: Bool, _ what: @autoclosure () -> String) {
        if !condition, problem == nil { problem = what() }
    }

    private func step() throws(Errno) -> String {
        let (offset, length) = range(within: Self.limit)
        let (from, count) = range(within: size)
        var done = ""
        switch random.below(100) {
        case 0..<18: done = write(file, offset, length)
        case 18..<26: done = write(direct, aligned(offset), aligned(length))
        case 26..<36: done = read(file, from, count)
        case 36..<42: done = read(direct, aligned(from), aligned(count))
        case 42..<50: done = try mapped(from, count, writes: false)
        case 50..<60: done = try mapped(from, count, writes: true)
        case 60..<67: done = truncate(random.below(4) == 0 ? offset : min(offset, size))
        case 67..<76: done = change(random.below(5), offset, length)
        case 76..<84: done = copy(from, count, to: offset)
        case 84..<88: done = search(from)
        case 88..<92: done = append(min(length, Self.limit - size))
        case 92..<95:
            done = "fsync"
            require(fsync(file) == 0, "fsync failed, \(errno)")
        default:
            done = "reopen"
            close()
            try open()
        }
        log.append(done)
        if log.count > 100 { log.removeFirst(50) }
        verifySize()
        if random.below(20) == 0 { _ = read(file, 0, size) }
        return done
    }

    private func verifySize() {
        var status = stat()
        require(fstat(file, &status) == 0 && status.st_size == size, "the size is \(status.st_size), not \(size)")
    }

    // MARK: Ways

    private func bytes(_ count: Int) -> UnsafeRawPointer {
        UnsafeRawPointer(noise.baseAddress! + aligned(random.below(noise.count - count - Self.page)))
    }

    private func put(_ offset: Int, _ source: UnsafeRawPointer, _ count: Int) {
        memcpy(image.baseAddress! + offset, source, count)
        size = max(size, offset + count)
    }

    private func write(_ descriptor: CInt, _ offset: Int, _ count: Int) -> String {
        let way = descriptor == direct ? "direct write" : "write"
        if count == 0 { return "\(way) of nothing" }
        let source = bytes(count)
        let result = pwrite(descriptor, source, count, off_t(offset))
        require(result == count, "\(way) gave \(result), \(errno)")
        put(offset, source, count)
        return "\(way) \(offset) \(count)"
    }

    private func append(_ count: Int) -> String {
        if count <= 0 { return "append of nothing" }
        let descriptor = Glibc.open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        defer { Glibc.close(descriptor) }
        let source = bytes(count)
        require(Glibc.write(descriptor, source, count) == count, "append failed, \(errno)")
        put(size, source, count)
        return "append \(count)"
    }

    private func read(_ descriptor: CInt, _ offset: Int, _ count: Int) -> String {
        let way = descriptor == direct ? "direct read" : "read"
        if count == 0 { return "\(way) of nothing" }
        let result = pread(descriptor, scratch.baseAddress!, count, off_t(offset))
        require(result == min(count, max(size - offset, 0)), "\(way) \(offset) \(count) gave \(result), \(errno)")
        compare(scratch.baseAddress!, offset, max(result, 0), way)
        return "\(way) \(offset) \(count)"
    }

    private func compare(_ found: UnsafeRawPointer, _ offset: Int, _ count: Int, _ way: String) {
        if memcmp(found, image.baseAddress! + offset, count) == 0 { return }
        let at = (0..<count).first { found.load(fromByteOffset: $0, as: UInt8.self) != image[offset + $0] } ?? 0
        let (is_, should) = (found.load(fromByteOffset: at, as: UInt8.self), image[offset + at])
        require(false, "\(way) \(offset) \(count): byte \(offset + at) is \(is_), not \(should); the size is \(size)")
    }

    private func mapped(_ offset: Int, _ count: Int, writes: Bool) throws(Errno) -> String {
        let way = writes ? "map write" : "map read"
        if count == 0 { return "\(way) of nothing" }
        let start = aligned(offset)
        let memory = mmap(nil, offset + count - start, writes ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file, off_t(start))
        guard let memory, memory != MAP_FAILED else { throw Errno(rawValue: errno) }
        defer { munmap(memory, offset + count - start) }
        let place = memory + (offset - start)
        if writes {
            let source = bytes(count)
            memcpy(place, source, count)
            put(offset, source, count)
        } else {
            compare(place, offset, count, way)
            // The rest of the last page.
            let rest = (Self.page - size % Self.page) % Self.page
            if offset + count == size, (0..<rest).contains(where: { (place + count).load(fromByteOffset: $0, as: UInt8.self) != 0 }) {
                require(false, "\(way): not zero past the end, \(size)")
            }
        }
        return "\(way) \(offset) \(count)"
    }

    private func truncate(_ newSize: Int) -> String {
        require(ftruncate(file, off_t(newSize)) == 0, "truncate failed, \(errno)")
        if newSize < size { memset(image.baseAddress! + newSize, 0, size - newSize) }
        size = newSize
        return "truncate \(newSize)"
    }

    private func change(_ kind: Int, _ offset: Int, _ count: Int) -> String {
        let modes: [(name: String, mode: CInt)] = [("allocate", 0), ("keep", 1), ("punch", 3), ("zero", 16), ("zero keep", 17)]
        let (name, mode) = modes[kind]
        if count == 0 { return "\(name) of nothing" }
        require(allocate(file, mode: mode, off_t(offset), off_t(count)) == 0, "\(name) \(offset) \(count) failed, \(errno)")
        if mode >= 3 { memset(image.baseAddress! + offset, 0, count) }
        if mode & 1 == 0 { size = max(size, offset + count) }
        return "\(name) \(offset) \(count)"
    }

    private func copy(_ from: Int, _ count: Int, to target: Int) -> String {
        let count = min(count, Self.limit - target, abs(from - target))
        if count <= 0 { return "copy of nothing" }
        var (source, destination) = (off_t(from), off_t(target))
        let call = function(
            "copy_file_range",
            as: (@convention(c) (CInt, UnsafeMutablePointer<off_t>, CInt, UnsafeMutablePointer<off_t>, Int, UInt32) -> Int).self)
        var done = 0
        while done < count {
            let part = call(file, &source, file, &destination, count - done, 0)
            require(part > 0, "copy \(from) \(count) to \(target) gave \(part), \(errno)")
            if part <= 0 { break }
            done += part
        }
        put(target, UnsafeRawPointer(image.baseAddress! + from), count)
        return "copy \(from) \(count) to \(target)"
    }

    /// What is said to be a hole is zeros.
    private func search(_ from: Int) -> String {
        if from >= size { return "search in nothing" }
        let data = lseek(file, off_t(from), seekData)
        require(data >= from || errno == ENXIO, "search gave \(data), \(errno)")
        let end = data < 0 ? size : Int(data)
        if (from..<end).contains(where: { image[$0] != 0 }) { require(false, "\(from)..<\(end) is said to be a hole") }
        let hole = lseek(file, off_t(from), seekHole)
        require(hole >= from && hole <= size, "search for a hole gave \(hole), \(errno)")
        return "search \(from)"
    }
}
