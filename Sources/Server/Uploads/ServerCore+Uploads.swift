import Logging

extension ServerCore {
    /// Deletes the uploads that nobody went on with for a day.
    func removeExpiredUploads() async {
        guard let lease = try? requireLease() else { return }
        let now = clock.now()
        for fileSystem in lease.instance.allFileSystems {
            let count = (try? await threads.run { () throws(Problem) in try fileSystem.uploads.removeExpired(now: now) }) ?? 0
            if count > 0 { logger.info("uploads have expired", metadata: ["fileSystem": "\(fileSystem.name)", "count": "\(count)"]) }
        }
    }
}
