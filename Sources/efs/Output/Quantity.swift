/// Numbers with their units, for people.
enum Quantity {
    /// `1 table`, `2 tables`.
    static func of(_ count: Int, _ noun: String) -> String { count == 1 ? "1 \(noun)" : "\(count) \(noun)s" }

    /// In the largest binary unit of which there are at least ten.
    static func ofBytes(_ bytes: UInt64) -> String {
        var value = bytes
        for unit in ["bytes", "KiB", "MiB", "GiB"] {
            if value < 10240 { return "\(value) \(unit)" }
            value >>= 10
        }
        return "\(value) TiB"
    }
}
