import Foundation
import Sealing
import SwiftASN1
import Syscalls
import Testing
import X509

@testable import Identity

@Suite struct CertificateTests {
    private struct Made {
        let workshop: Workshop
        let authority: CertificateAuthority
        let authorityPEM: String
    }

    private func make() throws -> Made {
        let workshop = try Workshop()
        let (pem, key) = try CertificateAuthority.make(name: "efs test")
        _ = try workshop.write(pem, to: "ca.crt")
        return Made(workshop: workshop, authority: try CertificateAuthority(certificatePEM: pem, key: key), authorityPEM: pem)
    }

    private func verify(_ workshop: Workshop, _ file: String, purpose: String, extra: [String] = []) throws {
        try workshop.runAll(["openssl", "verify", "-x509_strict", "-CAfile", "ca.crt", "-purpose", purpose] + extra + [file])
    }

    @Test func clientCertificatesVerify() throws {
        let made = try make()
        let issued = try made.authority.issueClient(user: "app1")
        _ = try made.workshop.write(issued.certificatePEM, to: "client.crt")
        try verify(made.workshop, "client.crt", purpose: "sslclient")
        #expect(throws: Workshop.Failed.self) { try verify(made.workshop, "client.crt", purpose: "sslserver") }
        let subject = try made.workshop.run("openssl", "x509", "-in", "client.crt", "-noout", "-subject", "-fingerprint", "-sha256")
        #expect(subject.contains("CN = app1"))
        let digits = issued.fingerprint.description.uppercased()
        #expect(subject.replacingOccurrences(of: ":", with: "").contains(digits))
        #expect(issued.fingerprint == DigestHasher.digest(of: issued.certificateDER))
        // The key is the certificate's.
        try KeyFile.write(try #require(issued.keyPEM), to: made.workshop.file("client.key"))
        let fromKey = try made.workshop.run("openssl", "pkey", "-in", "client.key", "-pubout")
        #expect(try made.workshop.run("openssl", "x509", "-in", "client.crt", "-noout", "-pubkey") == fromKey)
    }

    @Test func serverCertificatesHaveTheirNames() throws {
        let made = try make()
        let issued = try made.authority.issueServer(names: ["files.example.org", "127.0.0.1", "::1"])
        _ = try made.workshop.write(issued.certificatePEM, to: "server.crt")
        for name in [["-verify_hostname", "files.example.org"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]] {
            try verify(made.workshop, "server.crt", purpose: "sslserver", extra: name)
        }
        for name in [["-verify_hostname", "other.example.org"], ["-verify_ip", "127.0.0.2"]] {
            #expect(throws: Workshop.Failed.self) { try verify(made.workshop, "server.crt", purpose: "sslserver", extra: name) }
        }
        #expect(throws: Workshop.Failed.self) { try verify(made.workshop, "server.crt", purpose: "sslclient") }
    }

    @Test func endedAndForeignOnesDoNotVerify() throws {
        let made = try make()
        _ = try made.workshop.write(try made.authority.issueClient(user: "app1", days: -1).certificatePEM, to: "old.crt")
        #expect(throws: Workshop.Failed.self) { try verify(made.workshop, "old.crt", purpose: "sslclient") }
        let (pem, key) = try CertificateAuthority.make(name: "efs test")
        let other = try CertificateAuthority(certificatePEM: pem, key: key)
        _ = try made.workshop.write(try other.issueClient(user: "app1").certificatePEM, to: "foreign.crt")
        #expect(throws: Workshop.Failed.self) { try verify(made.workshop, "foreign.crt", purpose: "sslclient") }
        #expect(throws: Failure.self) { try CertificateAuthority(certificatePEM: made.authorityPEM, key: key) }
    }

    @Test func renewalKeepsKeyAndNames() throws {
        let made = try make()
        let old = try made.authority.issueServer(names: ["a.example.org"], days: -1)
        let renewed = try made.authority.renew(try Certificate(pemEncoded: old.certificatePEM), days: 10)
        #expect(renewed.fingerprint != old.fingerprint && renewed.keyPEM == nil)
        #expect(try Certificate(pemEncoded: renewed.certificatePEM).publicKey == Certificate(pemEncoded: old.certificatePEM).publicKey)
        _ = try made.workshop.write(renewed.certificatePEM, to: "server.crt")
        try verify(made.workshop, "server.crt", purpose: "sslserver", extra: ["-verify_hostname", "a.example.org"])
        let (pem, key) = try CertificateAuthority.make(name: "efs test")
        let other = try CertificateAuthority(certificatePEM: pem, key: key)
        #expect(throws: Failure.self) { try other.renew(try Certificate(pemEncoded: old.certificatePEM), days: 10) }
    }

    @Test func requestsOfOpenSSL() throws {
        let made = try make()
        try made.workshop.runAll([
            "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "own.key", "-subj", "/CN=root", "-out", "own.csr",
        ])
        let request = try String(contentsOfFile: made.workshop.file("own.csr"), encoding: .utf8)
        let issued = try made.authority.issueClient(user: "app1", request: request)
        #expect(issued.keyPEM == nil)
        _ = try made.workshop.write(issued.certificatePEM, to: "client.crt")
        try verify(made.workshop, "client.crt", purpose: "sslclient")
        // The request asks to be root; the name is the server's to give.
        #expect(try made.workshop.run("openssl", "x509", "-in", "client.crt", "-noout", "-subject").contains("CN = app1"))
        #expect(throws: Failure.self) { try made.authority.issueClient(user: "app1", request: "no request") }
    }

    @Test func bundlesComeBack() throws {
        let made = try make()
        let issued = try made.authority.issueClient(user: "app1")
        let server = ClientBundle.Server(id: [UInt8](repeating: 7, count: 16), key: UserSecretKey.generate().publicKey)
        let file = ClientBundle.encode(issued, authorityPEM: made.authorityPEM, server: server)
        let bundle = try ClientBundle(parsing: file, named: "bundle")
        #expect(bundle.certificateFingerprint == issued.fingerprint && bundle.server == server)
        #expect(bundle.authoritiesDER.count == 1 && bundle.userName == "app1")
        let key = try #require(bundle.keyPEM)
        #expect(key.constantTimeEquals(try #require(issued.keyPEM)))
        // OpenSSL reads the same file.
        try KeyFile.write(file, to: made.workshop.file("client.pem"))
        try made.workshop.run("openssl", "pkey", "-in", "client.pem", "-noout")
        try verify(made.workshop, "client.pem", purpose: "sslclient")
        #expect(throws: Failure.self) { try ClientBundle(parsing: issued.keyPEM!, named: "key alone") }
    }
}
