import Sealing
import Syscalls
import Testing

@testable import KeyManagement

/// Whatever is done to a header, it opens with the true keys or not at all, and the failure is of a sensible kind.
@Suite struct HeaderDamageTests {
    @Test func everyFlippedBitIsDamage() throws {
        let volume = try SampleVolume()
        let encoded = volume.header.encoded
        for bit in 0..<encoded.count * 8 {
            var bytes = encoded
            bytes[bit / 8] ^= 1 << (bit % 8)
            let expected: [FailureKind] =
                switch bit / 8 {
                case 0..<8: [.notAVolume]
                case 8..<12: [.newerFormat, .damaged]
                default: [.damaged]
                }
            let kind = failureKind { () throws(Failure) in _ = try VolumeHeader.parse(bytes) }
            #expect(kind.map { expected.contains($0) } == true, "bit \(bit): \(String(describing: kind))")
        }
    }

    /// An adversary repairs the checksum, so what counts is the MAC and what a slot is bound to.
    @Test func everyChangedByteWithARepairedChecksumIsSeen() throws {
        let volume = try SampleVolume()
        let encoded = volume.header.encoded
        let sensible: Set<FailureKind> = [.damaged, .wrongPassword, .newerFormat, .notAVolume]
        for index in 0..<encoded.count - VolumeHeader.checksumSizeBytes where !(12..<16).contains(index) {
            // Each round that gets as far as a slot costs a derivation of the key.
            for mask in index < 72 ? [0x01, 0x80, 0xff] : [0x01] as [UInt8] {
                var bytes = encoded
                bytes[index] ^= mask
                let kind = volume.outcome(of: repaired(bytes))
                #expect(kind.map { sensible.contains($0) } == true, "byte \(index) ^ \(mask): \(String(describing: kind))")
            }
        }
    }

    @Test func everyTruncationIsSeen() throws {
        let volume = try SampleVolume()
        for length in 0..<volume.header.encoded.count {
            let bytes = Array(volume.header.encoded[..<length])
            let kind = volume.outcome(of: bytes)
            #expect(kind == (length < 8 ? .notAVolume : .damaged), "length \(length)")
            let repairedKind = volume.outcome(of: repaired(bytes))
            #expect(repairedKind == (length < 8 ? .notAVolume : .damaged), "length \(length), repaired")
        }
    }

    @Test func trailingBytesAndTooLargeFilesAreSeen() throws {
        let volume = try SampleVolume()
        #expect(volume.outcome(of: volume.header.encoded + [0]) == .damaged)
        #expect(volume.outcome(of: repaired(volume.header.encoded + [0])) == .damaged)
        let padding = [UInt8](repeating: 0, count: VolumeHeader.largestSizeBytes)
        #expect(volume.outcome(of: repaired(volume.header.encoded + padding)) == .damaged)
    }

    /// What changes a field, sealed by someone who does not have the volume's key.
    @Test func aForgedHeaderGivesNoKeys() throws {
        let volume = try SampleVolume()
        let forger = try SampleVolume(seed: 2)
        func outcome(_ change: (inout VolumeHeader) -> Void) -> FailureKind? {
            var header = volume.header
            change(&header)
            header.seal(forger.keys)
            return volume.outcome(of: header.encoded)
        }
        func changeSlot(_ change: (inout PasswordSlot) -> Void) -> FailureKind? {
            outcome { header in
                guard case .password(var slot) = header.slots[0].content else { return }
                change(&slot)
                header.slots[0].content = .password(slot)
            }
        }
        #expect(outcome { _ in } == .damaged)
        #expect(outcome { $0.revision = 9 } == .damaged)
        #expect(outcome { $0.features.compatible = 1 } == .damaged)
        #expect(outcome { $0.epochs[0].number = 2 } == .damaged)
        #expect(outcome { $0.extras = [VolumeHeader.Extra(type: 1, value: [1])] } == .damaged)
        #expect(outcome { $0.slots.append(KeySlot(id: 2, source: 9, content: .opaque([]))) } == .damaged)
        // What a slot is bound to.
        #expect(outcome { $0.stages[0].suite = .chaCha20Poly1305 } == .damaged)
        #expect(outcome { $0.volumeID = forger.header.volumeID } == .wrongPassword)
        #expect(outcome { $0.slots[0].id = 2 } == .wrongPassword)
        #expect(changeSlot { $0.cost.passes = 2 } == .wrongPassword)
        #expect(changeSlot { $0.cost.memoryKibibytes += 1024 } == .wrongPassword)
        #expect(changeSlot { $0.salt[0] ^= 1 } == .wrongPassword)
        #expect(changeSlot { $0.wrappedKey[0] ^= 1 } == .damaged)
        // The same password's slot of another volume: its wrapping key differs, for the volume id does.
        #expect(outcome { $0.slots = forger.header.slots } == .wrongPassword)
    }

    @Test func slotsExchangeNothing() throws {
        let volume = try SampleVolume()
        let other = try volume.header.changingPassword(
            from: secret(SampleVolume.password), to: secret("other"), cost: .minimumForTests)
        guard case .password(let mine) = volume.header.slots[0].content, case .password(let theirs) = other.slots[0].content else {
            return #expect(Bool(false))
        }
        var mixed = mine
        mixed.wrappedKey = theirs.wrappedKey
        var header = volume.header
        header.slots[0].content = .password(mixed)
        header.seal(volume.keys)
        #expect(volume.outcome(of: header.encoded) == .damaged)
        mixed = mine
        mixed.salt = theirs.salt
        mixed.commitment = theirs.commitment
        header.slots[0].content = .password(mixed)
        header.seal(volume.keys)
        #expect(volume.outcome(of: header.encoded) == .wrongPassword)
        #expect(volume.outcome(of: header.encoded, password: "other") == .damaged)
    }

