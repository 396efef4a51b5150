import Glibc
import Syscalls
import SystemPackage

/// Settings of a mount's backing device in /sys, which INIT cannot reach: it caps readahead at 128 KiB.
public enum ReadAhead {
    /// Sets the largest readahead and lets dirty pages of this mount use the whole machine's allowance. Needs root;
    /// false if that did not work, which costs speed only.
    @discardableResult
    public static func raise(mountPoint: String, toKiB kib: Int = 1024) -> Bool {
        guard let device = deviceNumber(ofMount: mountPoint) else { return false }
        let folder = "/sys/class/bdi/\(device)"
        write("0", to: "\(folder)/strict_limit")
        write("100", to: "\(folder)/max_ratio")
        return write("\(kib)", to: "\(folder)/read_ahead_kb")
    }

    /// "major:minor" of the topmost mount there, without asking its server; nil if there is none.
    public static func deviceNumber(ofMount mountPoint: String) -> String? {
        guard let text = readFile("/proc/self/mountinfo") else { return nil }
        var found: String?
        for line in text.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5, omittingEmptySubsequences: false)
            guard fields.count >= 5, unescaped(fields[4]) == Array(mountPoint.utf8) else { continue }
            found = String(decoding: fields[2], as: UTF8.self)
        }
        return found
    }

    /// Undoes the kernel's `\040` for blanks, tabs, newlines and backslashes.
    package static func unescaped(_ field: some Collection<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = Array(field)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3, digits.allSatisfy({ (0x30...0x37).contains($0) }) {
                result.append(UInt8(truncatingIfNeeded: digits.reduce(0) { $0 * 8 + Int($1 - 0x30) }))
                rest = rest.dropFirst(3)
            } else {
                result.append(byte)
            }
        }
        return result
    }

    private static func readFile(_ path: String) -> [UInt8]? {
        guard let file = try? OwnedDescriptor.open(path, O_RDONLY) else { return nil }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = buffer.withUnsafeMutableBytes { Glibc.read(file.rawValue, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return text }
            text += buffer[..<count]
        }
    }

    @discardableResult
    private static func write(_ text: String, to path: String) -> Bool {
        guard let file = try? OwnedDescriptor.open(path, O_WRONLY) else { return false }
        let bytes = Array(text.utf8)
        return bytes.withBytes { Glibc.write(file.rawValue, $0.baseAddress, $0.count) } == bytes.count
    }
}
