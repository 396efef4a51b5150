import Sealing
import Syscalls
import Testing

@testable import KeyManagement

@Suite struct VolumeHeaderTests {
    @Test(arguments: CipherSuite.allCases) func aHeaderGivesItsKeysBack(_ suite: CipherSuite) throws {
        let volume = try SampleVolume(suite: suite)
        let parsed = try VolumeHeader.parse(volume.header.encoded)
        #expect(parsed.encoded == volume.header.encoded)
        #expect(parsed.digest == volume.header.digest)
        #expect(parsed.suite == suite && parsed.revision == 1 && parsed.volumeID == volume.header.volumeID)
        #expect(parsed.stages == volume.header.stages && parsed.epochs == volume.header.epochs && parsed.slots == volume.header.slots)
        #expect(!parsed.mustBeReadOnly)
        let keys = try parsed.unlock(password: secret(SampleVolume.password))
        #expect(keys.suite == suite && keys.volumeID == volume.header.volumeID)
        #expect(volumeKey(keys) == volumeKey(volume.keys))
    }

    @Test func volumesDoNotShareKeysOrSalts() throws {
        let first = try VolumeHeader.create(suite: .aes256Gcm, password: secret("a"), cost: .minimumForTests)
        let second = try VolumeHeader.create(suite: .aes256Gcm, password: secret("a"), cost: .minimumForTests)
        #expect(volumeKey(first.keys) != volumeKey(second.keys))
        #expect(first.header.volumeID != second.header.volumeID)
        #expect(first.header.slots[0] != second.header.slots[0])
    }

    @Test func aWrongPasswordIsCalledSo() throws {
        let volume = try SampleVolume()
        let password = SampleVolume.password
        for wrong in ["", "x", password + " ", password + "\0", String(password.dropLast()), password.uppercased()] {
            #expect(volume.outcome(of: volume.header.encoded, password: wrong) == .wrongPassword)
        }
    }

    @Test func emptyPasswordsAndCostsOutOfBoundsAreRefused() throws {
        let kind = failureKind { () throws(Failure) in
            _ = try VolumeHeader.create(suite: .aes256Gcm, password: secret(""), cost: .minimumForTests)
        }
        #expect(kind == .usage)
        for cost in [
            KeyDerivationCost(passes: 0, memoryKibibytes: 8 << 10), KeyDerivationCost(passes: 1, memoryKibibytes: (8 << 10) - 1),
            KeyDerivationCost(passes: 17, memoryKibibytes: 8 << 10), KeyDerivationCost(passes: 1, memoryKibibytes: (4 << 20) + 1),
        ] {
            let kind = failureKind { () throws(Failure) in
                _ = try VolumeHeader.create(suite: .aes256Gcm, password: secret("a"), cost: cost)
            }
            #expect(kind == .usage)
        }
    }

    @Test func aNewPasswordOpensTheSameKeysAndTheOldOneNothing() throws {
        let volume = try SampleVolume()
        let cost = KeyDerivationCost(passes: 2, memoryKibibytes: 9 << 10)
        let changed = try volume.header.changingPassword(from: secret(SampleVolume.password), to: secret("new"), cost: cost)
        #expect(changed.revision == 2)
        #expect(changed.slots.map(\.cost) == [cost])
        #expect(changed.slots.map(\.id) == volume.header.slots.map(\.id))
        #expect(changed.digest != volume.header.digest)
        #expect(volume.outcome(of: changed.encoded, password: "new") == nil)
        #expect(volume.outcome(of: changed.encoded) == .wrongPassword)
        let wrong = failureKind { () throws(Failure) in
            _ = try changed.changingPassword(from: secret(SampleVolume.password), to: secret("b"), cost: .minimumForTests)
        }
        #expect(wrong == .wrongPassword)
        let empty = failureKind { () throws(Failure) in
            _ = try changed.changingPassword(from: secret("new"), to: secret(""), cost: .minimumForTests)
        }
        #expect(empty == .usage)
    }

