import Records
import Sealing
public import Syscalls

extension VolumeHeader {
    /// Reads a header, in an order that tells the kinds of trouble apart: is it one, of a known format, whole, of known features,
    /// well-formed. Every count and length is bounded before it is used. Nothing of it is authentic until `unlock`.
    ///
    /// Fails with `.notAVolume`, `.newerFormat` or `.damaged`.
    public static func parse(_ bytes: [UInt8]) throws(Failure) -> VolumeHeader {
        try bytes.withBytes { (bytes) throws(Failure) in
            let fields = try checkedFields(of: bytes)
            var reader = ByteReader(fields)
            _ = reader.readBytes(16)  // magic, version, length: checked
            guard var header = readFixedPart(&reader) else { throw damaged("a field of it is outside of its bounds") }
            guard header.features.incompatible & ~known.incompatible == 0 else {
                throw Failure(.newerFormat, "the volume uses a feature that this version does not know", hint: "use a newer efs")
            }
            guard header.readLists(&reader), reader.isAtEnd else { throw damaged("a field of it is outside of its bounds") }
            // More of either is well-formed, but this version would open the data with the wrong keys.
            guard header.stages.count == 1, header.epochs.count == 1 else {
                throw Failure(.newerFormat, "the volume has several stages or key epochs, this version knows one", hint: "use a newer efs")
            }
            header.encoded = Array(bytes)
            return header
        }
    }

    private static func damaged(_ what: String) -> Failure {
        Failure(.damaged, "the volume's header is damaged: \(what)", hint: "restore \(fileName) from a backup")
    }

    /// What lies before MAC and checksum, once magic, version, length and checksum fit.
    private static func checkedFields(of bytes: UnsafeRawBufferPointer) throws(Failure) -> UnsafeRawBufferPointer {
        var reader = ByteReader(bytes)
        guard let start = reader.readBytes(magic.count), start.elementsEqual(magic) else {
            throw Failure(.notAVolume, "this is no volume's header")
        }
        guard let version = reader.readUInt32(), let length = reader.readUInt32() else { throw damaged("it is cut off") }
        guard version <= formatVersion else {
            throw Failure(.newerFormat, "the volume has format \(version), this version knows \(formatVersion)", hint: "use a newer efs")
        }
        guard version == formatVersion else { throw damaged("there is no format \(version)") }
        guard bytes.count <= largestSizeBytes, bytes.count == Int(length) else {
            throw damaged("it has \(bytes.count) bytes and not \(length)")
        }
        let checksumStart = bytes.count - checksumSizeBytes
        let fieldsEnd = checksumStart - authenticationSizeBytes
        guard fieldsEnd > 0 else { throw damaged("it is cut off") }
        let digest = DigestHasher.digest(of: UnsafeRawBufferPointer(rebasing: bytes[..<checksumStart]))
        guard digest.withUnsafeBytes({ $0.elementsEqual(bytes[checksumStart...]) }) else { throw damaged("its checksum does not fit") }
        return UnsafeRawBufferPointer(rebasing: bytes[..<fieldsEnd])
    }

    /// Feature words, volume id and revision, which stand in every header of any features.
    private static func readFixedPart(_ reader: inout ByteReader) -> VolumeHeader? {
        guard let compatible = reader.readUInt64(), let readOnly = reader.readUInt64(), let incompatible = reader.readUInt64(),
            let volumeID = reader.readBytes(16), let revision = reader.readUInt64(), revision > 0
        else { return nil }
        let features = Features(compatible: compatible, readOnlyCompatible: readOnly, incompatible: incompatible)
        return VolumeHeader(features: features, volumeID: Array(volumeID), revision: revision, stages: [], epochs: [], slots: [])
    }

