import FileSystem
import FoundationEssentials
import HTTPTypes
import HummingbirdCore
import Identity
import KeyManagement
import Logging
import Sealing
import Synchronization
import Syscalls

/// Answers `efsctl` (docs/SERVER.md, *Admin API*).
struct AdminResponder: Sendable {
    let server: ServerCore

    func respond(_ request: Request, _ writer: consuming ResponseWriter) async throws {
        var response: Response
        do {
            response = try await answer(request)
        } catch let problem as Problem {
            response = .problem(problem)
        } catch let failure as Failure {
            response = .problem(Problem(failure))
            if let hint = failure.hint { response.headers[.efsHint] = hint }
        } catch {
            server.logger.error("a command failed: \(error)")
            response = .problem(Problem(.internalServerError, "internal", "\(error)"))
        }
        try await writer.write(response: response.head, body: response.body)
    }

    private func answer(_ request: Request) async throws -> Response {
        let path = RequestTarget(request.head.path ?? "").path
        if request.method == .get {
            guard path == "/admin/status" else { throw Problem.notFound }
            return try .json(status())
        }
        guard request.method == .post, path.hasPrefix("/admin/") else { throw Problem.methodNotAllowed("GET, POST") }
        let command = try await RequestJSON.read(AdminCommand.self, request.body)
        return try .json(try await run(String(path.dropFirst("/admin/".count)), command))
    }

    private func run(_ name: String, _ command: AdminCommand) async throws -> AdminAnswer {
        var answer = AdminAnswer()
        switch name {
        case "create-fs":
            let suite = try command.cipher.map { (name) throws(Failure) in
                guard let suite = CipherSuite(name: name) else { throw Failure(.usage, "there is no cipher '\(name)'") }
                return suite
            }
            answer.lines = try await server.createFileSystem(
                try require(command.name, "a name"), suite: suite ?? .aes256Gcm, quotaBytes: command.quotaBytes)
        case "list-fs": answer.rows = try listFileSystems()
        case "create-user": answer = try await createUser(command)
        case "list-users": answer.rows = try listUsers(command.fileSystem)
        case "revoke-user":
            let user = try require(command.name, "a name")
            try await server.revokeUser(user)
            answer.lines = ["Revoking user '\(user)'", "Ending the sessions of '\(user)'"]
        case "renew-cert":
            let created = try await server.renewCertificate(
                of: try require(command.name, "a name"), days: command.days ?? CertificateAuthority.clientDays)
            answer = try Self.describe(created)
        case "unseal":
            try await server.unseal(try starterKey(command))
            answer.lines = ["Unsealed"]
        case "seal":
            _ = try server.requireInstanceForAdministration()
            await server.seal(reason: "the administrator has sealed the server")
            answer.lines = ["Sealed"]
        case "clear-cache":
            _ = try server.requireInstanceForAdministration()
            let cleared = server.cache.clear()
            answer.lines = ["Wiping \(cleared.pieces) decrypted pieces, \(cleared.bytes) bytes", "Cache cleared"]
        case "reload":
            try server.reload()
            answer.lines = ["Loading the TLS certificate"]
        default: return try await runMore(name, command)
        }
        return answer
    }

    /// The commands about quotas, keys, backups and the audit log.
    private func runMore(_ name: String, _ command: AdminCommand) async throws -> AdminAnswer {
        var answer = AdminAnswer()
        switch name {
        case "set-quota":
            let quota = command.clearsQuota == true ? nil : command.quotaBytes
            guard quota != nil || command.clearsQuota == true else { throw Failure(.usage, "the command needs a quota") }
            if let user = command.name {
                answer.lines = try await server.setQuota(ofUser: user, quota)
            } else {
                answer.lines = try await server.setQuota(ofFileSystem: try require(command.fileSystem, "a user or a file system"), quota)
            }
        case "rotate-jwt": answer.lines = try await server.rotateTokenKey()
        case "rotate-starter": answer.lines = try await server.rotateStarterKey(to: try starterKey(command))
        case "backup":
            answer.lines = try await server.backUp(to: try require(command.directory, "a directory"), fileSystem: command.fileSystem)
        case "audit-verify":
            let (lines, isWhole) = try await server.verifyAudit(head: command.head)
            answer.lines = lines
            answer.isBad = isWhole ? nil : true
        case "audit":
            answer.entries = try await server.searchAudit(
                fileSystem: try require(command.fileSystem, "a file system"), path: try require(command.path, "a path"),
                limit: command.limit ?? 1000)
        default: throw Problem.notFound
        }
        return answer
    }

