import Records
public import Sealing
import Syscalls

extension VolumeHeader {
    /// Also guards against transfers that change line ends or cut the eighth bit, as in PNG.
    static let magic: [UInt8] = [0x89, 0x45, 0x46, 0x53, 0x0d, 0x0a, 0x1a, 0x0a]
    static let authenticationSizeBytes = Digest32.sizeBytes
    static let checksumSizeBytes = Digest32.sizeBytes
    /// Where the total length stands: known only at the end.
    private static let lengthOffset = 12

    static func littleEndian(_ number: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }

    /// Encodes the fields, with the MAC under the volume's key and the checksum.
    mutating func seal(_ keys: KeyHierarchy) {
        var writer = ByteWriter(capacityBytes: 1024)
        appendFields(to: &writer)
        let total = writer.count + Self.authenticationSizeBytes + Self.checksumSizeBytes
        precondition(total <= Self.largestSizeBytes, "32 slots with labels fit, and what was read was bounded")
        writer.overwrite(UInt32(total), at: Self.lengthOffset)
        let code = KeyDerivation.authenticationCode(of: writer.readable, key: keys.key(for: .header))
        code.withUnsafeBytes { writer.append($0) }
        DigestHasher.digest(of: writer.readable).withUnsafeBytes { writer.append($0) }
        encoded = Array(writer.readable)
    }

    /// Whether whoever wrote the header holds these keys: the MAC fits.
    public func isAuthentic(_ keys: KeyHierarchy) -> Bool {
        let end = encoded.count - Self.authenticationSizeBytes - Self.checksumSizeBytes
        guard end > 0 else { return false }
        return encoded.withBytes { bytes in
            let code = KeyDerivation.authenticationCode(
                of: UnsafeRawBufferPointer(rebasing: bytes[..<end]), key: keys.key(for: .header))
            let stored = UnsafeRawBufferPointer(rebasing: bytes[end..<end + Self.authenticationSizeBytes])
            return code.withUnsafeBytes { constantTimeEquals($0, stored) }
        }
    }

    private func appendFields(to writer: inout ByteWriter) {
        writer.append(Self.magic)
        writer.append(Self.formatVersion)
        writer.append(UInt32(0))  // the length, later
        for word in [features.compatible, features.readOnlyCompatible, features.incompatible] { writer.append(word) }
        writer.append(volumeID)
        writer.append(revision)
        for count in [stages.count, epochs.count, slots.count, 0] { writer.append(UInt8(count)) }
        for stage in stages {
            for byte in [stage.suite.rawValue, stage.keyPlace, 0, 0] { writer.append(byte) }
        }
        for epoch in epochs {
            writer.append(epoch.number)
            for byte in [epoch.stageMask, epoch.isCurrent ? 1 : 0, 0, 0] { writer.append(byte) }
        }
        for slot in slots { slot.append(to: &writer) }
        Self.append(extras, to: &writer)
    }

    /// A count of bytes, then each entry's type, length and value.
    static func append(_ extras: [Extra], to writer: inout ByteWriter) {
        writer.append(UInt16(extras.reduce(0) { $0 + 4 + $1.value.count }))
        for extra in extras {
            writer.append(extra.type)
            writer.append(UInt16(extra.value.count))
            writer.append(extra.value)
        }
    }
}

extension KeySlot {
    func append(to writer: inout ByteWriter) {
        var body = ByteWriter()
        switch content {
        case .password(let slot): slot.append(to: &body)
        case .opaque(let bytes): body.append(bytes)
        }
        writer.append(id)
        writer.append(source)
        writer.append(UInt8(0))
        writer.append(UInt16(body.count))
        writer.append(body.readable)
    }
}

extension PasswordSlot {
    fileprivate func append(to writer: inout ByteWriter) {
        writer.append(Self.keyDerivation)
        for _ in 0..<3 { writer.append(UInt8(0)) }
        writer.append(cost.passes)
        writer.append(cost.memoryKibibytes)
        writer.append(salt)
        commitment.withUnsafeBytes { writer.append($0) }
        writer.append(wrappedKey)
        writer.append(UInt8(label.utf8.count))
        writer.append(Array(label.utf8))
        VolumeHeader.append(extras, to: &writer)
    }
}
