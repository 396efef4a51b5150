import HummingbirdCore
import HummingbirdHTTP2
import HummingbirdTLS
import NIOSSL
import Sealing
import Synchronization
import Syscalls

/// The certificate and key that the data listener shows, and the CA that it asks clients for. Can be replaced while connections are open;
/// those keep what they were shown. Thread-safe.
final class TLSFace: Sendable {
    struct Material: Sendable {
        var configuration: TLSConfiguration
        /// SHA-256 of the leaf's DER.
        var fingerprint: Digest32
    }

    private struct State {
        var material: Material?
        var generation: UInt64 = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    var material: (material: Material, generation: UInt64)? {
        state.withLock { state in state.material.map { ($0, state.generation) } }
    }

    /// Reads certificate, key and CA. Connections from now on are shown these.
    func load(_ layout: ServerLayout) throws(Failure) {
        let configuration: TLSConfiguration
        let fingerprint: Digest32
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(layout.tlsCertificate)
            guard let leaf = chain.first else { throw Failure(.damaged, "holds no certificate", object: layout.tlsCertificate) }
            let key = try NIOSSLPrivateKey(file: layout.tlsKey, format: .pem)
            let authority = try NIOSSLCertificate.fromPEMFile(layout.authorityCertificate)
            var tls = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
            tls.minimumTLSVersion = .tlsv13
            // For a server this means: the client must show a certificate that the CA issued, for clients, and that has not ended.
            tls.certificateVerification = .noHostnameVerification
            tls.trustRoots = .certificates(authority)
            configuration = tls
            fingerprint = DigestHasher.digest(of: try leaf.toDERBytes())
            _ = try NIOSSLContext(configuration: tls)
        } catch let failure as Failure { throw failure } catch {
            throw Failure(.damaged, "the TLS certificate, its key or the CA cannot be used: \(error)", object: layout.tlsCertificate)
        }
        let waiting = state.withLock { state in
            state.material = Material(configuration: configuration, fingerprint: fingerprint)
            state.generation += 1
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Returns when there is something to show.
    func waitUntilLoaded() async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state -> Bool in
                if state.material == nil { state.waiting.append(continuation) }
                return state.material != nil
            }
            if isThere { continuation.resume() }
        }
    }

    /// Lets whoever waits go on although there is nothing.
    func stopWaiting() {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}
