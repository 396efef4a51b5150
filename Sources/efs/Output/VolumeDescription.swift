import FileSystem
import KeyManagement
import Sealing

/// The header of a volume, for people and for programs.
struct VolumeDescription {
    private let information: VolumeInformation
    private var header: VolumeHeader { information.header }

    init(_ information: VolumeInformation) { self.information = information }

    var text: String {
        var rows = [
            ("path", information.path), ("volume", header.volumeName), ("format", String(VolumeHeader.formatVersion)),
            ("cipher", information.suite.name), ("header", "revision \(header.revision)"),
        ]
        for slot in header.slots { rows.append(("key slot \(slot.id)", Self.text(of: slot))) }
        return rows.map { ($0.0 + ":").padded(to: 13) + Console.oneLine($0.1) }.joined(separator: "\n")
    }

    private static func text(of slot: KeySlot) -> String {
        guard let cost = slot.cost else { return "of a kind that this version does not know" }
        let label = slot.label.isEmpty ? "" : " '\(slot.label)'"
        return "password\(label), Argon2id, \(cost.passes) passes over \(cost.memoryKibibytes / 1024) MiB"
    }

    var json: JSON {
        .object([
            ("path", .string(information.path)), ("volumeID", .string(header.volumeName)),
            ("format", .integer(Int64(VolumeHeader.formatVersion))), ("cipher", .string(information.suite.name)),
            ("headerRevision", .unsigned(header.revision)),
            (
                "features",
                .object([
                    ("compatible", .unsigned(header.features.compatible)),
                    ("readOnlyCompatible", .unsigned(header.features.readOnlyCompatible)),
                    ("incompatible", .unsigned(header.features.incompatible)),
                ])
            ),
            ("keySlots", .array(header.slots.map(Self.json))),
        ])
    }

    private static func json(of slot: KeySlot) -> JSON {
        var members: [(String, JSON)] = [("id", .integer(Int64(slot.id)))]
        if let cost = slot.cost {
            members += [
                ("source", .string("password")), ("label", .string(slot.label)), ("keyDerivation", .string("Argon2id")),
                ("passes", .integer(Int64(cost.passes))), ("memoryKibibytes", .integer(Int64(cost.memoryKibibytes))),
            ]
        } else {
            members.append(("source", .string("unknown")))
        }
        return .object(members)
    }
}