    @Test func whatThisVersionDoesNotKnowIsKept() throws {
        let volume = try SampleVolume()
        var header = volume.header
        header.features.compatible = 1 << 63
        header.slots.append(KeySlot(id: 7, source: 200, content: .opaque([1, 2, 3])))
        header.extras = [VolumeHeader.Extra(type: 9, value: []), VolumeHeader.Extra(type: 9, value: [4, 5])]
        if case .password(var slot) = header.slots[0].content {
            slot.extras = [VolumeHeader.Extra(type: 1, value: [6])]
            slot.label = "laptop ✓"
            header.slots[0].content = .password(slot)
        }
        header.seal(volume.keys)
        #expect(volume.outcome(of: header.encoded) == nil)
        let changed = try VolumeHeader.parse(header.encoded).changingPassword(
            from: secret(SampleVolume.password), to: secret("new"), cost: .minimumForTests)
        let parsed = try VolumeHeader.parse(changed.encoded)
        #expect(parsed.features == header.features && parsed.extras == header.extras)
        #expect(parsed.slots[1] == header.slots[1] && parsed.slots[0].label == "laptop ✓")
        guard case .password(let slot) = parsed.slots[0].content else { return #expect(Bool(false)) }
        #expect(slot.extras == [VolumeHeader.Extra(type: 1, value: [6])])
        #expect(volume.outcome(of: changed.encoded, password: "new") == nil)
    }

    @Test func anySlotOpensTheVolume() throws {
        let volume = try SampleVolume()
        var header = volume.header
        let slots = UInt32(VolumeHeader.mostSlots)
        for id in 2...slots {
            let binding = SlotBinding(volumeID: header.volumeID, stages: header.stages, slotID: id)
            let slot = try PasswordSlot.wrap(
                volume.keys, password: secret("password \(id)"), cost: .minimumForTests, label: String(repeating: "x", count: 255),
                binding: binding, random: .system)
            header.slots.append(KeySlot(id: id, source: KeySlot.passwordSource, content: .password(slot)))
        }
        header.seal(volume.keys)
        #expect(header.encoded.count <= VolumeHeader.largestSizeBytes)
        for id in [2, 17, slots] { #expect(volume.outcome(of: header.encoded, password: "password \(id)") == nil) }
        // One change of password leaves the others alone.
        let changed = try header.changingPassword(from: secret("password 17"), to: secret("new"), cost: .minimumForTests)
        #expect(volume.outcome(of: changed.encoded, password: "new") == nil)
        #expect(volume.outcome(of: changed.encoded, password: "password 18") == nil)
        #expect(volume.outcome(of: changed.encoded, password: "password 17") == .wrongPassword)
    }

    @Test func unknownFeaturesDecideHowAVolumeMayBeOpened() throws {
        let volume = try SampleVolume()
        var header = volume.header
        header.features.readOnlyCompatible = 2
        header.seal(volume.keys)
        let readOnly = try VolumeHeader.parse(header.encoded)
        #expect(readOnly.mustBeReadOnly)
        #expect(volume.outcome(of: header.encoded) == nil)
        let change = failureKind { () throws(Failure) in
            _ = try readOnly.changingPassword(from: secret(SampleVolume.password), to: secret("b"), cost: .minimumForTests)
        }
        #expect(change == .newerFormat)
        for bit in 0..<64 {
            header.features.incompatible = 1 << UInt64(bit)
            header.seal(volume.keys)
            #expect(volume.outcome(of: header.encoded) == .newerFormat)
        }
    }

    @Test func moreStagesOrEpochsAreForANewerVersion() throws {
        let volume = try SampleVolume()
        var header = volume.header
        header.stages.append(VolumeHeader.Stage(suite: .chaCha20Poly1305, keyPlace: 0))
        header.seal(volume.keys)
        #expect(volume.outcome(of: header.encoded) == .newerFormat)
        header = volume.header
        header.epochs = [
            VolumeHeader.KeyEpoch(number: 1, stageMask: 1, isCurrent: false),
            VolumeHeader.KeyEpoch(number: 2, stageMask: 1, isCurrent: true),
        ]
        header.seal(volume.keys)
        #expect(volume.outcome(of: header.encoded) == .newerFormat)
    }
}
