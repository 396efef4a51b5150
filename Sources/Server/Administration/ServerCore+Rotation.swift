import Logging
package import Sealing
package import Syscalls

/// A file that the starter key protects, and the place that it is bound to.
struct ProtectedFile: Sendable {
    var path: String
    var place: String
    /// Sealed, and not a record with a MAC.
    var isSecret: Bool

    /// The same under the next starter key, while it does not count yet.
    var next: String { path + Self.suffix }
    static let suffix = ".next"
}

/// Changing keys.
///
/// The starter key: everything that it protects is written anew beside the old under the new key and synced; then one file is put in place,
/// `server/rotation`, and from that moment on the new key counts; then each new file takes the old one's name. Whoever finds `rotation` at the
/// next start goes on with that, which needs no key; whoever finds new files without it deletes them. So a server that is killed at any
/// point opens with one of the two keys, and with all that it protects.
extension ServerCore {
    /// A new key for session tokens, at once. Tokens that the one before has signed are good until they end.
    package func rotateTokenKey() async throws(Failure) -> [String] {
        let instance = try requireInstanceForAdministration()
        let (layout, now) = (layout, clock.now())
        let result: Result<[String], Failure> = await administration.withLock {
            do {
                let secret = TokenKeys.make()
                let keys = try await TokenKeys(secret, after: instance.tokenKeys, now: now)
                try await self.threads.administer { () throws(Failure) in
                    try instance.keyring.writeSecret(secret, layout.tokenKeys, place: Self.place(instance.serverID, "jwt.key"))
                }
                instance.setTokenKeys(keys)
                return .success([
                    "Creating JWT key '\(layout.tokenKeys)'",
                    "Tokens that the key before has signed are good until they end, \(SessionTable.lifetimeSeconds / 60) minutes at most",
                ])
            } catch { return .failure(error as? Failure ?? Failure(.inputOutput, "a token key cannot be made: \(error)")) }
        }
        let lines = try result.get()
        logger.notice("made a new token key")
        return lines
    }

    package func rotateStarterKey(to new: SecretBytes) async throws(Failure) -> [String] {
        try await rotateStarterKey(to: new) { _ in }
    }

    /// - Parameter didStep: told, in a word, of each change on the disk once it is made.
    func rotateStarterKey(to new: SecretBytes, didStep: @escaping @Sendable (String) -> Void) async throws(Failure) -> [String] {
        let instance = try requireInstanceForAdministration()
        let result: Result<[String], Failure> = await administration.withLock {
            do throws(Failure) {
                return .success(
                    try await self.threads.administer { () throws(Failure) in
                        try self.rotate(to: Keyring(starterKey: new), instance, didStep)
                    })
            } catch { return .failure(error) }
        }
        do { return try result.get() } catch {
            if ServerFiles.exists(layout.rotation) {
                // The new key counts, and not everything is under it: no record may be written now.
                await seal(reason: "the starter key was changed, and that could not be finished")
                throw Failure(
                    error.kind, "the new starter key counts, and the change could not be finished: \(error)", object: error.object,
                    hint: "see to the storage; then unseal with the new key, which finishes it")
            }
            throw error
        }
    }

    private func rotate(to new: Keyring, _ instance: Instance, _ didStep: (String) -> Void) throws(Failure) -> [String] {
        guard case .ready(let current) = currentState, current === instance else { throw Failure(.busy, "the server is sealed") }
        let old = instance.keyring
        guard new.identifier != old.identifier else { throw Failure(.usage, "that is the starter key already") }
        let files = try protectedFiles(instance.serverID)
        do throws(Failure) {
            for file in files {
                try ServerFiles.write(file.next, try nextContent(of: file, old, new))
                didStep("writing \(file.next)")
            }
            for directory in Set(files.map { ServerFiles.parent(of: $0.path) }) { try ServerFiles.syncDirectory(directory) }
        } catch {
            try? removeUnfinished(files)
            throw error
        }
        try ServerFiles.replace(layout.rotation, with: Array("\(new.identifier)\n".utf8))
        didStep("deciding")
        for file in files {
            try ServerFiles.rename(file.next, to: file.path)
            didStep("renaming \(file.next)")
        }
        try finishRenaming(files)
        didStep("finishing")
        instance.setKeyring(new)
        logger.notice("changed the starter key", metadata: ["from": "\(old.identifier)", "to": "\(new.identifier)"])
        return [
            "Sealing \(files.count) keys and records under the starter key \(new.identifier)",
            "The starter key \(old.identifier) opens nothing any more: give the server the new one at its next start",
        ]
    }

