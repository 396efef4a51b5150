public import Sealing
public import Syscalls

/// A new OpenPGP key for a user who has none, in the form that `gpg --import` takes.
public struct OpenPGPKeyPair: Sendable {
    /// Armored: `-----BEGIN PGP PUBLIC KEY BLOCK-----`.
    public let publicArmored: String
    /// Armored: `-----BEGIN PGP PRIVATE KEY BLOCK-----`.
    public let secretArmored: SecretBytes
    public let publicKey: UserPublicKey

    /// Ed25519, for signing, without an end of validity. With a passphrase the secret part is protected by it.
    public static func generate(userID: String, passphrase: SecretBytes? = nil) throws(Failure) -> OpenPGPKeyPair {
        let (open, secret) = try OpenPGPKeyring().generate(userID: userID, passphrase: passphrase)
        let key = try UserPublicKey(parsing: Array(open.utf8), named: "the new OpenPGP key")
        return OpenPGPKeyPair(publicArmored: open, secretArmored: secret, publicKey: key)
    }
}
