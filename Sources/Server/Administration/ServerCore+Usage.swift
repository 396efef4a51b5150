import FileSystem
import Logging
package import Syscalls

/// Quotas and what they are held against.
extension ServerCore {
    /// Counts the files of the file systems whose usage is not known, in the background, a thousand at a time.
    func startCounting(_ instance: Instance) {
        for fileSystem in instance.allFileSystems where fileSystem.usage.isCounting {
            logger.notice("counting the files, since their usage is not known", metadata: ["fileSystem": "\(fileSystem.name)"])
            Task { await count(fileSystem, instance) }
        }
    }

    private func count(_ fileSystem: ServedFileSystem, _ instance: Instance) async {
        var isDone = false
        while !isDone {
            guard let lease = try? requireLease(), lease.instance === instance else { return }
            defer { withExtendedLifetime(lease) {} }
            do throws(Failure) {
                isDone = try await threads.administer { () throws(Failure) in try fileSystem.usage.countStep(fileSystem.files) }
            } catch {
                logger.error("counting the files failed: \(error)", metadata: ["fileSystem": "\(fileSystem.name)"])
                return
            }
        }
        logger.info("counted the files", metadata: ["fileSystem": "\(fileSystem.name)", "bytes": "\(fileSystem.usage.sums.total)"])
    }

    /// Keeps what is known of the usage for the state in which the volume was closed.
    func keepUsage(_ fileSystem: ServedFileSystem, _ instance: Instance) {
        guard let record = fileSystem.usage.record(state: fileSystem.volume.durableState) else { return }
        let place = Self.place(instance.serverID, "fs/\(fileSystem.name)/usage.json")
        do throws(Failure) { try instance.keyring.writeRecord(record, layout.fileSystem(fileSystem.name).usage, place: place) } catch {
            logger.warning("the usage is not kept, and will be counted: \(error)", metadata: ["fileSystem": "\(fileSystem.name)"])
        }
    }

    /// - Parameter bytes: nil for none.
    package func setQuota(ofFileSystem name: String, _ bytes: UInt64?) async throws(Failure) -> [String] {
        let instance = try requireInstanceForAdministration()
        guard let fileSystem = instance.fileSystem(name) else {
            throw Failure(.missing, "there is no such file system", object: name, hint: "efsctl list-fs shows them")
        }
        let (path, place) = (layout.fileSystem(name).record, Self.place(instance.serverID, "fs/\(name)/fs.json"))
        let result: Result<Void, Failure> = await administration.withLock {
            do throws(Failure) {
                return .success(
                    try await self.threads.administer { () throws(Failure) in
                        guard var record = try instance.keyring.readRecord(FileSystemRecord.self, path, place: place) else {
                            throw Failure(.missing, "is not there", object: path)
                        }
                        record.quotaBytes = bytes
                        try instance.keyring.writeRecord(record, path, place: place)
                        fileSystem.setQuota(bytes)
                    })
            } catch { return .failure(error) }
        }
        try result.get()
        return ["Setting the quota of '\(name)' to \(bytes.map { "\($0) bytes" } ?? "none")"]
    }

    package func setQuota(ofUser name: String, _ bytes: UInt64?) async throws(Failure) -> [String] {
        _ = try await change(name) { (record, _) throws(Failure) in record.quotaBytes = bytes }
        return ["Setting the quota of user '\(name)' to \(bytes.map { "\($0) bytes" } ?? "none")"]
    }
}
