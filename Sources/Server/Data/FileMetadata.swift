import FileSystem
import Glibc

/// What an answer tells of a file or directory (docs/HTTP_API.md, *Metadata*).
struct FileMetadata: Encodable, Sendable {
    var name: String
    var nameBytes: String?
    var type: String
    var size: UInt64
    var etag: String
    var modified: Int64
    var modifiedNanoseconds: UInt32
    var mode: UInt32
    var links: UInt32
    var target: String?
    let inode: InodeID

    private enum CodingKeys: String, CodingKey {
        case name, nameBytes, type, size, etag, modified, modifiedNanoseconds, mode, links, target
    }

    init(_ attributes: Attributes, name: [UInt8]) {
        self.name = String(decoding: name, as: UTF8.self)
        nameBytes = Array(self.name.utf8) == name ? nil : Base64URL.encode(name)
        type =
            switch attributes.type {
            case .regular: "file"
            case .directory: "directory"
            case .symbolicLink: "symlink"
            default: "other"
            }
        size = attributes.sizeBytes
        etag = attributes.entityTag
        modified = attributes.modificationTime.seconds
        modifiedNanoseconds = attributes.modificationTime.nanoseconds
        mode = attributes.permissions
        links = attributes.linkCount
        inode = attributes.inode
    }
}

extension Attributes {
    /// Strong: no two states of a file have the same.
    var entityTag: String { "\"\(String(inode.rawValue, radix: 16))-\(String(changeCounter, radix: 16))\"" }
}

/// Dates of HTTP (RFC 9110 §5.6.7), to whole seconds.
enum HTTPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    static func format(_ time: Timestamp) -> String {
        var seconds = time_t(time.seconds)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        var buffer = [CChar](repeating: 0, count: 64)
        // The process is in the C locale, so the names are those of the protocol.
        let count = strftime(&buffer, buffer.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Seconds since 1970; nil for what is no date, which is then ignored.
    static func parse(_ text: String) -> Int64? {
        // The one form that is still made: `Sun, 06 Nov 1994 08:49:37 GMT`.
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 6, words[5] == "GMT", let day = Int32(words[1]), let month = months.firstIndex(of: String(words[2])),
            let year = Int32(words[3]), (1...31).contains(day), (1...9999).contains(year)
        else { return nil }
        let clock = words[4].split(separator: ":", omittingEmptySubsequences: false).map { Int32($0) ?? -1 }
        guard clock.count == 3, (0...23).contains(clock[0]), (0...59).contains(clock[1]), (0...60).contains(clock[2]) else { return nil }
        var parts = tm()
        parts.tm_mday = day
        parts.tm_mon = Int32(month)
        parts.tm_year = year - 1900
        parts.tm_hour = clock[0]
        parts.tm_min = clock[1]
        parts.tm_sec = clock[2]
        return Int64(timegm(&parts))
    }
}
