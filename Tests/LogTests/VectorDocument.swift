import Glibc
import Sealing

/// The test vectors of a document: what stands between "```vectors" and "```", lines of `name = value`, continued ones indented.
struct VectorDocument {
    let text: String
    private var values: [String: String] = [:]

    /// - Parameter path: from the root of the repository.
    init(_ path: String) {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let lines = Self.read("/\(root)/\(path)").split(separator: "\n", omittingEmptySubsequences: false)
        let block = (lines.firstIndex(of: "```vectors")).map { lines[($0 + 1)...].prefix { $0 != "```" } } ?? []
        text = block.joined(separator: "\n")
        var name = ""
        for line in block {
            if line.hasPrefix(" ") {
                values[name]? += line.drop { $0 == " " }
            } else if let equals = line.firstRange(of: " = ") {
                name = String(line[..<equals.lowerBound])
                values[name] = String(line[equals.upperBound...])
            }
        }
    }

    /// The bytes that hexadecimal digits stand for; nil if there is no such value.
    func bytes(_ name: String) -> [UInt8]? { values[name].flatMap { Hexadecimal.decode($0) } }
    func number(_ name: String) -> UInt64? { values[name].flatMap { UInt64($0) } }

    private static func read(_ path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { text += buffer[..<count] }
        return String(decoding: text, as: UTF8.self)
    }
}
