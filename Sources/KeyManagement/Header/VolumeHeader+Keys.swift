public import Sealing
public import Syscalls

extension VolumeHeader {
    /// A new volume's header, with one slot for `password`, and its keys. Derives a key once (`cost`).
    ///
    /// Fails with `.usage` for an empty password, `.notPermitted` when there is not memory enough for `cost`.
    public static func create(
        suite: CipherSuite, password: SecretBytes, cost: KeyDerivationCost, random: RandomSource = .system
    ) throws(Failure) -> (header: VolumeHeader, keys: KeyHierarchy) {
        try check(newPassword: password, cost)
        let volumeID = random.bytes(count: 16)
        let keys = KeyHierarchy(suite: suite, volumeID: volumeID, volumeKey: random.secret(count: KeyDerivation.keySizeBytes))
        var header = VolumeHeader(
            volumeID: volumeID, revision: 1, stages: [Stage(suite: suite, keyPlace: 0)],
            epochs: [KeyEpoch(number: 1, stageMask: 1, isCurrent: true)], slots: [])
        let slot = try PasswordSlot.wrap(
            keys, password: password, cost: cost, label: "", binding: header.binding(ofSlot: 1), random: random)
        header.slots = [KeySlot(id: 1, source: KeySlot.passwordSource, content: .password(slot))]
        header.seal(keys)
        return (header, keys)
    }

    /// The volume's keys. Derives a key once for each password slot that does not fit (up to its cost in time and memory).
    ///
    /// Fails with `.wrongPassword` if no slot opens, `.damaged` if one does but something else of the header was changed.
    public func unlock(password: SecretBytes) throws(Failure) -> KeyHierarchy { try findSlot(password).keys }

    /// The header of the next revision, in which the slot that `from` opens is opened by `to` instead. The volume key stays, and
    /// with it all data and the other slots. Storing it is the caller's, atomically.
    public func changingPassword(
        from: SecretBytes, to: SecretBytes, cost: KeyDerivationCost, random: RandomSource = .system
    ) throws(Failure) -> VolumeHeader {
        try Self.check(newPassword: to, cost)
        guard !mustBeReadOnly else {
            throw Failure(.newerFormat, "the volume uses a feature that this version can only read", hint: "use a newer efs")
        }
        guard revision < UInt64.max else { throw Self.changed }
        let (index, old, keys) = try findSlot(from)
        var header = self
        var slot = try PasswordSlot.wrap(
            keys, password: to, cost: cost, label: old.label, binding: binding(ofSlot: slots[index].id), random: random)
        slot.extras = old.extras
        header.slots[index].content = .password(slot)
        guard header.costIsBearable else {
            throw Failure(
                .usage, "with \(cost.passes) passes over \(cost.memoryKibibytes >> 10) MiB the slots cost more together than is allowed")
        }
        header.revision += 1
        header.seal(keys)
        return header
    }

    static let changed = Failure(
        .damaged, "the volume's header was changed by someone who does not hold the key, or is damaged",
        hint: "restore \(fileName) from a backup")

    private static func check(newPassword: SecretBytes, _ cost: KeyDerivationCost) throws(Failure) {
        try Password.checkNew(newPassword)
        guard cost.isWithinBounds else {
            throw Failure(.usage, "\(cost.passes) passes over \(cost.memoryKibibytes) KiB are outside of what is allowed")
        }
    }

    private func binding(ofSlot id: UInt32) -> SlotBinding { SlotBinding(volumeID: volumeID, stages: stages, slotID: id) }

    private func findSlot(_ password: SecretBytes) throws(Failure) -> (index: Int, slot: PasswordSlot, keys: KeyHierarchy) {
        for (index, slot) in slots.enumerated() {
            guard case .password(let content) = slot.content else { continue }
            guard let volumeKey = try content.unwrap(password: password, binding: binding(ofSlot: slot.id)) else { continue }
            let keys = KeyHierarchy(suite: suite, volumeID: volumeID, volumeKey: volumeKey)
            // The MAC covers what no slot binds: feature words, revision, epochs, the other slots.
            guard isAuthentic(keys) else { throw Self.changed }
            return (index, content, keys)
        }
        throw Failure(
            .wrongPassword, "the password is wrong",
            hint: "check the keyboard layout and Caps Lock; without the password nobody can open it")
    }
}
