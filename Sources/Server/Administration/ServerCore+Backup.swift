import FileSystem
import Glibc
import KeyManagement
import Logging
import Synchronization
package import Syscalls
import SystemPackage

/// Copies of everything that is needed to serve it elsewhere, while it is served.
extension ServerCore {
    /// Into a new directory, which gets its name when the copy is whole. It can be served as it is, with the same starter key, and nothing of
    /// it can be read without: the TLS key and private keys of users stay behind. Told again, it begins anew.
    package func backUp(to directory: String, fileSystem only: String?) async throws(Failure) -> [String] {
        let instance = try requireInstanceForAdministration()
        guard let lease = try? requireLease(), lease.instance === instance else { throw Failure(.busy, "the server is being sealed") }
        defer { withExtendedLifetime(lease) {} }
        let fileSystems = try chosen(only, instance)
        guard !isBackingUp.exchange(true, ordering: .acquiring) else { throw Failure(.busy, "another backup is being made") }
        defer { isBackingUp.store(false, ordering: .releasing) }
        let partial = directory + ".partial"
        try checkPlace(directory, partial)
        do throws(Failure) {
            var lines = try await threads.administer { () throws(Failure) in
                try self.copyVolumes(fileSystems, to: ServerLayout(root: partial), instance)
            }
            lines += try await copyKeys(fileSystems, from: instance, to: ServerLayout(root: partial))
            try ServerFiles.rename(partial, to: directory)
            try ServerFiles.syncDirectory(ServerFiles.parent(of: directory))
            logger.notice("made a backup", metadata: ["directory": "\(directory)"])
            return lines + ["Backup complete: '\(directory)'"]
        } catch {
            logger.warning("a backup failed: \(error)", metadata: ["left": "\(partial)"])
            var failure = error
            failure.hint = failure.hint ?? "what was copied is left in '\(partial)'; remove it before the next try"
            throw failure
        }
    }

    private func chosen(_ only: String?, _ instance: Instance) throws(Failure) -> [ServedFileSystem] {
        if let only {
            guard let fileSystem = instance.fileSystem(only) else {
                throw Failure(.missing, "there is no such file system, or it is not open", object: only, hint: "efsctl list-fs shows them")
            }
            return [fileSystem]
        }
        if let (name, reason) = instance.failures.withLock({ $0 }).min(by: { $0.key < $1.key }) {
            throw Failure(
                .damaged, "is not open, so it cannot be copied: \(reason)", object: name, hint: "copy the others by themselves with --fs")
        }
        return instance.allFileSystems
    }

    private func checkPlace(_ directory: String, _ partial: String) throws(Failure) {
        guard directory.hasPrefix("/"), !directory.hasSuffix("/") else {
            throw Failure(.usage, "is no absolute path of a directory", object: directory)
        }
        guard !(directory + "/").hasPrefix(options.root + "/") else {
            throw Failure(.usage, "is within the server's own directory", object: directory)
        }
        guard !ServerFiles.exists(directory) else { throw Failure(.alreadyExists, "is there already", object: directory) }
        guard !ServerFiles.exists(partial) else {
            throw Failure(.alreadyExists, "is there already, from a backup that was not finished", object: partial, hint: "remove it")
        }
    }

    private func copyVolumes(
        _ fileSystems: [ServedFileSystem], to target: ServerLayout, _ instance: Instance
    ) throws(Failure) -> [String] {
        try ServerFiles.makeDirectory(target.root)
        var lines: [String] = []
        for fileSystem in fileSystems {
            let (source, place) = (layout.fileSystem(fileSystem.name), target.fileSystem(fileSystem.name))
            try ServerFiles.makeDirectory(place.directory)
            try ServerFiles.makeDirectory(place.files)
            let copy = try fileSystem.volume.copy(to: place.files) { isSealing.load(ordering: .relaxed) }
            // What cannot be opened is no backup.
            let password = try instance.keyring.readSecret(
                source.volumeKey, place: Self.place(instance.serverID, "fs/\(fileSystem.name)/aes.key"))
            var volumeOptions = VolumeOptions()
            volumeOptions.stateDirectory = options.stateDirectory
            volumeOptions.isReadOnly = true
            // This machine has seen what came after it.
            volumeOptions.acceptsRollback = true
            let opened = try Volume.open(at: place.files, password: password, options: volumeOptions)
            defer { try? opened.close() }
            guard opened.openedState == copy.state else {
                throw Failure(.damaged, "the copy is not in the state that was copied", object: place.files)
            }
            lines.append("Copying file system '\(fileSystem.name)': \(copy.blobs) files, \(copy.bytes) bytes")
        }
        return lines
    }

    /// In one step towards changes of keys and users.
    private func copyKeys(
        _ fileSystems: [ServedFileSystem], from instance: Instance, to target: ServerLayout
    ) async throws(Failure) -> [String] {
        let source = layout
        let result: Result<[String], Failure> = await administration.withLock {
            do throws(Failure) {
                return .success(
                    try await self.threads.administer { () throws(Failure) in
                        try ServerFiles.makeDirectory(target.server)
                        var count = 0
                        for name in ["server.json", "instance.key", "jwt.key", "ca.key", "ca.crt"] {
                            count += try Self.copy("\(source.server)/\(name)", to: "\(target.server)/\(name)")
                        }
                        try ServerFiles.syncDirectory(target.server)
                        for fileSystem in fileSystems {
                            count += try Self.copyKeys(source.fileSystem(fileSystem.name), to: target.fileSystem(fileSystem.name))
                        }
                        try ServerFiles.syncDirectory(target.root)
                        return ["Copying \(count) sealed keys, records and certificates"]
                    })
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    private static func copyKeys(_ source: FileSystemLayout, to target: FileSystemLayout) throws(Failure) -> Int {
        try ServerFiles.makeDirectory(target.system)
        try ServerFiles.makeDirectory(target.users)
        var count = 0
        for user in try ServerFiles.names(in: source.users) where ServerFiles.isDirectory(source.user(user)) {
            try ServerFiles.makeDirectory(target.user(user))
            // Not client.pem and priv.pgp: they hold private keys in plain.
            for name in ["record.json", "pub.pgp", "pub.key", "client.crt"] {
                count += try copy("\(source.user(user))/\(name)", to: "\(target.user(user))/\(name)")
            }
            try ServerFiles.syncDirectory(target.user(user))
        }
        try ServerFiles.syncDirectory(target.users)
        // The record last: it makes it a file system.
        for (from, to) in [
            (source.volumeKey, target.volumeKey), (source.filenameSalt, target.filenameSalt), (source.record, target.record),
        ] { count += try copy(from, to: to) }
        try ServerFiles.syncDirectory(target.system)
        try ServerFiles.syncDirectory(target.directory)
        return count
    }

    private static func copy(_ path: String, to new: String) throws(Failure) -> Int {
        guard let bytes = try ServerFiles.read(path) else { return 0 }
        try ServerFiles.write(new, bytes)
        return 1
    }
}
