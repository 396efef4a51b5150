public import KeyManagement
public import Sealing
public import Syscalls

/// What the header of a volume tells to anyone, without a password.
public struct VolumeInformation: Sendable {
    public var path: String
    public var header: VolumeHeader

    public var suite: CipherSuite { header.suite }
}

extension Volume {
    /// Reads the header of the volume at `path`. Fails with `.notAVolume`, `.damaged`, `.newerFormat`, `.missing`.
    public static func information(at path: String) throws(Failure) -> VolumeInformation {
        let storage = try openStorage(path, readOnly: true)
        return VolumeInformation(path: path, header: try readHeader(storage))
    }
}
