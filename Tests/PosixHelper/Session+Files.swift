import CSyscalls
import Glibc
import LinuxTesting
import SystemPackage

extension Session {
    mutating func files(_ command: String, _ words: inout Words) throws(Errno) -> String? {
        switch command {
        case "open":
            let (label, path) = (try words.word(), try words.text())
            let flags = try words.flags(Self.openFlags)
            let file = try checked(efs_open(AT_FDCWD, path, flags, try words.optionalOctal(0o644)))
            keep(file, label)
            return "ok"
        case "dup":
            let (label, old) = (try words.word(), try descriptor(&words))
            keep(try checked(Glibc.dup(old)), label)
            return "ok"
        case "close":
            let label = try words.word()
            guard let file = descriptors.removeValue(forKey: label) else { throw Errno(rawValue: EBADF) }
            return try done(Glibc.close(file))
        case "truncate": return try done(Glibc.truncate(try words.text(), off_t(try words.number())))
        case "ftruncate": return try done(Glibc.ftruncate(try descriptor(&words), off_t(try words.number())))
        case "fsync": return try done(Glibc.fsync(try descriptor(&words)))
        case "fallocate":
            let file = try descriptor(&words)
            let mode = try words.flags([
                "PLAIN": 0, "KEEP_SIZE": 1, "PUNCH_HOLE": 2, "COLLAPSE": 8, "ZERO_RANGE": 16, "INSERT": 32, "UNSHARE": 64,
            ])
            return try done(allocate(file, mode: mode, off_t(try words.number()), off_t(try words.number())))
        case "seek":
            let (file, offset) = (try descriptor(&words), try words.number())
            let whence = try words.flags(["SET": SEEK_SET, "CUR": SEEK_CUR, "END": SEEK_END, "DATA": seekData, "HOLE": seekHole])
            return "\(try checked(lseek(file, off_t(offset), whence)))"
        case "execute": return try execute(try words.text())
        case "start":
            let path = try words.text()
            running = try spawn([path, try words.word()])
            return "ok"
        case "stop":
            Glibc.kill(running, SIGKILL)
            return end(running) & 0x7f == SIGKILL ? "ok" : "ended-before"
        default: return nil
        }
    }

    mutating func keep(_ file: CInt, _ label: String) {
        if let old = descriptors.updateValue(file, forKey: label) { Glibc.close(old) }
    }

    private func execute(_ path: String) throws(Errno) -> String { "ended \(end(try spawn([path])) >> 8 & 0xff)" }

    private func spawn(_ words: [String]) throws(Errno) -> pid_t {
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        let result = posix_spawn(&process, words[0], nil, nil, &arguments, efs_environment())
        if result != 0 { throw Errno(rawValue: result) }
        return process
    }

    private func end(_ process: pid_t) -> CInt {
        var status: CInt = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
        return status
    }

    mutating func content(_ command: String, _ words: inout Words) throws(Errno) -> String? {
        switch command {
        case "write": return try write(try descriptor(&words), try words.data(), at: words.isAtEnd ? nil : try words.number())
        case "read":
            let (file, count) = (try descriptor(&words), try words.number())
            return shown(try read(file, count, at: words.isAtEnd ? nil : try words.number()))
        case "append":  // COUNT records of SIZE bytes, one call each
            let (file, text, size, count) = (try descriptor(&words), try words.word(), try words.number(), try words.number())
            let bytes = [UInt8](repeating: text.utf8.first ?? 0, count: size)
            for _ in 0..<count where try checked(Glibc.write(file, bytes, size)) != size { return "short" }
            return "ok"
        case "copy":
            let (from, fromOffset, to, toOffset) = (
                try descriptor(&words), try words.number(), try descriptor(&words), try words.number()
            )
            var (source, target) = (off_t(fromOffset), off_t(toOffset))
            let call = function(
                "copy_file_range",
                as: (@convention(c) (CInt, UnsafeMutablePointer<off_t>, CInt, UnsafeMutablePointer<off_t>, Int, UInt32) -> Int).self)
            return "\(try checked(call(from, &source, to, &target, try words.number(), 0)))"
        case "sendfile":
            let (to, from) = (try descriptor(&words), try descriptor(&words))
            let call = function(
                "sendfile", as: (@convention(c) (CInt, CInt, UnsafeMutablePointer<off_t>?, Int) -> Int).self)
            return "\(try checked(call(to, from, nil, try words.number())))"
        case "map":
            let (label, file, length) = (try words.word(), try descriptor(&words), try words.number())
            let offset = words.isAtEnd ? 0 : try words.number()
            let access = fcntl(file, F_GETFL) & O_ACCMODE == O_RDWR ? PROT_READ | PROT_WRITE : PROT_READ
            guard let memory = mmap(nil, length, access, MAP_SHARED, file, off_t(offset)), memory != MAP_FAILED else {
                throw Errno(rawValue: errno)
            }
            mappings[label] = UnsafeMutableRawBufferPointer(start: memory, count: length)
            return "ok"
        case "peek", "poke", "msync", "unmap": return try mapped(command, &words)
        default: return nil
        }
    }

    private mutating func mapped(_ command: String, _ words: inout Words) throws(Errno) -> String {
        let label = try words.word()
        guard let memory = mappings[label] else { throw Errno(rawValue: EBADF) }
        switch command {
        case "peek":
            let (offset, count) = (try words.number(), try words.number())
            return shown(memory[offset..<offset + count])
        case "poke":
            let (offset, bytes) = (try words.number(), try words.data())
            UnsafeMutableRawBufferPointer(rebasing: memory[offset..<offset + bytes.count]).copyBytes(from: bytes)
            return "ok"
        case "msync": return try done(Glibc.msync(memory.baseAddress!, memory.count, CInt(MS_SYNC)))
        default:
            mappings[label] = nil
            return try done(munmap(memory.baseAddress!, memory.count))
        }
    }

    /// Aligned, so that O_DIRECT takes it.
    private func withBuffer<R>(_ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws(Errno) -> R) throws(Errno) -> R {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, 1), alignment: 4096)
        defer { buffer.deallocate() }
        return try body(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
    }

    private func write(_ file: CInt, _ bytes: [UInt8], at offset: Int?) throws(Errno) -> String {
        try withBuffer(bytes.count) { (buffer) throws(Errno) in
            buffer.copyBytes(from: bytes)
            let count = try checked(
                offset.map { pwrite(file, buffer.baseAddress, buffer.count, off_t($0)) }
                    ?? Glibc.write(file, buffer.baseAddress, buffer.count))
            return "\(count)"
        }
    }

    private func read(_ file: CInt, _ count: Int, at offset: Int?) throws(Errno) -> [UInt8] {
        try withBuffer(count) { (buffer) throws(Errno) in
            let count = try checked(
                offset.map { pread(file, buffer.baseAddress, buffer.count, off_t($0)) }
                    ?? Glibc.read(file, buffer.baseAddress, buffer.count))
            return Array(buffer[..<count])
        }
    }
}
