/// One thing that was looked at.
struct Finding {
    enum State: String {
        /// In use, or ready to be.
        case on
        /// Works without it, and would be better with it.
        case off
        /// Nothing can be mounted without it.
        case missing
    }

    var name: String
    var state: State
    /// What was found.
    var detail: String
    /// What to do about it.
    var hint: String?

    var text: String {
        let padded = name + String(repeating: " ", count: max(1, 14 - name.count))
        let mark = state.rawValue + String(repeating: " ", count: 8 - state.rawValue.count)
        var text = "\(padded)\(mark)\(Console.oneLine(detail))"
        if let hint { text += "\n" + String(repeating: " ", count: 22) + "-> \(hint)" }
        return text
    }

    var json: JSON {
        .object([
            ("name", .string(name)), ("state", .string(state.rawValue)), ("detail", .string(detail)),
            ("hint", hint.map { JSON.string($0) } ?? .null),
        ])
    }
}
