import FoundationEssentials
import Glibc
import Sealing

/// Puts together one line of the audit log: a JSON object of texts and numbers.
struct AuditLine: ~Copyable {
    private static let digits = Array("0123456789abcdef".utf8)
    private var bytes: [UInt8]

    /// Goes on behind `bytes`, whose memory it uses.
    init(bytes: consuming [UInt8]) {
        self.bytes = bytes
        self.bytes.reserveCapacity(512)
        self.bytes.append(UInt8(ascii: "{"))
    }

    mutating func append(_ name: StaticString, _ value: String) {
        begin(name)
        appendText(value)
    }

    mutating func append(_ name: StaticString, _ value: Int64) {
        begin(name)
        bytes.append(contentsOf: String(value).utf8)
    }

    /// The first digits of the digest.
    mutating func append(_ name: StaticString, hexadecimal digest: Digest32, digits count: Int) {
        begin(name)
        bytes.append(UInt8(ascii: "\""))
        digest.withUnsafeBytes { digest in
            for byte in digest.prefix(count / 2) {
                bytes.append(Self.digits[Int(byte >> 4)])
                bytes.append(Self.digits[Int(byte & 15)])
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    consuming func finish() -> [UInt8] {
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    private mutating func begin(_ name: StaticString) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func appendText(_ text: String) {
        let isPlain = text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
        if isPlain {
            bytes.append(UInt8(ascii: "\""))
            bytes.append(contentsOf: text.utf8)
            bytes.append(UInt8(ascii: "\""))
        } else {
            // Names and addresses are plain; whatever else comes is the encoder's.
            bytes.append(contentsOf: (try? JSONEncoder().encode(text)) ?? Data("\"\"".utf8))
        }
    }
}

/// UTC to the millisecond, RFC 3339; what is the same for a second is made once.
struct AuditClock {
    private var second: time_t = -1
    private var text = ""

    mutating func now() -> String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        if time.tv_sec != second {
            var parts = tm()
            gmtime_r(&time.tv_sec, &parts)
            var buffer = [CChar](repeating: 0, count: 32)
            let count = strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%S", &parts)
            text = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            second = time.tv_sec
        }
        let milliseconds = String(time.tv_nsec / 1_000_000)
        return text + "." + String(repeating: "0", count: 3 - milliseconds.count) + milliseconds + "Z"
    }
}
