import CSyscalls
import Glibc
import LinuxTesting
import SystemPackage

/// Random work in a tree: `stress SEED STEPS OWN SHARED`. The answer is a digest of all results in the directory of its own, where nobody else
/// works: the same seed must give the same answer on every file system. What comes of the shared directory is not in it.
struct Stress {
    private let seed: UInt64
    private var random: SeededRandom
    private var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    private var failures = 0
    private var isOwn = true
    private var root = ""
    private var held: [CInt] = []
    private let noise: [UInt8]

    init(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        noise = (0..<70_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        self.random = random
        self.seed = seed
    }

    mutating func run(_ steps: Int, own: String, shared: String) -> String {
        for index in 0..<steps {
            // Anew for each step: what others do in the shared directory decides how many numbers a step there takes.
            random = SeededRandom(seed: seed &* 0x9e37_79b9_7f4a_7c15 &+ UInt64(index))
            isOwn = random.below(3) > 0
            root = isOwn ? own : shared
            step(random.below(100))
        }
        for file in held { close(file) }
        return "\(digest) \(failures)"
    }

    private mutating func note(_ value: Int) {
        guard isOwn else { return }
        digest = (digest ^ UInt64(truncatingIfNeeded: value)) &* 0x100_0000_01b3
    }

    private mutating func result(_ value: some SignedInteger) {
        note(value < 0 ? -Int(errno) : Int(value))
        if value < 0, isOwn { failures += 1 }
    }

    /// Few names and little depth, so that calls meet.
    private mutating func path() -> String {
        var path = root
        for _ in 0..<(1 + random.below(3)) { path += "/\("abcdefg".dropFirst(random.below(7)).prefix(1))" }
        return path
    }

    private mutating func step(_ choice: Int) {
        let path = path()
        switch choice {
        case 0..<12: withFile(path, O_CREAT | O_RDWR | (random.below(4) == 0 ? O_EXCL : 0)) { $0.write($1) }
        case 12..<22: result(mkdir(path, 0o755))
        case 22..<28: result(unlink(path))
        case 28..<32: result(rmdir(path))
        case 32..<42:
            let other = self.path()
            result(renameat2(path, other, [0, 0, 0, 1, 2][random.below(5)]))
        case 42..<46: result(link(path, self.path()))
        case 46..<49: result(symlink("\(random.below(50))/target", path))
        case 49..<53: result(chmod(path, [0o644, 0o600, 0o755, 0o4711, 0o2770][random.below(5)]))
        case 53..<57:
            result(
                setxattr(
                    path, "user.\(random.below(3))", Array(noise.prefix(random.below(200))), CInt(random.below(3)), followsLinks: false))
        case 57..<59: result(removexattr(path, "user.\(random.below(3))", followsLinks: false))
        case 59..<63: look(path)
        case 63..<67: withFile(path, O_RDWR) { $0.write($1) }
        case 67..<71: withFile(path, O_WRONLY | O_APPEND) { $0.append($1) }
        case 71..<75: result(truncate(path, off_t(random.below(100_000))))
        case 75..<80: withFile(path, O_RDWR) { $0.allocate($1) }
        case 80..<87: withFile(path, O_RDONLY) { $0.read($1) }
        case 87..<91: withFile(path, O_RDWR) { $0.map($1) }
        case 91..<93: withFile(path, O_RDWR) { stress, file in stress.result(fsync(file)) }
        case 93..<96: list(path)
        default: hold(path)
        }
    }

    private mutating func withFile(_ path: String, _ flags: CInt, _ body: (inout Stress, CInt) -> Void) {
        let file = efs_open(AT_FDCWD, path, flags | O_NOFOLLOW | O_NONBLOCK, 0o644)
        result(min(file, 0))
        guard file >= 0 else { return }
        body(&self, file)
        close(file)
    }

    private mutating func look(_ path: String) {
        var status = stat()
        let found = fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW)
        result(found)
        guard found == 0 else { return }
        note(Int(status.st_mode))
        note(Int(status.st_nlink))
        if status.st_mode & S_IFMT != S_IFDIR { note(Int(status.st_size)) }
    }

    private mutating func write(_ file: CInt) {
        let (count, offset) = (random.below(random.below(3) == 0 ? noise.count : 3000), random.below(100_000))
        result(noise.withUnsafeBytes { pwrite(file, $0.baseAddress, count, off_t(offset)) })
    }

    private mutating func append(_ file: CInt) {
        let count = random.below(5000)
        // Few files grow without end.
        var status = stat()
        if fstat(file, &status) == 0, status.st_size > 300_000 { return note(1) }
        result(noise.withUnsafeBytes { Glibc.write(file, $0.baseAddress, count) })
    }

    private mutating func allocate(_ file: CInt) {
        let mode: CInt = [0, 1, 3, 16, 17][random.below(5)]
        let (offset, count) = (random.below(100_000), 1 + random.below(50_000))
        result(LinuxTesting.allocate(file, mode: mode, off_t(offset), off_t(count)))
    }

    private mutating func read(_ file: CInt) {
        var buffer = [UInt8](repeating: 0, count: 20_000)
        let count = pread(file, &buffer, buffer.count, off_t(random.below(100_000)))
        result(count)
        // Each 61st byte: unoptimised code is slow byte by byte.
        for at in stride(from: 0, to: max(0, count), by: 61) { note(Int(buffer[at])) }
    }

    private mutating func map(_ file: CInt) {
        var status = stat()
        guard fstat(file, &status) == 0, status.st_size > 0, isOwn else { return }
        let count = Int(status.st_size)
        guard let memory = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), memory != MAP_FAILED else { return result(-1) }
        let (offset, length) = (random.below(count), random.below(3000))
        noise.withUnsafeBytes { _ = memcpy(memory + offset, $0.baseAddress!, min(length, count - offset)) }
        note(Int(memory.load(fromByteOffset: random.below(count), as: UInt8.self)))
        munmap(memory, count)
    }

    private mutating func list(_ path: String) {
        guard let stream = opendir(path) else { return result(-1) }
        defer { closedir(stream) }
        var sum = 0
        while let entry = readdir(stream) { sum += Int(entry.pointee.d_type) * 1000 + Int(entry.pointee.d_name.0) }
        note(sum)
    }

    /// A descriptor that is kept while others remove the file's names.
    private mutating func hold(_ path: String) {
        let file = efs_open(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0)
        result(min(file, 0))
        if file >= 0 { held.append(file) }
        if held.count > 20 { close(held.removeFirst()) }
    }
}

extension Session {
    func stress(_ words: inout Words) throws(Errno) -> String {
        guard let seed = UInt64(try words.word()) else { throw Errno(rawValue: EPROTO) }
        var stress = Stress(seed: seed)
        return stress.run(try words.number(), own: try words.text(), shared: try words.text())
    }
}