    /// The server's own record names the starter key.
    private func nextContent(of file: ProtectedFile, _ old: Keyring, _ new: Keyring) throws(Failure) -> [UInt8] {
        if file.path == layout.serverRecord, var record = try old.readRecord(ServerRecord.self, file.path, place: file.place) {
            record.starterKey = new.identifier
            record.starterKeySince = clock.now()
            return try new.encode(record, file.path, place: file.place)
        }
        return try old.resealed(file.path, place: file.place, isSecret: file.isSecret, under: new)
    }

    private func finishRenaming(_ files: [ProtectedFile]) throws(Failure) {
        for directory in Set(files.map { ServerFiles.parent(of: $0.path) }) { try ServerFiles.syncDirectory(directory) }
        try ServerFiles.remove(layout.rotation)
        try ServerFiles.syncDirectory(layout.server)
    }

    private func removeUnfinished(_ files: [ProtectedFile]) throws(Failure) {
        for file in files { try ServerFiles.remove(file.next) }
    }

    /// Everything that the starter key protects, of file systems that cannot be opened too.
    func protectedFiles(_ serverID: [UInt8]) throws(Failure) -> [ProtectedFile] {
        let place = { (name: String) in Self.place(serverID, name) }
        var files = [
            ProtectedFile(path: layout.serverRecord, place: "server.json", isSecret: false),
            ProtectedFile(path: layout.instanceKey, place: "instance.key", isSecret: true),
            ProtectedFile(path: layout.tokenKeys, place: place("jwt.key"), isSecret: true),
            ProtectedFile(path: layout.authorityKey, place: place("ca.key"), isSecret: true),
        ]
        if ServerFiles.exists(layout.auditMark) {
            files.append(ProtectedFile(path: layout.auditMark, place: place("audit.json"), isSecret: false))
        }
        for name in try ServerFiles.names(in: layout.root) where ServerFiles.exists(layout.fileSystem(name).record) {
            let system = layout.fileSystem(name)
            files.append(ProtectedFile(path: system.volumeKey, place: place("fs/\(name)/aes.key"), isSecret: true))
            files.append(ProtectedFile(path: system.filenameSalt, place: place("fs/\(name)/filename-salt"), isSecret: true))
            files.append(ProtectedFile(path: system.record, place: place("fs/\(name)/fs.json"), isSecret: false))
            if ServerFiles.exists(system.usage) {
                files.append(ProtectedFile(path: system.usage, place: place("fs/\(name)/usage.json"), isSecret: false))
            }
            for user in try ServerFiles.names(in: system.users) where ServerFiles.exists(system.userRecord(user)) {
                files.append(
                    ProtectedFile(path: system.userRecord(user), place: Self.userPlace(serverID, name, user), isSecret: false))
            }
        }
        return files
    }

    // MARK: After a crash

    /// Ends what a killed process has left of a change of the starter key, before anything is opened.
    func settleRotation() throws(Failure) {
        let isDecided = ServerFiles.exists(layout.rotation)
        var directories = [layout.server]
        for name in try ServerFiles.names(in: layout.root) where !ServerLayout.reservedNames.contains(name) {
            let system = layout.fileSystem(name)
            guard ServerFiles.exists(system.system) else { continue }
            directories.append(system.system)
            directories += try ServerFiles.names(in: system.users).map { system.user($0) }
        }
        var touched: [String] = []
        for directory in directories where ServerFiles.isDirectory(directory) {
            let left = try ServerFiles.names(in: directory).filter { $0.hasSuffix(ProtectedFile.suffix) }
            for name in left {
                let path = "\(directory)/\(name)"
                if isDecided {
                    try ServerFiles.rename(path, to: String(path.dropLast(ProtectedFile.suffix.count)))
                } else {
                    try ServerFiles.remove(path)
                }
            }
            if !left.isEmpty { touched.append(directory) }
        }
        for directory in touched { try ServerFiles.syncDirectory(directory) }
        if isDecided {
            try ServerFiles.remove(layout.rotation)
            try ServerFiles.syncDirectory(layout.server)
            logger.notice("finished a change of the starter key: the new one counts")
        } else if !touched.isEmpty {
            logger.notice("gave up a change of the starter key that was not finished: the old one counts")
        }
    }

    /// Says which starter key the server wants, when it was given another one. What names it is not authenticated yet: a hint, no more.
    func explain(_ failure: Failure, _ keyring: Keyring) -> Failure {
        guard failure.kind == .wrongPassword, let bytes = try? ServerFiles.read(layout.serverRecord),
            let line = bytes.split(separator: UInt8(ascii: "\n")).first, let record = ServerRecord(json: Array(line)),
            let wanted = record.starterKey, Hexadecimal.decode(wanted)?.count == 8
        else { return failure }
        var failure = failure
        failure.hint = "the server's keys are under the starter key \(wanted); this is \(keyring.identifier)"
        return failure
    }
}
