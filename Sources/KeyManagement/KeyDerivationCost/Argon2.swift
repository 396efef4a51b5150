import CSodium
import Sealing
import Syscalls

/// Argon2id, version 1.3, one lane (RFC 9106), as libsodium has it.
enum Argon2 {
    static let saltSizeBytes = 16
    static let outputSizeBytes = 32

    /// 32 bytes in guarded memory. The cost is checked before anything is allocated. Fails with `.notPermitted` when the machine
    /// (`machineKibibytes`) or the system has not that much memory to give: where memory is overcommitted, taking it would only get this
    /// process or another one killed.
    static func derive(
        from password: SecretBytes, salt: [UInt8], cost: KeyDerivationCost, machineKibibytes: Int = KeyDerivationCost.machineKibibytes()
    ) throws(Failure) -> SecretBytes {
        precondition(salt.count == saltSizeBytes && cost.isWithinBounds, "checked by the header's parser")
        guard Int(cost.memoryKibibytes) <= machineKibibytes / 4 * 3 else {
            throw Failure(
                .notPermitted,
                "to derive the key from the password \(cost.memoryKibibytes >> 10) MiB of memory are needed, this machine has "
                    + "\(machineKibibytes >> 10) MiB",
                hint: "if the volume is yours, open it, or change its password, on a machine with more memory")
        }
        return try SecretBytes(count: outputSizeBytes) { (output) throws(Failure) in
            let result = password.withUnsafeBytes { password in
                crypto_pwhash_argon2id(
                    output.assumingMemoryBound(to: UInt8.self).baseAddress!, UInt64(output.count),
                    password.assumingMemoryBound(to: CChar.self).baseAddress!, UInt64(password.count), salt, UInt64(cost.passes),
                    Int(cost.memoryKibibytes) << 10, crypto_pwhash_argon2id_ALG_ARGON2ID13)
            }
            guard result == 0 else {
                throw Failure(
                    .notPermitted, "not enough memory to derive the key from the password: \(cost.memoryKibibytes >> 10) MiB are needed",
                    hint: "close other programs, or raise the memory limit of this one")
            }
        }
    }
}
