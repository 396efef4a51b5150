import FileSystem
import FoundationEssentials
import Identity
import Logging
package import Sealing
import SwiftASN1
import Synchronization
package import Syscalls
import X509

extension ServerCore {
    /// What identifies the server and is no secret.
    struct ServerRecord: Codable, Sendable {
        /// 16 bytes, hexadecimal.
        var serverID: String
        /// Seconds since 1970.
        var created: Int64
        /// What names the starter key (`StarterKey.identifier`), and since when it is that one.
        var starterKey: String?
        var starterKeySince: Int64?

        /// Nil if the JSON is no such record.
        init?(json: [UInt8]) {
            guard let record = try? JSONDecoder().decode(Self.self, from: Data(json)) else { return nil }
            self = record
        }

        init(serverID: String, created: Int64, starterKey: String) {
            self.serverID = serverID
            self.created = created
            self.starterKey = starterKey
            starterKeySince = created
        }
    }

    /// Loads the TLS face, where there is one already: a sealed server answers too, to say so.
    package func loadFace() throws(Failure) {
        if ServerFiles.exists(layout.tlsCertificate), ServerFiles.exists(layout.authorityCertificate) { try face.load(layout) }
    }

    /// Loads the TLS face anew, for connections from now on.
    package func reload() throws(Failure) {
        try face.load(layout)
        logger.notice("loaded the TLS certificate", metadata: ["sha256": "\(face.material.map { "\($0.material.fingerprint)" } ?? "")"])
    }

    /// Opens everything under the starter key; makes an empty root into a server. Fails with `.wrongPassword` if the key is another one,
    /// and `.busy` if the server is not sealed.
    package func unseal(_ starterKey: SecretBytes) async throws(Failure) {
        let result: Result<Void, Failure> = await administration.withLock {
            do throws(Failure) {
                try await self.unsealLocked(starterKey)
                return .success(())
            } catch { return .failure(error) }
        }
        try result.get()
    }

    private func unsealLocked(_ starterKey: SecretBytes) async throws(Failure) {
        guard case .sealed = currentState else { throw Failure(.busy, "the server is not sealed") }
        let keyring = Keyring(starterKey: starterKey)
        let opened: Opened
        do throws(Failure) { opened = try await threads.administer { () throws(Failure) in try self.openRoot(keyring) } } catch {
            throw explain(error, keyring)
        }
        let tokenKeys: TokenKeys
        do { tokenKeys = try await TokenKeys(opened.tokenKeys) } catch {
            throw (error as? Failure) ?? Failure(.damaged, "the token keys cannot be read", object: layout.tokenKeys)
        }
        let instance = Instance(
            serverID: opened.serverID, keyring: keyring, instanceKey: opened.instanceKey, authority: opened.authority,
            tokenKeys: tokenKeys, users: UserDirectory(opened.users), fileSystems: opened.fileSystems, failures: opened.failures)
        try face.load(layout)
        isSealing.store(false, ordering: .relaxed)
        setState(.ready(instance))
        startCounting(instance)
        checkAuditMark(keyring, opened.serverID)
        logger.info("unsealed", metadata: ["fileSystems": "\(opened.fileSystems.count)", "users": "\(opened.users.count)"])
    }

    private struct Opened: Sendable {
        var serverID: [UInt8]
        var instanceKey: UserSecretKey
        var tokenKeys: SecretBytes
        var authority: CertificateAuthority
        var users: [User] = []
        var fileSystems: [String: ServedFileSystem] = [:]
        var failures: [String: String] = [:]
    }

