/// Paths as archives write them, and what is taken of them.
enum TreePath {
    private static let slash = UInt8(ascii: "/")

    /// The names of the path, without "." and empty ones; nil if it leads out of the tree, or holds what no name may.
    static func components(_ path: some Collection<UInt8>) -> [[UInt8]]? {
        if path.first == slash || path.contains(0) || path.count > 1 << 16 { return nil }
        var names: [[UInt8]] = []
        for name in path.split(separator: slash) {
            if name.elementsEqual(".".utf8) { continue }
            if name.elementsEqual("..".utf8) || name.count > 255 { return nil }
            names.append(Array(name))
        }
        return names
    }

    static func joined(_ names: some Sequence<[UInt8]>) -> [UInt8] { Array(names.joined(separator: [slash])) }

    static func appending(_ name: [UInt8], to path: [UInt8]) -> [UInt8] { path.isEmpty ? name : path + [slash] + name }
}
