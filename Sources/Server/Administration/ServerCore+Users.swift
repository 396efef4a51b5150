import FoundationEssentials
package import Identity
import Logging
import Sealing
package import Syscalls

/// What `efsctl` does with users.
extension ServerCore {
    package struct NewUser: Sendable {
        package var name: String
        package var fileSystem: String
        /// The content of a public key file in any form that is known; nil if a key is to be made.
        package var key: [UInt8]?
        package var grants: [Grant] = [Grant(prefix: "/", rights: Rights.all.text)]
        package var quotaBytes: UInt64?
        package var requestsPerSecond: Int?
        /// Of the certificate.
        package var days = CertificateAuthority.clientDays

        package init(name: String, fileSystem: String) {
            self.name = name
            self.fileSystem = fileSystem
        }
    }

    package struct CreatedUser: Sendable {
        /// What is shown, as in the README's transcript.
        package var lines: [String]
        package var publicKeyText: String
        package var fingerprints: KeyFingerprints
        /// Paths of what the user needs.
        package var bundle: String
        package var privateKey: String?
    }

    package func createUser(_ new: NewUser) async throws(Failure) -> CreatedUser {
        try ServerLayout.checkName(new.name, of: "user")
        for grant in new.grants { _ = try GrantTable([grant]) }
        let instance = try requireInstanceForAdministration()
        let result: Result<CreatedUser, Failure> = await administration.withLock {
            do throws(Failure) {
                return .success(try await self.threads.administer { () throws(Failure) in try self.makeUser(new, instance) })
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// A key as a user gets it.
    private struct KeyMaterial {
        var publicKey: UserPublicKey
        var publicText: String
        var publicFile: String
        var secret: SecretBytes?
    }

    private func makeUser(_ new: NewUser, _ instance: Instance) throws(Failure) -> CreatedUser {
        guard instance.fileSystem(new.fileSystem) != nil else {
            throw Failure(.missing, "there is no such file system", object: new.fileSystem, hint: "efsctl list-fs shows them")
        }
        if let existing = instance.users.user(new.name) {
            throw Failure(.alreadyExists, "there is a user of that name already, in '\(existing.record.fileSystem)'", object: new.name)
        }
        let place = layout.fileSystem(new.fileSystem)
        let directory = place.user(new.name)
        let key = try keyMaterial(new)
        let issued = try instance.authority.issueClient(user: new.name, days: new.days)
        var lines = ["Creating user '\(directory)'"]
        try ServerFiles.makeDirectory(directory)
        let publicPath = "\(directory)/\(key.publicFile)"
        lines.append("Saving user public key '\(publicPath)'")
        try ServerFiles.replace(publicPath, with: Array(key.publicText.utf8), mode: 0o644)
        var created = CreatedUser(
            lines: lines, publicKeyText: key.publicText, fingerprints: key.publicKey.fingerprints, bundle: "\(directory)/client.pem")
        if let secret = key.secret {
            let path = "\(directory)/priv.pgp"
            try secret.withUnsafeBytes { (secret) throws(Failure) in try ServerFiles.replace(path, with: Array(secret)) }
            created.privateKey = path
            created.lines.append("Saving user private key '\(path)'")
        }
        try writeCertificate(issued, in: directory, &created, instance)
        let record = UserRecord(
            name: new.name, fileSystem: new.fileSystem, publicKey: Base64URL.encode(key.publicKey.rawBytes),
            certificates: [Self.entry(issued)], grants: new.grants, quotaBytes: new.quotaBytes, number: try Self.freeNumber(instance),
            requestsPerSecond: new.requestsPerSecond, created: clock.now(), isRevoked: false)
        try save(record, instance)
        logger.notice("made a user", metadata: ["user": "\(new.name)", "fileSystem": "\(new.fileSystem)"])
        return created
    }

    /// Of no user that there ever was: records stay.
    private static func freeNumber(_ instance: Instance) throws(Failure) -> UInt32 {
        let last = instance.users.all.compactMap(\.record.number).max() ?? 0
        guard last < UserRecord.largestNumber else { throw Failure(.noSpace, "the server has had all users that it can number") }
        return last + 1
    }

    private func keyMaterial(_ new: NewUser) throws(Failure) -> KeyMaterial {
        guard let given = new.key else {
            let pair = try OpenPGPKeyPair.generate(userID: new.name)
            return KeyMaterial(
                publicKey: pair.publicKey, publicText: pair.publicArmored, publicFile: "pub.pgp", secret: pair.secretArmored)
        }
        let key = try UserPublicKey(parsing: given, named: "the user's key")
        let text = String(decoding: given, as: UTF8.self)
        if text.hasPrefix("-----BEGIN PGP") {
            return KeyMaterial(publicKey: key, publicText: text, publicFile: "pub.pgp", secret: nil)
        }
        // One line of OpenSSH, whatever else it was.
        return KeyMaterial(
            publicKey: key, publicText: key.openSSHLine(comment: new.name) + "\n", publicFile: "pub.key", secret: nil)
    }

    private func writeCertificate(
        _ issued: IssuedCertificate, in directory: String, _ created: inout CreatedUser, _ instance: Instance
    ) throws(Failure) {
        let certificatePath = "\(directory)/client.crt"
        try ServerFiles.replace(certificatePath, with: Array(issued.certificatePEM.utf8), mode: 0o644)
        let bundle = ClientBundle.encode(
            issued, authorityPEM: try readText(layout.authorityCertificate),
            server: ClientBundle.Server(id: instance.serverID, key: instance.instanceKey.publicKey))
        try bundle.withUnsafeBytes { (bundle) throws(Failure) in try ServerFiles.replace(created.bundle, with: Array(bundle)) }
        created.lines.append("Saving client certificate '\(certificatePath)'")
        created.lines.append("Saving client bundle '\(created.bundle)'")
    }

    private static func entry(_ issued: IssuedCertificate) -> UserRecord.ClientCertificate {
        UserRecord.ClientCertificate(
            fingerprint: issued.fingerprint.description, notAfter: Int64(issued.notAfter.timeIntervalSince1970), isRevoked: false)
    }

    private func save(_ record: UserRecord, _ instance: Instance) throws(Failure) {
        let user = try User(record)
        try instance.keyring.writeRecord(
            record, layout.fileSystem(record.fileSystem).userRecord(record.name),
            place: Self.userPlace(instance.serverID, record.fileSystem, record.name))
        instance.users.put(user)
    }

    /// Changes a user's record, on disk and then for all requests from then on.
    func change(
        _ name: String, _ edit: @escaping @Sendable (inout UserRecord, Instance) throws(Failure) -> Void
    ) async throws(Failure) -> UserRecord {
        let instance = try requireInstanceForAdministration()
        let result: Result<UserRecord, Failure> = await administration.withLock {
            do throws(Failure) {
                return .success(
                    try await self.threads.administer { () throws(Failure) in
                        guard var record = instance.users.user(name)?.record else {
                            throw Failure(.missing, "there is no such user", object: name, hint: "efsctl list-users shows them")
                        }
                        try edit(&record, instance)
                        try self.save(record, instance)
                        return record
                    })
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// Refuses the user from now on: every request, every handshake, whatever connection or session is open.
    package func revokeUser(_ name: String) async throws(Failure) {
        let instance = try requireInstanceForAdministration()
        _ = try await change(name) { (record, _) throws(Failure) in
            record.isRevoked = true
            for index in record.certificates.indices { record.certificates[index].isRevoked = true }
        }
        instance.sessions.endAll(of: name)
        logger.notice("revoked a user", metadata: ["user": "\(name)"])
    }

    /// A new certificate with a new key; the ones before are refused from now on.
    package func renewCertificate(of name: String, days: Double = CertificateAuthority.clientDays) async throws(Failure) -> CreatedUser {
        let instance = try requireInstanceForAdministration()
        guard let user = instance.users.user(name) else {
            throw Failure(.missing, "there is no such user", object: name, hint: "efsctl list-users shows them")
        }
        guard !user.record.isRevoked else { throw Failure(.usage, "the user was revoked", object: name, hint: "make a new user") }
        let issued = try instance.authority.issueClient(user: name, days: days)
        let directory = layout.fileSystem(user.record.fileSystem).user(name)
        let blank = CreatedUser(
            lines: [], publicKeyText: "", fingerprints: user.publicKey.fingerprints, bundle: "\(directory)/client.pem")
        let made = try await threads.administer { () throws(Failure) in
            var created = blank
            try self.writeCertificate(issued, in: directory, &created, instance)
            return created
        }
        _ = try await change(name) { (record, _) throws(Failure) in
            for index in record.certificates.indices { record.certificates[index].isRevoked = true }
            record.certificates.append(Self.entry(issued))
        }
        instance.sessions.endAll(of: name)
        return made
    }
}
