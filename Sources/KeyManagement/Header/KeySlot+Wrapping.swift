import Sealing
import Syscalls

/// What a wrapped key is bound to besides the password, so that a slot's parts cannot be exchanged or weakened.
struct SlotBinding {
    var volumeID: [UInt8]
    var stages: [VolumeHeader.Stage]
    var slotID: UInt32
}

extension PasswordSlot {
    /// password -> Argon2id -> commitment and wrapping key -> wrapped volume key.
    static func wrap(
        _ keys: KeyHierarchy, password: SecretBytes, cost: KeyDerivationCost, label: String, binding: SlotBinding, random: RandomSource
    ) throws(Failure) -> PasswordSlot {
        var slot = PasswordSlot(
            cost: cost, salt: random.bytes(count: Argon2.saltSizeBytes), commitment: .zero,
            wrappedKey: [UInt8](repeating: 0, count: wrappedKeySizeBytes), label: label)
        let secrets = try slot.derive(from: password, binding)
        slot.commitment = secrets.commitment
        keys.withVolumeKey { volumeKey in
            slot.associated(binding).withBytes { associated in
                slot.wrappedKey.withMutableBytes { wrapped in
                    secrets.cipher.withContext {
                        $0.seal(volumeKey, nonce: Self.nonce, authenticating: associated, into: wrapped)
                    }
                }
            }
        }
        return slot
    }

    /// The volume key; nil if the password is not this slot's. Fails with `.damaged` if it is, but the slot was changed.
    func unwrap(password: SecretBytes, binding: SlotBinding) throws(Failure) -> SecretBytes? {
        let secrets = try derive(from: password, binding)
        let fits = secrets.commitment.withUnsafeBytes { mine in commitment.withUnsafeBytes { constantTimeEquals(mine, $0) } }
        guard fits else { return nil }
        return try SecretBytes(count: wrappedKey.count - CipherSuite.tagSizeBytes) { (volumeKey) throws(Failure) in
            let ok = associated(binding).withBytes { associated in
                wrappedKey.withBytes { wrapped in
                    secrets.cipher.withContext { $0.open(wrapped, nonce: Self.nonce, authenticating: associated, into: volumeKey) }
                }
            }
            guard ok else { throw VolumeHeader.changed }
        }
    }

    /// The salt is new at each wrapping, so a wrapping key seals one message only.
    private static let nonce = SealingNonce(frame: 0, block: 0)

    private func derive(from password: SecretBytes, _ binding: SlotBinding) throws(Failure) -> (commitment: Digest32, cipher: BlobCipher) {
        let secret = try Argon2.derive(from: password, salt: salt, cost: cost)
        let place = binding.volumeID + VolumeHeader.littleEndian(binding.slotID)
        let commitment = KeyDerivation.derive(from: secret, salt: [], info: Array("efs format 1 slot commitment".utf8) + place)
        let wrapping = KeyDerivation.derive(from: secret, salt: [], info: Array("efs format 1 slot wrapping".utf8) + place)
        guard let digest = commitment.withUnsafeBytes({ Digest32($0) }) else { fatalError("derived keys have 32 bytes") }
        // Always ChaCha20-Poly1305: whatever the data's suite, this is one short message, and it is constant-time everywhere.
        return (digest, BlobCipher(suite: .chaCha20Poly1305, key: wrapping))
    }

    private func associated(_ binding: SlotBinding) -> [UInt8] {
        var bytes = Array("efs format 1 slot".utf8) + binding.volumeID
        bytes.append(UInt8(binding.stages.count))
        for stage in binding.stages { bytes += [stage.suite.rawValue, stage.keyPlace] }
        bytes += VolumeHeader.littleEndian(binding.slotID)
        bytes += [KeySlot.passwordSource, Self.keyDerivation]
        bytes += VolumeHeader.littleEndian(cost.passes) + VolumeHeader.littleEndian(cost.memoryKibibytes) + salt
        return bytes
    }
}