    private mutating func readLists(_ reader: inout ByteReader) -> Bool {
        guard let stageCount = reader.readUInt8(), let epochCount = reader.readUInt8(), let slotCount = reader.readUInt8(),
            reader.readUInt8() == 0,
            (1...Self.mostStages).contains(Int(stageCount)), (1...Self.mostEpochs).contains(Int(epochCount)),
            (1...Self.mostSlots).contains(Int(slotCount))
        else { return false }
        for _ in 0..<stageCount {
            guard let stage = Self.readStage(&reader) else { return false }
            stages.append(stage)
        }
        for _ in 0..<epochCount {
            guard let epoch = readEpoch(&reader) else { return false }
            epochs.append(epoch)
        }
        for _ in 0..<slotCount {
            guard let slot = KeySlot.read(&reader), slots.allSatisfy({ $0.id != slot.id }) else { return false }
            slots.append(slot)
        }
        guard costIsBearable, let extras = Self.readExtras(&reader) else { return false }
        self.extras = extras
        return epochs.count { $0.isCurrent } == 1
    }

    private static func readStage(_ reader: inout ByteReader) -> Stage? {
        // Stages with keys from elsewhere come with an incompatible feature.
        guard let suite = reader.readUInt8().flatMap(CipherSuite.init(rawValue:)), reader.readUInt8() == 0, reader.readUInt16() == 0
        else { return nil }
        return Stage(suite: suite, keyPlace: 0)
    }

    private func readEpoch(_ reader: inout ByteReader) -> KeyEpoch? {
        guard let number = reader.readUInt32(), let mask = reader.readUInt8(), let state = reader.readUInt8(), reader.readUInt16() == 0,
            number > epochs.last?.number ?? 0, mask > 0, Int(mask) < 1 << stages.count, state <= 1
        else { return nil }
        return KeyEpoch(number: number, stageMask: mask, isCurrent: state == 1)
    }

    static func readExtras(_ reader: inout ByteReader) -> [Extra]? {
        guard let size = reader.readUInt16(), let bytes = reader.readBytes(Int(size)) else { return nil }
        var inner = ByteReader(bytes)
        var extras: [Extra] = []
        while !inner.isAtEnd {
            guard let type = inner.readUInt16(), let length = inner.readUInt16(), let value = inner.readBytes(Int(length)) else {
                return nil
            }
            extras.append(Extra(type: type, value: Array(value)))
        }
        return extras
    }
}

extension KeySlot {
    static func read(_ reader: inout ByteReader) -> KeySlot? {
        guard let id = reader.readUInt32(), id > 0, let source = reader.readUInt8(), source > 0, reader.readUInt8() == 0,
            let size = reader.readUInt16(), let body = reader.readBytes(Int(size))
        else { return nil }
        guard source == passwordSource else { return KeySlot(id: id, source: source, content: .opaque(Array(body))) }
        var inner = ByteReader(body)
        guard let slot = PasswordSlot.read(&inner), inner.isAtEnd else { return nil }
        return KeySlot(id: id, source: source, content: .password(slot))
    }
}

extension PasswordSlot {
    fileprivate static func read(_ reader: inout ByteReader) -> PasswordSlot? {
        guard reader.readUInt8() == keyDerivation, reader.readUInt8() == 0, reader.readUInt16() == 0,
            let passes = reader.readUInt32(), let memory = reader.readUInt32(), let salt = reader.readBytes(Argon2.saltSizeBytes),
            let commitment = reader.readBytes(Digest32.sizeBytes).flatMap({ Digest32($0) }),
            let wrappedKey = reader.readBytes(wrappedKeySizeBytes),
            let labelSize = reader.readUInt8(), let labelBytes = reader.readBytes(Int(labelSize)),
            let label = String(validating: labelBytes, as: UTF8.self), isPrintable(label), let extras = VolumeHeader.readExtras(&reader)
        else { return nil }
        let cost = KeyDerivationCost(passes: passes, memoryKibibytes: memory)
        guard cost.isWithinBounds else { return nil }
        return PasswordSlot(
            cost: cost, salt: Array(salt), commitment: commitment, wrappedKey: Array(wrappedKey), label: label, extras: extras)
    }

    /// A label is shown before anything of the header is authentic: it may not hold what a terminal obeys.
    private static func isPrintable(_ label: String) -> Bool {
        label.unicodeScalars.allSatisfy {
            ![.control, .format, .lineSeparator, .paragraphSeparator].contains($0.properties.generalCategory)
        }
    }
}