    private func openRoot(_ keyring: Keyring) throws(Failure) -> Opened {
        try settleRotation()
        if !ServerFiles.exists(layout.serverRecord) { try makeServer(keyring) }
        // First, since it tells another starter key from damage.
        let seed = try keyring.readSecret(layout.instanceKey, place: "instance.key")
        guard let record = try keyring.readRecord(ServerRecord.self, layout.serverRecord, place: "server.json"),
            let serverID = Hexadecimal.decode(record.serverID), serverID.count == Transcript.serverIDSizeBytes
        else { throw Failure(.damaged, "names no server", object: layout.serverRecord) }
        let place = { (name: String) in Self.place(serverID, name) }
        guard let instanceKey = UserSecretKey(seed: seed) else {
            throw Failure(.damaged, "is no key", object: layout.instanceKey)
        }
        let authority = try CertificateAuthority(
            certificatePEM: try readText(layout.authorityCertificate),
            key: try keyring.readSecret(layout.authorityKey, place: place("ca.key")))
        var opened = Opened(
            serverID: serverID, instanceKey: instanceKey,
            tokenKeys: try keyring.readSecret(layout.tokenKeys, place: place("jwt.key")), authority: authority)
        try renewFaceIfDue(authority)
        for name in try ServerFiles.names(in: layout.root) where ServerFiles.exists(layout.fileSystem(name).record) {
            do throws(Failure) {
                let fileSystem = layout.fileSystem(name)
                opened.fileSystems[name] = try openFileSystem(fileSystem, keyring, serverID)
                opened.users += try readUsers(of: fileSystem, keyring, serverID)
            } catch {
                logger.error("a file system cannot be opened", metadata: ["fileSystem": "\(name)", "reason": "\(error)"])
                opened.failures[name] = error.description
            }
        }
        return opened
    }

    static func place(_ serverID: [UInt8], _ name: String) -> String { Hexadecimal.encode(serverID) + "/" + name }

    /// Identity, CA, keys and TLS face of a new server. The record that makes it one comes last.
    private func makeServer(_ keyring: Keyring) throws(Failure) {
        let serverID = RandomSource.system.bytes(count: Transcript.serverIDSizeBytes)
        let authority = try CertificateAuthority.make(name: "efs CA \(Hexadecimal.encode(serverID).prefix(8))")
        try ServerFiles.replace(layout.authorityCertificate, with: Array(authority.certificatePEM.utf8), mode: 0o644)
        try keyring.writeSecret(authority.key, layout.authorityKey, place: Self.place(serverID, "ca.key"))
        try keyring.writeSecret(.random(count: 32), layout.instanceKey, place: "instance.key")
        try keyring.writeSecret(TokenKeys.make(), layout.tokenKeys, place: Self.place(serverID, "jwt.key"))
        try writeFace(CertificateAuthority(certificatePEM: authority.certificatePEM, key: authority.key))
        let record = ServerRecord(
            serverID: Hexadecimal.encode(serverID), created: clock.now(), starterKey: keyring.identifier)
        try keyring.writeRecord(record, layout.serverRecord, place: "server.json")
        logger.notice("made a new server", metadata: ["serverID": "\(record.serverID)"])
    }

    private func writeFace(_ authority: CertificateAuthority) throws(Failure) {
        let issued = try authority.issueServer(names: options.hostNames)
        guard let key = issued.keyPEM else { throw Failure(.inputOutput, "the certificate was issued without a key") }
        try key.withUnsafeBytes { (key) throws(Failure) in try ServerFiles.replace(layout.tlsKey, with: Array(key)) }
        try ServerFiles.replace(layout.tlsCertificate, with: Array(issued.certificatePEM.utf8), mode: 0o644)
    }

    /// A certificate of our own CA is renewed a month before it ends, and made where there is none, as in a backup; one that was put there by
    /// the administrator is the administrator's.
    private func renewFaceIfDue(_ authority: CertificateAuthority) throws(Failure) {
        if !ServerFiles.exists(layout.tlsCertificate), !ServerFiles.exists(layout.tlsKey) { return try writeFace(authority) }
        let certificate = try? Certificate(pemEncoded: try readText(layout.tlsCertificate))
        guard let certificate, certificate.issuer == authority.certificate.subject else { return }
        if certificate.notValidAfter < Date(timeIntervalSince1970: Double(clock.now())) + 30 * 86400 { try writeFace(authority) }
    }

