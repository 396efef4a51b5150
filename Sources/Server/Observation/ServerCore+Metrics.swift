import Glibc

extension ServerCore {
    /// Prometheus' text format, version 0.0.4.
    func metricsText() -> String {
        var text = ""
        let write = { (name: String, kind: String, help: String, values: [(labels: String, value: Int64)]) in
            text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n"
            for value in values { text += "\(name)\(value.labels) \(value.value)\n" }
        }
        var isReady: Int64 = 0
        var sessions: Int64 = 0
        var users: Int64 = 0
        var fileSystems: Int64 = 0
        if case .ready(let instance) = currentState {
            isReady = 1
            sessions = Int64(instance.sessions.count)
            users = Int64(instance.users.all.count)
            fileSystems = Int64(instance.allFileSystems.count)
        }
        write("efs_ready", "gauge", "1 while the server is unsealed.", [("", isReady)])
        write("efs_connections", "gauge", "Open TLS connections.", [("", Int64(connections.count))])
        write("efs_sessions", "gauge", "Sessions of users.", [("", sessions)])
        write("efs_users", "gauge", "Users of all file systems.", [("", users)])
        write("efs_file_systems", "gauge", "File systems that are served.", [("", fileSystems)])
        write("efs_engine_calls", "gauge", "Calls to the storage that run or wait.", [("", Int64(threads.load))])
        write(
            "efs_requests_total", "counter", "Requests that were answered, by class of status.",
            metrics.requests.enumerated().map { ("{class=\"\($0.offset + 1)xx\"}", $0.element.total) })
        write("efs_received_bytes_total", "counter", "Content of files that was received.", [("", metrics.bytesReceived.total)])
        write("efs_sent_bytes_total", "counter", "Content of files that was sent.", [("", metrics.bytesSent.total)])
        let cached = cache.statistics
        write("efs_cache_bytes", "gauge", "Decrypted content that is kept in memory.", [("", Int64(cached.bytes))])
        write("efs_cache_pieces", "gauge", "Pieces of files that are kept in memory.", [("", Int64(cached.pieces))])
        write("efs_cache_hits_total", "counter", "Pieces that were found in memory.", [("", cached.hits)])
        write("efs_cache_misses_total", "counter", "Pieces that were not.", [("", cached.misses)])
        writeUsage(write)
        write("efs_audit_lost_total", "counter", "Accesses whose line could not be written.", [("", audit.lost.total)])
        write("efs_audit_lines_total", "counter", "Lines of the audit log.", [("", Int64(audit.head.sequence))])
        return text
    }

    /// What files take, and what they may take. Names have no character that a label would have to escape.
    private func writeUsage(_ write: (String, String, String, [(labels: String, value: Int64)]) -> Void) {
        guard case .ready(let instance) = currentState else { return }
        let all = instance.allFileSystems.map { (fileSystem: $0, sums: $0.usage.sums) }
        let users = instance.users.all
        write(
            "efs_used_bytes", "gauge", "Sizes of the files of a file system.",
            all.map { ("{fs=\"\($0.fileSystem.name)\"}", Int64(clamping: $0.sums.total)) })
        write(
            "efs_usage_counting", "gauge", "1 while files are still being counted.",
            all.map { ("{fs=\"\($0.fileSystem.name)\"}", $0.sums.isCounting ? 1 : 0) })
        write(
            "efs_quota_bytes", "gauge", "The most that the files of a file system may take.",
            all.compactMap { one in
                one.fileSystem.quotaBytes.map { ("{fs=\"\(one.fileSystem.name)\"}", Int64(clamping: $0)) }
            })
        let sums = Dictionary(uniqueKeysWithValues: all.map { ($0.fileSystem.name, $0.sums) })
        let labels = { (user: User) in "{fs=\"\(user.record.fileSystem)\",user=\"\(user.name)\"}" }
        write(
            "efs_user_used_bytes", "gauge", "Sizes of the files that a user has written.",
            users.map { (labels($0), Int64(clamping: sums[$0.record.fileSystem]?.groups[$0.group] ?? 0)) })
        write(
            "efs_user_quota_bytes", "gauge", "The most that a user's files may take.",
            users.compactMap { user in user.record.quotaBytes.map { (labels(user), Int64(clamping: $0)) } })
    }
}
