/// A JSON value (RFC 8259) to print. Members keep their order.
indirect enum JSON {
    case string(String)
    case integer(Int64)
    case unsigned(UInt64)
    case number(Double)
    case bool(Bool)
    case null
    case array([JSON])
    case object([(String, JSON)])

    /// Indented by two spaces.
    var text: String {
        var out = ""
        write(into: &out, indentation: "")
        return out
    }

    /// On one line, for streams of values. Strings hold no line ends of their own: those are escaped.
    var line: String { text.split(separator: "\n").map { $0.drop { $0 == " " } }.joined(separator: " ") }

    private func write(into out: inout String, indentation: String) {
        switch self {
        case .string(let text): Self.quote(text, into: &out)
        case .integer(let value): out += String(value)
        case .unsigned(let value): out += String(value)
        case .number(let value): out += value.isFinite ? String(value) : "null"
        case .bool(let value): out += value ? "true" : "false"
        case .null: out += "null"
        case .array(let values):
            Self.writeList(values, "[", "]", indentation, &out) { value, inner, out in value.write(into: &out, indentation: inner) }
        case .object(let members):
            Self.writeList(members, "{", "}", indentation, &out) { member, inner, out in
                Self.quote(member.0, into: &out)
                out += ": "
                member.1.write(into: &out, indentation: inner)
            }
        }
    }

    private static func writeList<T>(
        _ items: [T], _ opening: String, _ closing: String, _ indentation: String, _ out: inout String,
        _ write: (T, String, inout String) -> Void
    ) {
        out += opening
        let inner = indentation + "  "
        for (index, item) in items.enumerated() {
            out += (index == 0 ? "\n" : ",\n") + inner
            write(item, inner, &out)
        }
        out += items.isEmpty ? closing : "\n" + indentation + closing
    }

    private static func quote(_ text: String, into out: inout String) {
        out += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case _ where !Console.isShown(scalar):
                // What a terminal would obey, too: programs read the same either way.
                for unit in Character(scalar).utf16 {
                    let digits = String(unit, radix: 16)
                    out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            default: out.unicodeScalars.append(scalar)
            }
        }
        out += "\""
    }
}
