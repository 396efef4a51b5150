import Sealing
import Synchronization

/// The nonces of handshakes under way. Each is good for one try, a short time, one user and key, and one connection. Thread-safe.
final class NonceTable: Sendable {
    struct Offer: Sendable {
        var user: String
        var keyFingerprint: [UInt8]
        var clientNonce: [UInt8]
        var connection: UInt64
        /// Seconds since 1970.
        var expires: Int64
    }

    fileprivate struct State {
        var offers: [[UInt8]: Offer] = [:]
        /// In the order of their expiry; what was used is still in it.
        var order: [(nonce: [UInt8], expires: Int64)] = []
        var first = 0
    }

    static let sizeBytes = 32
    static let lifetimeSeconds: Int64 = 60
    static let limit = 65_536
    static let limitPerConnection = 16

    private let state = Mutex(State())
    private let random: RandomSource

    init(random: RandomSource = .system) { self.random = random }

    /// A new nonce; nil if too many are open.
    func offer(_ offer: Offer, now: Int64) -> [UInt8]? {
        let nonce = random.bytes(count: Self.sizeBytes)
        return state.withLock { state in
            state.dropExpired(now)
            guard state.offers.count < Self.limit else { return nil }
            state.offers[nonce] = offer
            state.order.append((nonce, offer.expires))
            return nonce
        }
    }

    /// The nonce's offer, which is used up by this; nil if there is none or it is too late.
    func take(_ nonce: [UInt8], now: Int64) -> Offer? {
        state.withLock { state in
            guard let offer = state.offers.removeValue(forKey: nonce) else { return nil }
            return offer.expires > now ? offer : nil
        }
    }
}

extension NonceTable.State {
    fileprivate mutating func dropExpired(_ now: Int64) {
        while first < order.count, order[first].expires <= now {
            offers.removeValue(forKey: order[first].nonce)
            first += 1
        }
        if first > 1024, first * 2 > order.count {
            order.removeFirst(first)
            first = 0
        }
    }
}
