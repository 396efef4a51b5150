import FileSystem
import KeyManagement
import Logging
package import Sealing
package import Syscalls

/// What `efsctl` does with file systems. Each call returns the lines that are shown.
extension ServerCore {
    /// The instance, for the administrator.
    func requireInstanceForAdministration() throws(Failure) -> Instance {
        guard case .ready(let instance) = currentState else {
            throw Failure(.busy, "the server is sealed", hint: "unseal it with: efsctl unseal")
        }
        return instance
    }

    package func createFileSystem(_ name: String, suite: CipherSuite = .aes256Gcm, quotaBytes: UInt64? = nil) async throws(Failure)
        -> [String]
    {
        try ServerLayout.checkName(name, of: "file system")
        let instance = try requireInstanceForAdministration()
        let result: Result<[String], Failure> = await administration.withLock {
            do throws(Failure) {
                return .success(
                    try await self.threads.administer { () throws(Failure) in try self.makeFileSystem(name, suite, quotaBytes, instance) })
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// The record comes last: without it a directory is no file system, and is not opened.
    private func makeFileSystem(
        _ name: String, _ suite: CipherSuite, _ quotaBytes: UInt64?, _ instance: Instance
    ) throws(Failure) -> [String] {
        let place = layout.fileSystem(name)
        guard !ServerFiles.exists(place.directory) else {
            throw Failure(.alreadyExists, "there is a file system of that name already, or something else", object: place.directory)
        }
        var lines = ["Creating '\(place.directory)'"]
        try ServerFiles.makeDirectory(place.directory)
        lines.append("Creating files directory '\(place.files)'")
        // Random, so guessing it is no question of cost.
        let password = SecretBytes.random(count: 32).withUnsafeBytes { bytes in
            Array(Hexadecimal.encode(Array(bytes)).utf8).withBytes { SecretBytes(copying: $0) }
        }
        var volumeOptions = VolumeOptions()
        volumeOptions.stateDirectory = options.stateDirectory
        try Volume.create(at: place.files, suite: suite, password: password, cost: .minimum, options: volumeOptions)
        lines.append("Creating system config directory '\(place.system)'")
        try ServerFiles.makeDirectory(place.system)
        try ServerFiles.makeDirectory(place.users)
        lines.append("Creating AES key '\(place.volumeKey)'")
        let sealedPlace = { (file: String) in Self.place(instance.serverID, "fs/\(name)/\(file)") }
        try instance.keyring.writeSecret(password, place.volumeKey, place: sealedPlace("aes.key"))
        lines.append("Creating filename salt '\(place.filenameSalt)'")
        try instance.keyring.writeSecret(.random(count: 32), place.filenameSalt, place: sealedPlace("filename-salt"))
        let record = FileSystemRecord(name: name, quotaBytes: quotaBytes, created: clock.now())
        try instance.keyring.writeRecord(record, place.record, place: sealedPlace("fs.json"))
        let fileSystem = try openFileSystem(place, instance.keyring, instance.serverID)
        // It is there, whether it can be mounted or not.
        do throws(Failure) { try openMount(of: fileSystem) } catch { logger.error("\(error)") }
        instance.add(fileSystem)
        logger.notice("made a file system", metadata: ["fileSystem": "\(name)"])
        return lines
    }
}