    /// A weakened or monstrous cost is refused before it costs anything, also if the MAC were right.
    @Test func costsOutOfBoundsAreNotTried() throws {
        let volume = try SampleVolume()
        guard case .password(let slot) = volume.header.slots[0].content else { return #expect(Bool(false)) }
        for (passes, memory) in [
            (0, 8192), (17, 8192), (UInt32.max, 8192), (1, 0), (1, 8191), (1, (4 << 20) + 1), (1, UInt32.max),
        ] as [(UInt32, UInt32)] {
            var changed = slot
            changed.cost = KeyDerivationCost(passes: passes, memoryKibibytes: memory)
            var header = volume.header
            header.slots[0].content = .password(changed)
            header.seal(volume.keys)
            #expect(volume.outcome(of: header.encoded) == .damaged)
        }
    }

    /// Each slot may be dear, not all of them: a wrong password is tried on every one before anything is authentic.
    @Test func slotsThatCostTooMuchTogetherAreNotTried() throws {
        let volume = try SampleVolume()
        guard case .password(let slot) = volume.header.slots[0].content else { return #expect(Bool(false)) }
        func header(_ costs: [(UInt32, UInt32)]) -> VolumeHeader {
            var header = volume.header
            header.slots = costs.enumerated().map { index, cost in
                var changed = slot
                changed.cost = KeyDerivationCost(passes: cost.0, memoryKibibytes: cost.1)
                return KeySlot(id: UInt32(index + 1), source: KeySlot.passwordSource, content: .password(changed))
            }
            header.seal(volume.keys)
            return header
        }
        let (most, memory) = (KeyDerivationCost.maximum.passes, KeyDerivationCost.maximum.memoryKibibytes)
        for costs in [[(most, memory), (1, 8192)], [(UInt32, UInt32)](repeating: (most, memory), count: 32)] {
            #expect(failureKind { () throws(Failure) in _ = try VolumeHeader.parse(header(costs).encoded) } == .damaged)
        }
        for costs in [[(most, memory)], [(UInt32, UInt32)](repeating: (1, 2 << 20), count: 32)] {
            #expect(failureKind { () throws(Failure) in _ = try VolumeHeader.parse(header(costs).encoded) } == nil)
        }
        // Nor is such a header made. The first slot is the one that the password opens, so nothing dear is derived.
        let full = header([(1, 8192), (most, memory - 512)])
        #expect(failureKind { () throws(Failure) in _ = try VolumeHeader.parse(full.encoded) } == nil)
        let kind = failureKind { () throws(Failure) in
            _ = try full.changingPassword(
                from: secret(SampleVolume.password), to: secret("new"), cost: KeyDerivationCost(passes: 2, memoryKibibytes: 8192))
        }
        #expect(kind == .usage)
    }

    @Test func absurdCountsAreRefused() throws {
        let volume = try SampleVolume()
        let counts = 64  // stages, epochs, slots, reserved
        for index in 0..<4 {
            for value in [0, 2, 3, 4, 16, 17, 32, 33, 255] as [UInt8] {
                var bytes = volume.header.encoded
                guard bytes[counts + index] != value else { continue }
                bytes[counts + index] = value
                let kind = volume.outcome(of: repaired(bytes))
                #expect(kind == .damaged || kind == .newerFormat, "count \(index) = \(value)")
            }
        }
        var header = volume.header
        header.slots.append(header.slots[0])  // the same id twice
        header.seal(volume.keys)
        #expect(volume.outcome(of: header.encoded) == .damaged)
        header = volume.header
        header.slots[0].content = .password(
            {
                guard case .password(var slot) = header.slots[0].content else { fatalError() }
                slot.label = "\u{1b}[2J"
                return slot
            }())
        header.seal(volume.keys)
        #expect(volume.outcome(of: header.encoded) == .damaged)
    }

    @Test func newerFormatsAreCalledSo() throws {
        let volume = try SampleVolume()
        for (version, expected) in [(0, .damaged), (2, .newerFormat), (UInt32.max, .newerFormat)] as [(UInt32, FailureKind)] {
            var bytes = volume.header.encoded
            bytes.replaceSubrange(8..<12, with: VolumeHeader.littleEndian(version))
            #expect(volume.outcome(of: bytes) == expected)
            #expect(volume.outcome(of: repaired(bytes)) == expected)
        }
    }

    @Test func randomBytesNeverTrap() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = RandomSource.seeded(seed)
        let volume = try SampleVolume()
        for _ in 0..<20000 {
            var bytes: [UInt8]
            if Bool.random(using: &random) {
                bytes = volume.header.encoded
                for _ in 0..<Int.random(in: 1...8, using: &random) {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                if Bool.random(using: &random) {
                    bytes.insert(contentsOf: random.bytes(count: 5), at: Int.random(in: 0..<bytes.count, using: &random))
                }
            } else {
                bytes =
                    VolumeHeader.magic + VolumeHeader.littleEndian(UInt32(1)) + random.bytes(count: Int.random(in: 0..<600, using: &random))
            }
            // The first 12 bytes are right in most rounds, so that it gets further.
            if Int.random(in: 0..<8, using: &random) > 0, bytes.count >= 12 {
                bytes.replaceSubrange(..<12, with: volume.header.encoded[..<12])
            }
            bytes = repaired(bytes)
            do throws(Failure) {
                let header = try VolumeHeader.parse(bytes)
                // Well-formed by chance or since only public parts changed; what it says is what was written.
                #expect(header.encoded == bytes, "seed \(seed)")
            } catch {
                #expect([.damaged, .notAVolume, .newerFormat].contains(error.kind), "seed \(seed)")
            }
        }
    }
}