    private func starterKey(_ command: AdminCommand) throws(Failure) -> SecretBytes {
        guard let text = command.starterKey else { throw Failure(.usage, "the command needs the starter key") }
        return try StarterKey.parse(Array(text.utf8).withBytes { SecretBytes(copying: $0) }, source: "the key")
    }

    private func require(_ value: String?, _ what: String) throws(Failure) -> String {
        guard let value else { throw Failure(.usage, "the command needs \(what)") }
        return value
    }

    private func createUser(_ command: AdminCommand) async throws -> AdminAnswer {
        var new = ServerCore.NewUser(
            name: try require(command.name, "a name"), fileSystem: try require(command.fileSystem, "a file system"))
        if let key = command.key {
            guard let bytes = Base64.decode(key) else { throw Failure(.usage, "the key is not base64") }
            new.key = bytes
        }
        if let grants = command.grants, !grants.isEmpty { new.grants = grants }
        new.quotaBytes = command.quotaBytes
        new.requestsPerSecond = command.requestsPerSecond
        if let days = command.days { new.days = days }
        return try Self.describe(try await server.createUser(new))
    }

    private static func describe(_ created: ServerCore.CreatedUser) throws(Failure) -> AdminAnswer {
        var answer = AdminAnswer()
        answer.lines = created.lines
        answer.user = AdminUserAnswer(
            publicKey: created.publicKeyText, sha256: created.fingerprints.sha256, sha1: created.fingerprints.sha1,
            md5: created.fingerprints.md5,
            bundle: String(decoding: try KeyFile.read(created.bundle).withUnsafeBytes { Array($0) }, as: UTF8.self),
            bundlePath: created.bundle, privateKeyPath: created.privateKey)
        return answer
    }

    private func listFileSystems() throws(Failure) -> [[String: String]] {
        let instance = try server.requireInstanceForAdministration()
        var rows = instance.allFileSystems.map { fileSystem in
            let sums = fileSystem.usage.sums
            return [
                "used": "\(sums.total)\(sums.isCounting ? " (counting)" : "")", "quota": fileSystem.quotaBytes.map { String($0) } ?? "-",
                "name": fileSystem.name, "path": fileSystem.volume.path, "cipher": fileSystem.volume.header.suite.name,
                "users": String(instance.users.all.filter { $0.record.fileSystem == fileSystem.name }.count), "state": "open",
            ]
        }
        for (name, reason) in instance.failures.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
            rows.append(["name": name, "state": reason])
        }
        return rows
    }

    private func listUsers(_ fileSystem: String?) throws(Failure) -> [[String: String]] {
        let instance = try server.requireInstanceForAdministration()
        let sums = Dictionary(uniqueKeysWithValues: instance.allFileSystems.map { ($0.name, $0.usage.sums) })
        return instance.users.all.filter { fileSystem == nil || $0.record.fileSystem == fileSystem }.map { user in
            let own = sums[user.record.fileSystem]
            return [
                "used": "\(own?.groups[user.group] ?? 0)\(own?.isCounting == true ? " (counting)" : "")",
                "quota": user.record.quotaBytes.map { String($0) } ?? "-",
                "name": user.name, "fs": user.record.fileSystem, "key": user.keyFingerprint.description,
                "grants": user.record.grants.map { "\($0.prefix):\($0.rights)" }.joined(separator: " "),
                "state": user.record.isRevoked ? "revoked" : "active",
                "certificateEnds": String(user.record.certificates.last?.notAfter ?? 0),
            ]
        }
    }

    private struct Status: Encodable {
        var state: String
        var version: String
        var serverID: String?
        var sessions: Int
        var connections: Int
        var fileSystems: Int
        /// File systems that could not be opened, and why.
        var failures: [String: String]
        /// File systems whose files are being counted.
        var counting: [String]
        /// Names the starter key that everything is under.
        var starterKey: String?
        var isBackingUp: Bool
        var auditSequence: UInt64
        var auditHead: String
    }

    private func status() -> Status {
        let description = server.publicDescription()
        let head = server.audit.head
        var sessions = 0
        var fileSystems: [ServedFileSystem] = []
        var failures: [String: String] = [:]
        var starterKey: String?
        if case .ready(let instance) = server.currentState {
            sessions = instance.sessions.count
            fileSystems = instance.allFileSystems
            failures = instance.failures.withLock { $0 }
            starterKey = instance.keyring.identifier
        }
        return Status(
            state: description.state, version: description.version, serverID: description.serverID, sessions: sessions,
            connections: server.connections.count, fileSystems: fileSystems.count, failures: failures,
            counting: fileSystems.filter { $0.usage.isCounting }.map(\.name), starterKey: starterKey,
            isBackingUp: server.isBackingUp.load(ordering: .relaxed), auditSequence: head.sequence,
            auditHead: head.digest.description)
    }
}
