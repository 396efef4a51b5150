import Glibc
import LinuxTesting
import SystemPackage

// MARK: Locks
extension Session {
    private static let commands: [String: CInt] = [
        "getlk": F_GETLK, "setlk": F_SETLK, "setlkw": F_SETLKW, "ofd-getlk": 36, "ofd-setlk": 37, "ofd-setlkw": 38,
    ]

    func locks(_ command: String, _ words: inout Words) throws(Errno) -> String? {
        if command == "flock" {
            let file = try descriptor(&words)
            return try done(flock(file, try words.flags(["SH": LOCK_SH, "EX": LOCK_EX, "UN": LOCK_UN, "NB": LOCK_NB])))
        }
        guard let number = Self.commands[command] else { return nil }
        let file = try descriptor(&words)
        var lock = flock()
        lock.l_type = Int16(try words.flags(["READ": CInt(F_RDLCK), "WRITE": CInt(F_WRLCK), "NONE": CInt(F_UNLCK)]))
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = off_t(try words.number())
        lock.l_len = off_t(try words.number())
        try checked(fcntl(file, number, &lock))
        guard command.hasSuffix("getlk") else { return "ok" }
        if lock.l_type == Int16(F_UNLCK) { return "free" }
        return "\(lock.l_type == Int16(F_RDLCK) ? "READ" : "WRITE") \(lock.l_start) \(lock.l_len)"
    }
}

// MARK: Watching, handles, the file system itself
extension Session {
    mutating func others(_ command: String, _ words: inout Words) throws(Errno) -> String? {
        switch command {
        case "tick": return tick()
        case "watch":
            let (label, path) = (try words.word(), try words.text())
            if descriptors[label] == nil {
                let start = function("inotify_init1", as: (@convention(c) (CInt) -> CInt).self)
                descriptors[label] = try checked(start(O_NONBLOCK))
            }
            let add = function("inotify_add_watch", as: (@convention(c) (CInt, UnsafePointer<CChar>, UInt32) -> CInt).self)
            try checked(add(descriptors[label]!, path, 0xfff))
            return "ok"
        case "events": return try events(try descriptor(&words))
        case "handle":
            let (label, path) = (try words.word(), try words.text())
            guard let handle = FileHandle(path) else { throw Errno(rawValue: errno) }
            handles[label] = handle
            return "ok"
        case "handleopen":
            let (label, name, mount) = (try words.word(), try words.word(), try words.text())
            guard let handle = handles[name] else { throw Errno(rawValue: EBADF) }
            let flags = try words.flags(Self.openFlags)
            keep(try handle.open(in: mount, flags), label)
            return "ok"
        case "statfs":
            var found = statvfs()
            try checked(statvfs(try words.text(), &found))
            return
                "\(found.f_frsize) \(found.f_blocks) \(found.f_bfree) \(found.f_bavail) \(found.f_files) \(found.f_ffree) \(found.f_namemax)"
        case "exercise":
            let (path, seed, steps) = (try words.text(), try words.number(), try words.number())
            if exerciser == nil { exerciser = FileExerciser(path, UInt64(seed)) }
            return try exerciser!.run(steps)
        case "stress": return try stress(&words)
        default: return nil
        }
    }

    /// Until the clock by which the kernel stamps files has gone on.
    private func tick() -> String {
        func now() -> timespec {
            var time = timespec()
            clock_gettime(CLOCK_REALTIME_COARSE, &time)
            return time
        }
        let start = now()
        var current = start
        while current.tv_sec == start.tv_sec, current.tv_nsec == start.tv_nsec {
            sched_yield()
            current = now()
        }
        return "ok"
    }

    private static let eventNames: [(bit: UInt32, name: String)] = [
        (1, "access"), (2, "modify"), (4, "attrib"), (8, "close-write"), (16, "close-nowrite"), (32, "open"), (64, "moved-from"),
        (128, "moved-to"), (256, "create"), (512, "delete"), (1024, "delete-self"), (2048, "move-self"), (0x8000, "ignored"),
        (0x4000, "overflow"),
    ]

    /// struct inotify_event: watch i32, mask u32, cookie u32, length u32, name.
    private func events(_ file: CInt) throws(Errno) -> String {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = Glibc.read(file, &bytes, bytes.count)
        if count < 0, errno == EAGAIN { return "-" }
        try checked(count)
        var shown: [String] = []
        var at = 0
        while at < count {
            let (mask, length) = bytes.withUnsafeBytes {
                ($0.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self), Int($0.loadUnaligned(fromByteOffset: at + 12, as: UInt32.self)))
            }
            let name = String(decoding: bytes[at + 16..<at + 16 + length].prefix { $0 != 0 }, as: UTF8.self)
            let kinds = Self.eventNames.filter { mask & $0.bit != 0 }.map(\.name).joined(separator: "+")
            // A file that never had a name shows under one of the kernel's.
            shown.append(name.isEmpty || name == "/" || name.hasPrefix("#") ? kinds : "\(kinds):\(name)")
            at += 16 + length
        }
        return shown.joined(separator: " ")
    }
}
