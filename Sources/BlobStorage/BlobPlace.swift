/// Where a blob lies in a data directory: a folder of four hexadecimal digits, in it a file of 28.
struct BlobPlace {
    var folder: String
    var file: String

    init(_ id: BlobID) {
        let digits = id.description
        folder = String(digits.prefix(4))
        file = String(digits.dropFirst(4))
    }

    var path: String { "\(folder)/\(file)" }

    /// Whether folders of that name are ours.
    static func isFolder(_ name: String) -> Bool { name.utf8.count == 4 && name.utf8.allSatisfy(isDigit) }

    /// The blob that lies there; nil for a name that no blob has.
    static func blob(folder: String, file: String) -> BlobID? {
        let digits = folder + file
        guard digits.utf8.count == 32, isFolder(folder), digits.utf8.allSatisfy(isDigit), let high = UInt64(digits.prefix(16), radix: 16),
            let low = UInt64(digits.suffix(16), radix: 16)
        else { return nil }
        return BlobID(high: high, low: low)
    }

    /// A lower-case hexadecimal digit. (`UInt64.init(_:radix:)` takes a sign and upper case, too.)
    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}