    func readText(_ path: String) throws(Failure) -> String {
        guard let bytes = try ServerFiles.read(path) else { throw Failure(.missing, "is not there", object: path) }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: File systems and users

    func openFileSystem(_ place: FileSystemLayout, _ keyring: Keyring, _ serverID: [UInt8]) throws(Failure) -> ServedFileSystem {
        let record = try keyring.readRecord(
            FileSystemRecord.self, place.record, place: Self.place(serverID, "fs/\(place.name)/fs.json"))
        guard let record else { throw Failure(.missing, "is not there", object: place.record) }
        let password = try keyring.readSecret(place.volumeKey, place: Self.place(serverID, "fs/\(place.name)/aes.key"))
        let salt = try keyring.readSecret(place.filenameSalt, place: Self.place(serverID, "fs/\(place.name)/filename-salt"))
        var volumeOptions = VolumeOptions()
        volumeOptions.stateDirectory = options.stateDirectory
        // A web server's reads are no reason to write.
        volumeOptions.accessTimes = .never
        volumeOptions.acceptsRollback = options.acceptsRollback.contains(place.name)
        let usage = UsageLedger()
        volumeOptions.usageObserver = usage
        volumeOptions.report = { [logger] in logger.error("\($0)", metadata: ["fileSystem": "\(place.name)"]) }
        let volume = try Volume.open(at: place.files, password: password, options: volumeOptions)
        // One that cannot be read is counted anew, like one that is not there.
        let known = try? keyring.readRecord(UsageRecord.self, place.usage, place: Self.place(serverID, "fs/\(place.name)/usage.json"))
        usage.begin(known, volume)
        return ServedFileSystem(name: place.name, volume: volume, filenameSalt: salt, quotaBytes: record.quotaBytes, usage: usage)
    }

    func readUsers(of place: FileSystemLayout, _ keyring: Keyring, _ serverID: [UInt8]) throws(Failure) -> [User] {
        var records: [UserRecord] = []
        for name in try ServerFiles.names(in: place.users) {
            let record = try keyring.readRecord(
                UserRecord.self, place.userRecord(name), place: Self.userPlace(serverID, place.name, name))
            guard let record, record.name == name, record.fileSystem == place.name else { continue }
            records.append(record)
        }
        var last = records.compactMap(\.number).max() ?? 0
        // Records of versions that knew no numbers.
        for index in records.indices where records[index].number == nil {
            last += 1
            records[index].number = last
            let name = records[index].name
            try keyring.writeRecord(records[index], place.userRecord(name), place: Self.userPlace(serverID, place.name, name))
        }
        return try records.map { (record) throws(Failure) in try User(record) }
    }

    static func userPlace(_ serverID: [UInt8], _ fileSystem: String, _ user: String) -> String {
        place(serverID, "fs/\(fileSystem)/users/\(user)/record.json")
    }

    // MARK: Sealing

    /// How long requests under way may take when the server is sealed or ends.
    private static let drainSeconds: Int64 = 10

    /// Ends all sessions, waits for requests under way, closes the volumes and forgets all keys.
    package func seal(reason: String, isFinal: Bool = false) async {
        isSealing.store(true, ordering: .relaxed)
        await administration.withLock {
            guard case .ready(let instance) = self.currentState else {
                if isFinal { self.setState(.stopping) }
                return
            }
            self.setState(isFinal ? .stopping : .sealed(reason: reason))
            let logger = self.logger
            if await !instance.activity.waitUntilDrained(seconds: Self.drainSeconds) {
                logger.warning("requests are still under way: their connections are closed")
                self.connections.closeAll()
                while await !instance.activity.waitUntilDrained(seconds: Self.drainSeconds) {
                    logger.warning("requests are still under way in the storage")
                }
            }
            self.cache.clear()
            try? await self.threads.administer { () throws(Failure) in
                for fileSystem in instance.takeFileSystems() {
                    do throws(Failure) { try fileSystem.volume.close() } catch {
                        logger.critical("closing a volume failed: \(error)", metadata: ["fileSystem": "\(fileSystem.name)"])
                        continue
                    }
                    self.keepUsage(fileSystem, instance)
                }
                self.keepAuditMark(instance)
            }
            logger.info("sealed", metadata: ["reason": "\(reason)"])
        }
    }
}
