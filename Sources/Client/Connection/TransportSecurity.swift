import Identity
import NIOSSL
import Sealing
import Syscalls

/// TLS 1.3 with the client's certificate, and only the CA of the bundle is believed.
enum TransportSecurity {
    static func context(_ bundle: ClientBundle) throws -> NIOSSLContext {
        guard let keyPEM = bundle.keyPEM else {
            throw ClientError.configuration(
                Failure(
                    .usage, "the client certificate comes without its private key", hint: "give the bundle that 'efsctl create-user' made"))
        }
        guard !bundle.authoritiesDER.isEmpty else {
            throw ClientError.configuration(
                Failure(
                    .usage, "the client certificate comes without the server's CA", hint: "give the bundle that 'efsctl create-user' made"))
        }
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv13
        configuration.applicationProtocols = ["http/1.1"]
        configuration.certificateVerification = .fullVerification
        do {
            configuration.trustRoots = .certificates(try bundle.authoritiesDER.map { try NIOSSLCertificate(bytes: $0, format: .der) })
            configuration.certificateChain = [.certificate(try NIOSSLCertificate(bytes: bundle.certificateDER, format: .der))]
            let key = try keyPEM.withUnsafeBytes { try NIOSSLPrivateKey(bytes: Array($0), format: .pem) }
            configuration.privateKey = .privateKey(key)
            return try NIOSSLContext(configuration: configuration)
        } catch let error as ClientError {
            throw error
        } catch {
            throw ClientError.configuration(Failure(.damaged, "the client certificate or its key cannot be used: \(error)"))
        }
    }
}
