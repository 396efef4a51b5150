import Logging
import Sealing
import Synchronization
package import Syscalls

/// What `efsctl audit` asks.
extension ServerCore {
    /// Goes over the whole log. `head`: `SEQUENCE:DIGEST` as `efsctl status` once said it.
    package func verifyAudit(head: String?) async throws(Failure) -> (lines: [String], isWhole: Bool) {
        var marks = auditMarks()
        if let head {
            let parts = head.split(separator: ":")
            guard parts.count == 2, let sequence = UInt64(parts[0]), Hexadecimal.decode(parts[1])?.count == Digest32.sizeBytes else {
                throw Failure(.usage, "'\(head.prefix(100))' is no head: number and digest with ':' between them are one")
            }
            marks.append(AuditReport.Mark(sequence: sequence, digest: parts[1].lowercased(), name: "the head that was given"))
        }
        let (audit, known) = (audit, marks)
        let report = try await threads.administer { () throws(Failure) in
            try audit.verify(known) { self.isSealing.load(ordering: .relaxed) }
        }
        var lines = report.problems
        if report.problemCount > lines.count { lines.append("and \(report.problemCount - lines.count) more") }
        if report.cutLines > 0 { lines.append("\(report.cutLines) lines were cut by a crash and count for nothing") }
        lines.append("\(report.lines) entries, head \(report.sequence):\(report.digest)")
        lines.append(report.problemCount == 0 ? "The audit log is whole" : "The audit log was tampered with")
        return (lines, report.problemCount == 0)
    }

    /// The entries about a path, as they are in the log; the newest `limit`.
    package func searchAudit(fileSystem name: String, path: String, limit: Int) async throws(Failure) -> [String] {
        let instance = try requireInstanceForAdministration()
        guard let fileSystem = instance.fileSystem(name) else {
            throw Failure(.missing, "there is no such file system", object: name, hint: "efsctl list-fs shows them")
        }
        let pseudonym = AuditLog.pseudonym(try RequestPath.parse(plain: path), fileSystem.filenameSalt)
        let audit = audit
        return try await threads.administer { () throws(Failure) in
            try audit.lines(of: pseudonym, in: name, limit: min(max(1, limit), 10_000)) { self.isSealing.load(ordering: .relaxed) }
        }
    }

    // MARK: How far the log had come

    private func auditMarks() -> [AuditReport.Mark] {
        guard case .ready(let instance) = currentState else { return [] }
        return readAuditMark(instance.keyring, instance.serverID).map { [$0] } ?? []
    }

    private func readAuditMark(_ keyring: Keyring, _ serverID: [UInt8]) -> AuditReport.Mark? {
        let place = Self.place(serverID, "audit.json")
        guard var mark = try? keyring.readRecord(AuditReport.Mark.self, layout.auditMark, place: place) else { return nil }
        mark.name = "the server when it was last sealed"
        return mark
    }

    /// A log that ends before where it ended when the server was last sealed was cut meanwhile.
    func checkAuditMark(_ keyring: Keyring, _ serverID: [UInt8]) {
        guard let mark = readAuditMark(keyring, serverID), mark.sequence > audit.head.sequence else { return }
        logger.error(
            "the audit log was cut while the server was sealed",
            metadata: ["last": "\(audit.head.sequence)", "expected": "\(mark.sequence)"])
    }

    func keepAuditMark(_ instance: Instance) {
        let head = audit.head
        let mark = AuditReport.Mark(sequence: head.sequence, digest: head.digest.description)
        do throws(Failure) {
            try instance.keyring.writeRecord(mark, layout.auditMark, place: Self.place(instance.serverID, "audit.json"))
        } catch { logger.warning("the end of the audit log is not noted: \(error)") }
    }
}
